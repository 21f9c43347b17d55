package lockstep_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// prefer gives hosts priorities, asked of host i.
func (c *island) prefer(i int, priorities map[lockstep.HostID]int) (got lockstep.Configuration) {
	c.t.Helper()
	c.call(i, 5*time.Second, func(ctx context.Context, h *lockstep.Host) error {
		conf, err := h.Group(1).Configuration(ctx)
		if err != nil {
			return err
		}
		conf.Priorities = priorities
		got, err = h.Group(1).Reconfigure(ctx, conf)
		return err
	})
	return got
}

// Leadership goes to the voter of the highest priority that lives, without a call that fails; one of priority 0 leads
// when no other can.
func TestLeadershipFollowsPriorities(t *testing.T) {
	inWorld(t, 80, 3, 3*time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		lead := c.leader(1)
		want, last := (lead+1)%3, (lead+2)%3
		wanted := map[lockstep.HostID]int{c.hosts[want].ID(): 9, c.hosts[last].ID(): 0}
		l := c.load(0, 1, 2)
		if got := c.prefer(last, wanted); !maps.Equal(got.Priorities, wanted) {
			t.Errorf("in force are the priorities %v", got.Priorities)
		}
		if !c.until("the preferred host to lead", func() bool { return c.leader(1) == want }) {
			return
		}
		if got := c.hosts[want].Group(1).Status().Configuration.Priorities; !maps.Equal(got, wanted) {
			t.Errorf("status tells of the priorities %v", got)
		}
		if len(l.failed) > 0 || l.longest > 50*time.Millisecond {
			t.Errorf("of %d commands %d failed (first: %v), one took %v", l.acked, len(l.failed), errors.Join(l.failed[:min(1, len(l.failed))]...), l.longest)
		}
		c.end(l, 0)
		for range 3 { // by chance the last would lead now and then
			c.w.Kill(want)
			c.until("another host to lead", func() bool { return c.leader(1) == lead })
			c.w.Start(want)
			if err := c.start(want); err != nil {
				t.Error(err)
				return
			}
			c.until("the preferred host to lead again", func() bool { return c.leader(1) == want })
		}
		// What other fields are changed to leaves priorities as they are, and none at all ends them.
		if got := c.prefer(last, nil); !maps.Equal(got.Priorities, wanted) {
			t.Errorf("a change that does not speak of them makes the priorities %v", got.Priorities)
		}
		if got := c.prefer(last, map[lockstep.HostID]int{}); got.Priorities != nil {
			t.Errorf("priorities stay: %v", got.Priorities)
		}
	})
}

// What can be no priority is refused, and says so.
func TestImpossiblePrioritiesAreRefused(t *testing.T) {
	inWorld(t, 81, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		for _, priorities := range []map[lockstep.HostID]int{{1: 256}, {2: -1}, {77: 3}} {
			c.w.Do(0, func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), time.Second)
				defer cancel()
				conf, err := c.hosts[0].Group(1).Configuration(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				conf.Priorities = priorities
				_, err = c.hosts[0].Group(1).Reconfigure(ctx, conf)
				var no *lockstep.RefusedError
				if !errors.As(err, &no) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
					t.Errorf("priorities %v: %v", priorities, err)
				}
			})
		}
	})
}

// A transfer may be asked of any host: of the leader's, of another one, and of one without a replica of the group.
func TestTransferIsAskedOfAnyHost(t *testing.T) {
	growing(t, 82, 3, 4, 2*time.Minute, func(c *island) {
		c.join(3, 0)
		for _, from := range []int{0, 1, 2, 3} {
			for _, to := range []int{0, 1, 2} {
				if took, err := c.transfer(from, to); err != nil || took > 100*time.Millisecond {
					t.Errorf("host %d asked that %d lead: after %v %v", from, to, took, err)
				}
				if now := c.leader(1); now != to {
					t.Errorf("host %d leads, not %d", now, to)
				}
			}
			before := c.leader(1)
			if _, err := c.transfer(from, -1); err != nil || c.leader(1) == before {
				t.Errorf("host %d asked that any other lead: %v, host %d does", from, err, c.leader(1))
			}
			if _, err := c.transfer(from, 3); !errors.Is(err, lockstep.ErrOptions) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
				t.Errorf("host %d asked that one lead which is no voter: %v", from, err)
			}
		}
	})
}
