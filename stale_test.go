package lockstep_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// The age of a state is what a majority confirms, also on a leader: one that is cut off does not know that
// others have gone on. A replica that is found too old asks, and is young the next time.
func TestStaleReadIsNoOlderThanItMayBe(t *testing.T) {
	inWorld(t, 220, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		young := lockstep.ReadOptions{Level: lockstep.Stale, MaxAge: 100 * time.Millisecond}
		lead := c.leader(1)
		c.w.Sleep(time.Second)
		for i := range c.hosts {
			if _, err := c.get(i, 1, time.Second, young); !errors.Is(err, lockstep.ErrStale) {
				t.Errorf("host %d is asked for nothing for a second, and knows its age: %v", i, err)
			}
			c.w.Sleep(20 * time.Millisecond)
			if _, err := c.get(i, 1, time.Second, young); err != nil {
				t.Errorf("host %d has asked, and is too old: %v", i, err)
			}
		}
		c.w.Isolate(lead)
		c.w.Sleep(150 * time.Millisecond)
		if role := c.hosts[lead].Group(1).Status().Role; role != "leader" {
			t.Fatalf("the host that is cut off is a %s already", role)
		}
		if _, err := c.get(lead, 1, time.Second, young); !errors.Is(err, lockstep.ErrStale) {
			t.Errorf("a leader that is cut off says that it is young: %v", err)
		}
		if _, err := c.get(lead, 1, time.Second, lockstep.ReadOptions{Level: lockstep.Stale, MaxAge: time.Minute}); err != nil {
			t.Errorf("a state of a second ago is older than a minute: %v", err)
		}
	})
}
