package lockstep_test

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// slowToLoad is a ledger that says when it loads, and takes its time for it.
type slowToLoad struct {
	*ledger
	load func()
}

func (l *slowToLoad) Load(v machine.Version, r *machine.Reader) error {
	l.load()
	return l.ledger.Load(v, r)
}

// A machine that differs, and whose mark is looked at while it executes a slow command at which it fails, is made
// anew once: its failure comes late, and is nothing. The new machine takes longer to load than the pause before
// another one, and is the only one that loads; none takes its place when it serves (H27).
func TestLateFailureOfADifferingMachineIsNothing(t *testing.T) {
	w := &watcher{}
	inWorld(t, 76, 3, 30*time.Minute, func(c *island) {
		spoilt := false
		loading, most, loads := 0, 0, 0
		bend := func(host int) func(*ledger, string) int64 {
			bad := false
			return func(_ *ledger, cmd string) int64 {
				switch {
				case cmd == "7" && host == 0 && !spoilt:
					spoilt, bad = true, true
					return 1
				case cmd == "poison" && bad:
					c.w.Sleep(100 * time.Millisecond)
					panic("planted")
				}
				return 0
			}
		}
		c.tune = func(i int, o *lockstep.Options) {
			o.Observer = watching{w, i}
			o.Machines = map[string]machine.Kind{
				"counter": counter.Machine.Kind(),
				"ledger": {New: func(*machine.Place) (machine.StateMachine, error) {
					return &slowToLoad{&ledger{bend: bend(i)}, func() {
						if i == 0 {
							loads++
							loading++
							most = max(most, loading)
							defer func() { loading-- }()
						}
						c.w.Sleep(3 * time.Second)
					}}, nil
				}},
			}
		}
		c.startWithLedgers()
		_, _ = c.say(0, "10")
		for i := range c.hosts {
			if err := c.snapshot(i); err != nil {
				t.Errorf("a snapshot of host %d: %v", i, err)
			}
		}
		c.w.Isolate(0) // it gets the mark and the command behind it in one piece
		c.until("the others execute it", func() bool { _, err := c.say(1, "7"); return err == nil })
		c.until("they agree on a mark", func() bool { return c.snapshot(1) == nil })
		var want int64
		for _, cmd := range []string{"poison", "1", "1"} {
			n, err := c.say(1, cmd)
			if err != nil {
				t.Errorf("%q: %v", cmd, err)
			}
			want = n
		}
		c.w.HealAll()
		c.until("host 0 serves", func() bool { return w.counts[0][env.ReplicaFit] > 0 })
		c.w.Sleep(10 * time.Second) // another machine would be loaded by now
		if got, err := c.hear(0); err != nil || got != want {
			t.Errorf("host 0 says %d, %v; want %d", got, err, want)
		}
		if w.counts[0][env.ReplicaDiverged] != 1 || w.counts[0][env.ReplicaUnfit] != 1 || loads != 1 || most != 1 {
			t.Errorf("host 0 differed %d times, was %d times out of service, loaded %d machines, %d at once; want each once",
				w.counts[0][env.ReplicaDiverged], w.counts[0][env.ReplicaUnfit], loads, most)
		}
	})
}
