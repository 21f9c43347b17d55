package lockstep_test

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// What was passed over is not seen on a host that has just started either, of a build that can execute it: its machine
// does not come to the command before it is known what is committed, whatever a read asks for (H28).
func TestNobodySeesWhatIsPassedOverAfterAStart(t *testing.T) {
	for seed := range uint64(4) {
		mended := false
		ledgers(t, 400+seed, 3, undecided(&mended), func(c *island, _ *watcher) {
			at, ok := c.passedOver()
			if !ok {
				return
			}
			mended = true
			for i := range c.hosts {
				c.w.Isolate(i)
				c.restart(i)
				for range 200 {
					c.w.Do(i, func() {
						ctx, cancel := c.w.WithTimeout(c.w.Context(), 10*time.Millisecond)
						defer cancel()
						r, err := c.hosts[i].Group(1).Read(ctx, nil, lockstep.ReadOptions{Level: lockstep.AtLeast, After: at.Index})
						if err == nil && string(r.Data) != "4" {
							t.Errorf("seed %d: host %d says %s at index %d", seed, i, r.Data, r.Index)
						}
					})
					c.w.Sleep(5 * time.Millisecond)
				}
				c.w.HealAll()
				c.until("all serve", func() bool { return c.all(4) })
			}
		})
	}
}
