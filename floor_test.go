package lockstep_test

import (
	"testing"
	"time"
)

// TestHostThatStartsAloneExecutesThroughItsFloor: what a host's last save says to be committed it executes by itself, without
// a leader; and nothing that is not committed, be it in its log (R19).
func TestHostThatStartsAloneExecutesThroughItsFloor(t *testing.T) {
	for seed := range seedsOf(10, 3) {
		inWorld(t, 500+seed, 3, 5*time.Minute, func(c *island) {
			if !c.began() {
				return
			}
			add := func(n int) {
				for range n {
					if _, err := c.add(0, 1, 5*time.Second); err != nil {
						t.Error(err)
					}
				}
				c.w.Sleep(time.Second)
			}
			add(20) // all know that these are committed
			known := c.hosts[0].Group(1).Status().Commit
			add(1) // and save that with this one
			lead := c.leader(1)
			commit := c.hosts[lead].Group(1).Status().Commit
			c.w.Isolate(lead)
			if _, err := c.add(lead, 1, 20*time.Millisecond); err == nil {
				t.Error("committed without a majority")
			}
			c.w.PowerOff(0, 1, 2)
			for i := range c.hosts {
				c.w.Start(i)
				if err := c.start(i); err != nil {
					t.Error(err)
					return
				}
				c.w.Sleep(2 * time.Second)
				if s := c.hosts[i].Group(1).Status(); s.Applied < known || s.Applied > commit || s.Leader != 0 {
					t.Errorf("seed %d: host %d, of %d, alone has executed through %d, under leader %d; its save knew of %d, committed were %d", seed, i, lead, s.Applied, s.Leader, known, commit)
				}
				c.w.PowerOff(i)
			}
		})
	}
}
