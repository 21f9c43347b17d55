package bank

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/sim"
)

// forgetful is a state that saves itself, by hand, and forgets a field that was added later: a replica which
// begins from a snapshot counts anew.
type forgetful struct{ total, moves int64 }

func (s *forgetful) AppendBinary(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint64(b, uint64(s.total)), nil
}

func (s *forgetful) UnmarshalBinary(b []byte) error {
	*s = forgetful{total: int64(binary.LittleEndian.Uint64(b))}
	return nil
}

type add struct{ N int64 }

var planted = machine.Define(
	func(s *forgetful, c add, _ *machine.Command) (int64, error) {
		if s.moves++; s.moves%7 == 0 {
			s.total--
		}
		s.total += c.N
		return s.total, nil
	},
	func(s *forgetful, _ struct{}) (int64, error) { return s.total, nil },
)

// options are those of the user's test.
func options() sim.Options {
	return sim.Options{Machine: planted.Kind(), Seeds: 20, Client: func(ctx context.Context, c *sim.Client) {
		total := lockstep.Typed(c, planted)
		for ctx.Err() == nil {
			_, _ = total.Propose(ctx, add{c.Rand().Int64N(100)})
			c.Sleep(50 * time.Millisecond)
		}
	}}
}

// failing is a test that may fail.
type failing struct {
	testing.TB
	text strings.Builder
}

func (f *failing) Errorf(format string, args ...any) { fmt.Fprintf(&f.text, format, args...) }
func (f *failing) Error(args ...any)                 { fmt.Fprint(&f.text, args...) }
func (f *failing) Name() string                      { return "TestForgetful" }

func TestPlantedBugIsFoundAndShrunk(t *testing.T) {
	if testing.Short() {
		t.Skip("plays one run after the other until it is small, for a minute under the race detector")
	}
	t.Chdir(t.TempDir())
	t.Setenv("LOCKSTEP_SHRINK", "2m")
	user := &failing{TB: t}
	sim.Run(user, options())
	t.Log(user.text.String())
	for _, want := range []string{"H1: host", "first differing command", "does Save write the whole state?", "shrunk from", "again: go test -run '^TestForgetful$/^"} {
		if !strings.Contains(user.text.String(), want) {
			t.Errorf("the failure does not say %q", want)
		}
	}
	files, err := filepath.Glob("testdata/sim/TestForgetful/*")
	if err != nil || len(files) != 1 {
		t.Fatalf("recordings: %v, %v", files, err)
	}
	rec, err := sim.Load(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if n := len(rec.Decisions); n == 0 || n > 36 {
		t.Errorf("shrunk to %d decisions, want a few dozen at most", n)
	}
	first, err := sim.Replay(rec, options())
	if err == nil {
		t.Error("the shrunk recording breaks nothing")
	}
	second, _ := sim.Replay(rec, options())
	if first.Hash != second.Hash || first.Events != second.Events {
		t.Errorf("one recording gave hash %016x after %d events, then %016x after %d", first.Hash, first.Events, second.Hash, second.Events)
	}
}
