package lockstep

import (
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Settings are replicated in configuration entries: equal on every replica at one index. Create takes zero
// for the default; Reconfigure changes those that differ from what is in force.
type Settings struct {
	MaxEntryBytes  int64           // longest command. Zero: 1 MiB; at most 64 MiB
	MaxSessions    int             // the longest unused is evicted. Zero: 4096; at most 16384
	SessionTTL     time.Duration   // in log time: unused for so long, a session is evicted. Zero: 10 min
	MaxTokens      int             // that are remembered; the first drawn are forgotten. Zero: 16384; at most 65536
	TokenTTL       time.Duration   // in log time: how long after it was drawn a token is remembered. Zero: 24 h
	MaxResultBytes int64           // of all results that are kept to be answered again, the oldest are lost; of one a sixteenth. Zero: 16 MiB, which is the most
	Lease          time.Duration   // of a leader, for reads without a round (Leased). Zero: none; at most a minute. A failover takes this much longer
	MaxDriftPPM    int             // by which the clocks of two hosts may run apart, in millionths: leased reads rely on it. Zero: 500; at most 900,000
	Version        machine.Version // that the machine runs. Only raised, once the builds of all members have it (machine.StateMachine.Upgrade). Zero: Kind.Oldest
	Halt           bool            // an operator's stop of writes (ErrHalted); reads go on. The engine sets it where no majority has one state, and reads end, too
	Skip           Skip            // a command that no replica can execute, and none has: passed over on all of them. Zero: none, or as it is
}

// Skip names a command of a group, as Result does. Its place is in GroupStatus.Why of the replicas that are quarantined
// at it; once Reconfigure has set it, each of them goes on behind the command, whose caller, if it asks again, is
// told machine.Skipped.
type Skip struct {
	Index   Index
	Ordinal uint32
}

// String is index.ordinal, as the status of a quarantined replica names the command.
func (s Skip) String() string { return fmt.Sprintf("%d.%d", s.Index, s.Ordinal) }

// settings are a configuration's.
func settings(s *raft.Settings) Settings {
	return Settings{
		MaxEntryBytes: s.MaxEntryBytes, MaxSessions: int(s.MaxSessions), SessionTTL: time.Duration(s.SessionTTL),
		MaxTokens: int(s.MaxTokens), TokenTTL: time.Duration(s.TokenTTL), MaxResultBytes: s.MaxResultBytes,
		Lease: time.Duration(s.Lease), MaxDriftPPM: int(s.MaxDriftPPM), Version: machine.Version(s.Version),
		Halt: s.Halt != raft.HaltNone, Skip: Skip{Index: Index(s.SkipIndex), Ordinal: s.SkipOrdinal},
	}
}

// replicated is the twin of settings. What no setting can be stays impossible.
func (s *Settings) replicated() raft.Settings {
	halt := raft.HaltNone
	if s.Halt {
		halt = raft.HaltOperator
	}
	return raft.Settings{
		Halt: halt, SkipIndex: raft.Index(s.Skip.Index), SkipOrdinal: s.Skip.Ordinal,
		MaxEntryBytes: s.MaxEntryBytes, MaxSessions: count(s.MaxSessions), SessionTTL: int64(s.SessionTTL),
		MaxTokens: count(s.MaxTokens), TokenTTL: int64(s.TokenTTL), MaxResultBytes: s.MaxResultBytes,
		Lease: int64(s.Lease), MaxDriftPPM: count(s.MaxDriftPPM), Version: uint32(s.Version),
	}
}

func count(n int) uint32 {
	if n < 0 || n > 1<<31 {
		return 1 << 31
	}
	return uint32(n)
}

// over puts the settings that are not zero in the place of defaults. A group is founded neither halted nor with a
// command to pass over.
func (s Settings) over(to *raft.Settings) {
	from := s.replicated()
	put(&to.MaxEntryBytes, from.MaxEntryBytes)
	put(&to.MaxSessions, from.MaxSessions)
	put(&to.SessionTTL, from.SessionTTL)
	put(&to.MaxTokens, from.MaxTokens)
	put(&to.TokenTTL, from.TokenTTL)
	put(&to.MaxResultBytes, from.MaxResultBytes)
	put(&to.Lease, from.Lease)
	put(&to.MaxDriftPPM, from.MaxDriftPPM)
	put(&to.Version, from.Version)
}

func put[T comparable](to *T, from T) {
	var zero T
	if from != zero {
		*to = from
	}
}
