package lockstep_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// Commands that come while the last entry is not committed share the next: few entries are under way,
// and full, also where the disk is much faster than the majority's answer.
func TestCommandsShareEntriesUntilTheMajorityAnswers(t *testing.T) {
	inWorld(t, 9, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		lead := c.leader(1)
		g := c.hosts[lead].Group(1)
		c.w.Sleep(time.Second)
		c.w.Disk(lead).Slow = 0.01
		before := g.Status().Applied
		calls := make([]lockstep.Call, 200)
		for i := range calls {
			c.w.Do(lead, func() {
				if err := g.Start(addOne, &calls[i]); err != nil {
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

// Whoever is answered and calls again at once is in the next entry, with all who were in the last one: not
// half of them, who then wait for the others' entry.
func TestWhoCallsAgainSharesTheNextEntry(t *testing.T) {
	inWorld(t, 11, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		lead := c.leader(1)
		g := c.hosts[lead].Group(1)
		c.w.Sleep(time.Second)
		before := g.Status().Applied
		const clients, rounds = 8, 20
		done := c.w.NewWaiter()
		open := clients
		for i := range clients {
			c.w.Go(lead, fmt.Sprintf("client %d", i), func() {
				for range rounds {
					if _, err := g.Propose(c.w.Context(), addOne); err != nil {
						t.Error(err)
					}
				}
				if open--; open == 0 {
					done.Wake()
				}
			})
		}
		_ = done.Wait(nil, 0)
		if n := int(g.Status().Applied - before); n > rounds*3/2 {
			t.Errorf("%d clients made %d entries in %d rounds", clients, n, rounds)
		} else {
			t.Logf("%d clients made %d entries in %d rounds", clients, n, rounds)
		}
	})
}

// A leader whose majority is far away, or gone, does not wait for it before it writes on.
func TestEntriesGoOnWithoutTheMajoritysAnswer(t *testing.T) {
	inWorld(t, 10, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
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
				if err := g.Start(addOne, &calls[i]); err != nil {
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
