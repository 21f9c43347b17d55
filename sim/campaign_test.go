package sim_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim"
)

// A campaign fails if a fault, a pair of them or a situation that every gate has to reach came up in no
// seed, and says which; its counts are printed line by line.
func TestWhatWasNeverReachedIsNamed(t *testing.T) {
	s := sim.Summary{
		Seeds:  500,
		Faults: []sim.Count{{Name: "crash", N: 9}, {Name: "pause"}},
		Pairs:  []sim.Pair{{A: "crash", B: "pause"}},
		Probes: []sim.Count{{Name: "snapshot installed", N: 60}, {Name: "forward refused"}, {Name: "call refused as busy"}},
		With:   []sim.Count{{Name: "snapshot installed", N: 49}, {Name: "forward refused"}, {Name: "call refused as busy"}},
	}
	want := []string{"crash with pause", "pause", "forward refused", "a snapshot installed in a tenth of the seeds"}
	if got := s.Unreached(); !slices.Equal(got, want) {
		t.Errorf("unreached: %q, want %q", got, want)
	}
	r := sim.Report{Summary: s, Never: s.Unreached()}
	if err := r.Verdict(); err == nil || !strings.Contains(err.Error(), "forward refused") {
		t.Errorf("the verdict is %v", err)
	}
	var out bytes.Buffer
	if _, err := s.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"  fault crash                                     9", "  fault pause                                     0", "  probe snapshot installed                       60  in 49 seeds"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("does not print %q:\n%s", line, out.String())
		}
	}
	s.Faults[1].N, s.Pairs[0].Seeds, s.Probes[1].N, s.With[0].N = 3, 2, 1, 50
	r = sim.Report{Summary: s, Never: s.Unreached()}
	if err := r.Verdict(); err != nil {
		t.Errorf("all was reached, and the verdict is %v", err)
	}
}

// A seed that proves little, for want of faults or calls, is broken: a harness that no longer injects
// or asks must not pass.
func TestThinSeedIsBroken(t *testing.T) {
	o := quiet(counter.Machine.Kind())
	r, err := sim.Simulate(t.Context(), 1, 1, o, func(sim.Result, error) {})
	if err != nil || len(r.Broken) != 1 || !strings.Contains(r.Broken[0].Err.Error(), "is thin") {
		t.Errorf("a seed without faults: %+v, %v", r, err)
	}
}
