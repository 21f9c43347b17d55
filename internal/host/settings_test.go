package host

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Every setting says its bounds itself when it is out of them.
func TestImpossibleSettingsAreNamed(t *testing.T) {
	for name, set := range map[string]func(*raft.Settings){
		"MaxEntryBytes":  func(s *raft.Settings) { s.MaxEntryBytes = 64*mib + 1 },
		"MaxSessions":    func(s *raft.Settings) { s.MaxSessions = session.MostSessions + 1 },
		"SessionTTL":     func(s *raft.Settings) { s.SessionTTL = -1 },
		"MaxTokens":      func(s *raft.Settings) { s.MaxTokens = 0 },
		"TokenTTL":       func(s *raft.Settings) { s.TokenTTL = 1 << 62 },
		"MaxResultBytes": func(s *raft.Settings) { s.MaxResultBytes = session.MostResultBytes + 1 },
	} {
		s := defaultSettings("m")
		if why := checkSettings(&s); why != "" {
			t.Errorf("the defaults: %s", why)
		}
		if set(&s); !strings.Contains(checkSettings(&s), "Settings."+name+" ") {
			t.Errorf("%s: %q", name, checkSettings(&s))
		}
	}
}

// The largest table, each number at its longest, is shorter than a snapshot's head may be.
func TestLargestTableFitsIntoASnapshot(t *testing.T) {
	const (
		long, short = binary.MaxVarintLen64, binary.MaxVarintLen32
		head        = 1 + 2*long + 2*short
		result      = 1 + long + short + short // state, place, length
		one         = long + 16 + long + long + short + long + 1 + session.Window*(1+result)
		most        = head + session.MostSessions*one + session.MostTokens*(16+result) + session.MostResultBytes
	)
	if most > wire.MaxSessionsBytes {
		t.Errorf("%d bytes, and the head has room for %d", most, wire.MaxSessionsBytes)
	}
}
