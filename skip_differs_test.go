package lockstep_test

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// A machine that differed twice waits for a snapshot of the others, who are stopped at a command and have none: it begins
// with its own, stops there as well, and the command can be passed over.
func TestMachineThatDiffersDoesNotKeepACommandFromBeingPassedOver(t *testing.T) {
	mended := false
	poison := poisoned(&mended)
	bend := func(host int) func(*ledger, string) int64 {
		return func(l *ledger, cmd string) int64 {
			if host == 2 && cmd == "7" {
				return 1000
			}
			return poison(host)(l, cmd)
		}
	}
	ledgers(t, 72, 3, bend, func(c *island, w *watcher) {
		if c.leader(1) == 2 {
			_, _ = c.transfer(2, 0)
		}
		for range 10 {
			_, _ = c.say(0, "1")
		}
		c.noSnapshots()
		_, _ = c.say(0, "7")
		c.w.Go(world.Driver, "mark", func() { _ = c.snapshot(0) })
		if !c.until("host 2 is found to differ twice", func() bool { return w.counts[2][env.ReplicaDiverged] > 1 }) {
			return
		}
		_, _ = c.say(0, "poison")
		at, _ := c.stoppedAt(0, 1)
		c.heal()
		if !c.until("host 2 to stop there as well", func() bool { return c.hosts[2].Group(1).Status().State == "quarantined" }) {
			return
		}
		if same, _ := c.stoppedAt(2); same != at {
			t.Errorf("host 2 stops at %v, the others at %v", same, at)
		}
		c.until("it is passed over", func() bool { return c.skip(1, at) == nil })
		c.until("all serve", func() bool { return c.all(17) })
	})
}
