package lockstep_test

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// Commands that come while the last entry is not committed share the next: few entries are under way,
// and full, also where the disk is much faster than the majority's answer.
func TestCommandsShareEntriesUntilTheMajorityAnswers(t *testing.T) {
	inWorld(t, 9, 3, time.Minute, func(c *island) {
		c.startAll()
		for i := range c.hosts {
			if _, err := c.create(i, 1, 10*time.Second); err != nil {
				t.Error(err)
				return
			}
		}
		lead := c.leader(1)
		g := c.hosts[lead].Group(1)
		c.w.Sleep(time.Second)
		c.w.Disk(lead).Slow = 0.01
		before := g.Status().Applied
		calls := make([]lockstep.Call, 200)
		for i := range calls {
			c.w.Do(lead, func() {
				cmd, _ := counter.Machine.EncodeCommand(counter.Add{N: 1})
				if err := g.Start(cmd, &calls[i]); err != nil {
					t.Error(err)
				}
			})
			c.w.Sleep(50 * time.Microsecond)
		}
		c.w.Do(lead, func() {
			for i := range calls {
				if _, err := calls[i].Wait(c.w.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		if n := int(g.Status().Applied - before); n > len(calls)/2 {
			t.Errorf("%d commands made %d entries", len(calls), n)
		} else {
			t.Logf("%d commands made %d entries", len(calls), n)
		}
	})
}

// A leader whose majority is far away, or gone, does not wait for it before it writes on.
func TestEntriesGoOnWithoutTheMajoritysAnswer(t *testing.T) {
	inWorld(t, 10, 3, time.Minute, func(c *island) {
		c.startAll()
		for i := range c.hosts {
			if _, err := c.create(i, 1, 10*time.Second); err != nil {
				t.Error(err)
				return
			}
		}
		lead := c.leader(1)
		g := c.hosts[lead].Group(1)
		c.w.Sleep(time.Second)
		for i := range c.hosts {
			if i != lead {
				c.w.Cut(i, lead)
			}
		}
		before := c.w.Disk(lead).Syncs()
		var calls [4]lockstep.Call
		for i := range calls {
			c.w.Do(lead, func() {
				cmd, _ := counter.Machine.EncodeCommand(counter.Add{N: 1})
				if err := g.Start(cmd, &calls[i]); err != nil {
					t.Error(err)
				}
			})
			c.w.Sleep(5 * time.Millisecond)
		}
		if n := c.w.Disk(lead).Syncs() - before; n < uint64(len(calls)) {
			t.Errorf("%d syncs for %d commands, each after the write of the one before", n, len(calls))
		}
	})
}
