package lockstep_test

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// The longest command that settings allow must pass every bound on its way: an entry that no frame
// can carry would stay uncommitted, and hold up everything behind it, for ever.
func TestLongestCommandCommitsFromEveryHost(t *testing.T) {
	if testing.Short() {
		t.Skip("moves hundreds of megabytes")
	}
	inWorld(t, 61, 3, 10*time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) { o.WALSegmentBytes, o.MaxWALBytes = 4<<20, 1<<30 }
		c.startAll()
		for i := range c.hosts {
			c.w.Do(i, func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), time.Minute)
				defer cancel()
				g, err := c.hosts[i].Create(ctx, 1, lockstep.GroupOptions{
					Machine: "counter", Settings: lockstep.Settings{MaxEntryBytes: 64 << 20},
				})
				if err != nil {
					t.Error(err)
					return
				}
				if i == 0 {
					return // the others follow or lead: both ways are taken
				}
				if _, err := g.Propose(ctx, make([]byte, 64<<20)); lockstep.OutcomeOf(err) != lockstep.Committed {
					t.Errorf("64 MiB proposed on host %d: %v", i, err)
				}
			})
		}
	})
}
