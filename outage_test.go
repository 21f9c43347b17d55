package lockstep_test

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// missed says how long nobody but host i leads group 1.
func (c *island) missed(i int) time.Duration {
	for at := c.w.Now(); ; c.w.Sleep(5 * time.Millisecond) {
		for k, h := range c.hosts {
			if k != i && h.Group(1).Status().Role == "leader" || c.w.Now()-at > 20*time.Second {
				return c.w.Now() - at
			}
		}
	}
}

// What took long because a host stood still, or was cut off, says nothing about how long an election takes: a leader that
// is lost in silence soon after is missed no later for it (R20).
func TestOutageMakesTheNextLossNoLonger(t *testing.T) {
	t.Parallel()
	late, all, outages := 0, 0, []time.Duration{1200, 300, 3000}
	for name, begin := range map[string]func(w *world.World, i int){"cut off": (*world.World).Isolate, "stopped": (*world.World).Pause} {
		for _, follower := range []int{0, 1} {
			for _, lasts := range outages[:seedsOf(3, 1)] {
				for seed := range seedsOf(3, 1) {
					inWorld(t, 800+seed, 3, 5*time.Minute, func(c *island) {
						c.tune = func(_ int, o *lockstep.Options) {
							o.Heartbeat, o.ElectionTimeout, o.MaxElectionTimeout = 100*time.Millisecond, 400*time.Millisecond, 2*time.Second
						}
						if !c.began() {
							return
						}
						c.load(0, 1, 2)
						c.w.Sleep(2 * time.Second)
						who := (c.leader(1) + follower) % 3
						begin(c.w, who)
						c.w.Sleep(lasts * time.Millisecond)
						c.w.HealAll()
						c.w.Resume(who)
						c.w.Sleep(2*time.Second + time.Duration(seed)*17*time.Millisecond)
						lead := c.leader(1)
						c.w.Isolate(lead)
						all++
						if took := c.missed(lead); took > time.Second {
							t.Logf("seed %d: %s for %v, follower %d: the next leader is missed for %v", seed, name, lasts*time.Millisecond, follower, took)
							late++
						}
					})
				}
			}
		}
	}
	if late > all/18 { // votes for one candidate, all of them late, are two in a row
		t.Errorf("a leader was missed for more than a second in %d of %d rounds", late, all)
	}
}
