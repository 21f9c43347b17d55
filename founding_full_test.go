package lockstep_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// fullAfter lets host i's disk take k more files, or pieces of them, and then no more. It tells how many were refused.
func (c *island) fullAfter(i, k int) *int {
	var refused int
	c.w.Disk(i).Hook = func(op world.Op, name string) error {
		inLog := op == world.OpWriteSync && strings.Contains(name, "/wal/") // its place is there already
		if op != world.OpCreate && op != world.OpAllocate && op != world.OpWriteSync || inLog {
			return nil
		}
		if k--; k >= 0 {
			return nil
		}
		refused++
		return syscall.ENOSPC
	}
	return &refused
}

// A host whose disk fills while it is founded, or joins, however far that got, is of the cluster as soon as there is
// room, by itself; meanwhile it says what it waits for (H15).
func TestHostThatBeginsOnAFullDiskServesOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	for name, who := range map[string]int{"minter": 0, "founder": 2, "host that joins": 3} {
		t.Run(name, func(t *testing.T) {
			for k, met := 0, true; met; k++ {
				inWorld(t, 700+uint64(k), 4, 10*time.Minute, func(c *island) { met = c.beginsFull(who, k) })
				if k == 6 && !met {
					t.Errorf("its disk was full %d times only", k)
				}
			}
		})
	}
}

// beginsFull says whether who, which begins on a disk that takes k pieces more, met its end.
func (c *island) beginsFull(who, k int) bool {
	name := fmt.Sprintf("%d pieces", k)
	var token string
	c.tune = func(i int, o *lockstep.Options) {
		if o.Founders = c.addrs[:3]; i == 3 {
			o.Founders, o.Join = nil, token
		}
	}
	order := []int{0, 1, 2, 3}
	if who < 3 {
		order = append([]int{who}, append(order[:who:who], order[who+1:3]...)...) // nothing is founded before all are there
	}
	var refused *int
	for _, i := range order {
		if i == 3 {
			_ = c.call(0, time.Minute, func(ctx context.Context, h *lockstep.Host) (err error) {
				token, err = h.Token(ctx, time.Hour)
				return err
			})
		}
		if err := c.start(i); err != nil {
			c.t.Errorf("%s: open host %d: %v", name, i, err)
			return false
		}
		if i == who {
			refused = c.fullAfter(who, k)
		}
	}
	c.w.Sleep(10 * time.Second)
	s := c.hosts[who].Status()
	if *refused == 0 || s.Why == "" && s.WALMaxBytes > 0 {
		return false // it has begun: what was refused is a segment made ahead
	}
	if s.ID == 0 && who == 2 {
		s.Why += c.hosts[0].Status().Why // it may refuse to be founded, and the one who founds says why
	}
	if !strings.Contains(s.Why, "no space left") || s.ID != 0 && s.Disk != "full" {
		c.t.Errorf("%s: meanwhile it says: %q, disk %s", name, s.Why, s.Disk)
	}
	c.w.Disk(who).Hook = nil
	freed := c.w.Now()
	c.until(name+": host serves", func() bool {
		_, err := c.create(0, 1, time.Second)
		return err == nil && c.hosts[who].Status().Why == "" && c.hosts[who].ID() != 0
	})
	if took := c.w.Now() - freed; took > 5*time.Second {
		c.t.Errorf("%s: it serves %v after there was room", name, took)
	}
	if c.reconfigure(who, 1, func(conf *lockstep.Configuration) {
		conf.Voters = []lockstep.HostID{1, 2, lockstep.HostID(max(who, 2)) + 1}
	}); c.t.Failed() {
		return false
	}
	return c.until(name+": host counts", func() bool { _, err := c.add(who, 1, 10*time.Second); return err == nil })
}
