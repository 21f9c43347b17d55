package lockstep_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// TestRestartedReplicaIsNeverEmpty ends all hosts and opens one alone. It cannot know what of its log
// is committed: a stale read says so, instead of showing the machine before everything.
func TestRestartedReplicaIsNeverEmpty(t *testing.T) {
	inWorld(t, 1, 3, 5*time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		var acked int64
		c.addAll(0, 5, &acked)
		stale := lockstep.ReadOptions{Level: lockstep.Stale}
		for i := range c.hosts { // a linearizable read executes all of it there
			if n, err := c.get(i, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil || n != acked {
				t.Errorf("host %d reads %d, %v; %d were acknowledged", i, n, err, acked)
			}
			if n, err := c.get(i, 1, 10*time.Second, stale); err != nil || n != acked {
				t.Errorf("host %d reads %d, %v; it has executed %d", i, n, err, acked)
			}
		}
		for i := range c.hosts {
			c.w.Kill(i)
		}
		c.w.Start(2)
		if err := c.start(2); err != nil {
			t.Error(err)
			return
		}
		n, err := c.get(2, 1, 10*time.Second, stale)
		if !errors.Is(err, lockstep.ErrRecovering) || !strings.Contains(err.Error(), "entries on disk are not yet known to be committed") {
			t.Errorf("host 2, alone, reads %d, %v", n, err)
		}
		if at := c.hosts[2].Group(1).Status(); at.State != "recovering" || !strings.Contains(at.Why, "entries on disk") {
			t.Errorf("host 2, alone, is %s: %s", at.State, at.Why)
		}
		c.w.Start(0)
		if err := c.start(0); err != nil {
			t.Error(err)
			return
		}
		for !c.readsStale(2, acked) {
			if c.w.Now() > 4*time.Minute {
				t.Errorf("host 2 has not caught up by %v: %+v", c.w.Now(), c.hosts[2].Group(1).Status())
				return
			}
			c.w.Sleep(50 * time.Millisecond)
		}
		c.w.Kill(0) // it has caught up once: from now on it needs nobody
		c.w.Sleep(10 * time.Second)
		if n, err := c.get(2, 1, 10*time.Second, stale); err != nil || n != acked {
			t.Errorf("host 2, without a leader, reads %d, %v; it has executed %d", n, err, acked)
		}
	})
}

// readsStale says whether host i answers a stale read. What it answers is at least want.
func (c *island) readsStale(i int, want int64) bool {
	n, err := c.get(i, 1, 10*time.Second, lockstep.ReadOptions{Level: lockstep.Stale})
	if err == nil && n < want {
		c.t.Errorf("host %d reads %d; it had executed %d before it was ended", i, n, want)
	}
	return err == nil
}
