package lockstep_test

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// TestTwiceRefusedCommandKeepsItsOrder starts two commands on host 0, one after the other. Host 1, which hands over to
// host 2, refuses the first; its way to host 2 takes so long that host 2 has handed back to host 1 meanwhile, to which
// the second goes at once. The first is refused again, and may not go to host 1 behind the second (H7).
func TestTwiceRefusedCommandKeepsItsOrder(t *testing.T) {
	reached := 0
	for seed := range uint64(3) {
		inWorld(t, 9000+seed, 3, time.Minute, func(c *island) {
			if !c.began() {
				return
			}
			of := func(i int) *lockstep.Group { return c.hosts[i].Group(1) }
			leads := func(i int) bool {
				for end := c.w.Now() + 300*time.Millisecond; c.w.Now() < end; c.w.Sleep(100 * time.Microsecond) {
					if of(i).Status().Role == "leader" && of(0).Status().Leader == lockstep.HostID(i+1) {
						return true
					}
				}
				return false
			}
			handOver := func(from, to int) {
				c.w.Go(from, "hand over", func() { _ = of(from).TransferLeader(c.w.Context(), lockstep.HostID(to+1)) })
			}
			if lead := c.leader(1); lead != 1 {
				_, _ = c.transfer(lead, 1)
			}
			if !leads(1) {
				return
			}
			c.w.Sleep(time.Second)
			var first, second lockstep.Call
			start := func(call *lockstep.Call) {
				c.w.Do(0, func() {
					if err := of(0).Start(addOne, call); err != nil {
						t.Errorf("seed %d: start: %v", seed, err)
					}
				})
			}
			c.w.Cut(1, 2)
			handOver(1, 2)
			c.w.Sleep(5 * time.Millisecond)
			start(&first) // it waits with host 1 for the handover
			c.w.Sleep(5 * time.Millisecond)
			c.w.Cut(0, 2)
			c.w.Heal(1, 2)
			if !leads(2) {
				return
			}
			c.w.Sleep(10 * time.Millisecond)
			c.w.Disk(0).Stuck = true // for a moment nothing of the next term is executed here, which would end the first
			handOver(2, 1)
			if !leads(1) {
				return
			}
			start(&second)
			c.w.Sleep(10 * time.Millisecond)
			c.w.Heal(0, 2) // the first comes to host 2, which leads no more
			c.w.Sleep(10 * time.Millisecond)
			c.w.Disk(0).Stuck = false
			reached++
			c.w.Do(0, func() {
				a, errA := first.Wait(c.w.Context())
				b, errB := second.Wait(c.w.Context())
				if errB != nil || errA == nil && (a.Index > b.Index || a.Index == b.Index && a.Ordinal > b.Ordinal) {
					t.Errorf("seed %d: the first is at %d.%d (%v), the second at %d.%d (%v)", seed, a.Index, a.Ordinal, errA, b.Index, b.Ordinal, errB)
				}
			})
		})
	}
	if reached == 0 {
		t.Error("no seed brought leadership to and fro")
	}
}
