package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

// busy is a recording of the counter with these decisions.
func busy(decisions string) (*sim.Recording, sim.Options, error) {
	o := workload.Counter()
	o.Faults = sim.None
	var rec sim.Recording
	err := rec.UnmarshalText([]byte("lockstep simulation 1\ntest busy\nseed 3\nhosts 3\nclients 4\nlength 20s\n" + decisions))
	return &rec, o, err
}

// calls are decisions of the four clients, each often enough to fill segments and snapshots.
func calls(until time.Duration) (text string) {
	n := [4]int{}
	for at := time.Second; at < until; at += 15 * time.Millisecond {
		c := int(at/time.Millisecond) % 4
		n[c]++
		text += fmt.Sprintf("%v call client=%d call=%d hosts=%d\n", at, c, n[c], c%3)
	}
	return text
}

func probe(r *sim.Result, name string) uint64 {
	for _, p := range r.Probes {
		if p.Name == name {
			return p.N
		}
	}
	return 0
}

// A damaged replica says so, serves nothing that is false, and the others serve: what the run itself checks.
// Rot may hit what nobody needs any more, so several places are tried until one is missed.
func TestDamagedReplicaSaysSoAndOthersServe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		decision string
		probes   []string // one of them is met
	}{
		{"10s panic hosts=1", []string{"machine out of service"}},
		{"10s fail hosts=0", []string{"machine out of service"}},
		{"10s differ hosts=2", []string{"machine made anew"}},
		{"10s rot-log hosts=1 for=1s", []string{"damaged log admitted", "start refused on a damaged disk"}},
		{"10s rot-snapshot hosts=1 for=1s", []string{"log recovered"}},
	} {
		met := uint64(0)
		for amount := 20; met == 0 && amount < 64; amount++ {
			rec, o, err := busy(fmt.Sprint(calls(10*time.Second), c.decision, " amount=", amount))
			if err != nil {
				t.Fatal(err)
			}
			r, err := sim.Replay(rec, o)
			if err != nil {
				t.Fatalf("%s amount=%d: %v", c.decision, amount, err)
			}
			for _, name := range c.probes {
				met += probe(&r, name)
			}
		}
		if met == 0 {
			t.Errorf("%s: %q was not reached", c.decision, c.probes)
		}
	}
}

// While only a majority is healed, it serves and agrees, however the third one stays broken.
func TestCoreServesWhileTheRestStaysBroken(t *testing.T) {
	t.Parallel()
	for way := range 4 {
		rec, o, err := busy(fmt.Sprintf("2s cut links=0>1,1>0,0>2,2>0 for=1m\n21s core hosts=0,1 amount=%d", way))
		if err != nil {
			t.Fatal(err)
		}
		r, err := sim.Replay(rec, o)
		if err != nil {
			t.Errorf("way %d: %v", way, err)
		}
		if probe(&r, "core healed alone") != 1 {
			t.Errorf("way %d: no core was healed", way)
		}
	}
}
