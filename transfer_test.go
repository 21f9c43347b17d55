package lockstep_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// load adds one to the counter again and again on every host, several at a time, and notes what becomes
// of it.
type load struct {
	acked   int64
	longest time.Duration // of the answered ones
	failed  []error
	running int
	ends    bool
}

// streams is how many commands each host has under way.
const streams = 4

func (c *island) load(hosts ...int) *load {
	l := &load{}
	for _, i := range hosts {
		for range streams {
			l.running++
			c.w.Go(i, "load", func() {
				defer func() { l.running-- }()
				add := lockstep.Typed(c.hosts[i].Group(1), counter.Machine)
				for !l.ends {
					began := c.w.Now()
					if _, err := add.Propose(c.w.Context(), counter.Add{N: 1}); err != nil {
						l.failed = append(l.failed, err)
					} else {
						l.acked++
						l.longest = max(l.longest, c.w.Now()-began)
					}
					c.w.Sleep(time.Millisecond)
				}
			})
		}
	}
	return l
}

// end stops the load, and says whether the counter is what was acknowledged.
func (c *island) end(l *load, ask int) {
	l.ends = true
	c.until("the load to end", func() bool { return l.running == 0 })
	if n, err := c.get(ask, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil || n < l.acked || n > l.acked+int64(len(l.failed)) {
		c.t.Errorf("the counter is %d, %v, after %d acknowledged commands and %d that failed", n, err, l.acked, len(l.failed))
	}
}

// transfer has host i, which leads, hand over to another, and gives the time that it took.
func (c *island) transfer(i, to int) (took time.Duration, err error) {
	began := c.w.Now()
	c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), 2*time.Second)
		defer cancel()
		err = c.hosts[i].Group(1).TransferLeader(ctx, lockstep.HostID(to+1))
	})
	return c.w.Now() - began, err
}

// Whoever proposes while leadership moves waits for the next leader: nothing is refused, nothing is done
// twice, and nobody waits long.
func TestTransferUnderLoadFailsNoCall(t *testing.T) {
	for seed := range seedsOf(5, 1) {
		inWorld(t, 70+seed, 3, time.Minute, func(c *island) {
			if !c.began() {
				return
			}
			l := c.load(0, 1, 2)
			for range 10 {
				c.w.Sleep(200 * time.Millisecond)
				lead := c.leader(1)
				if took, err := c.transfer(lead, (lead+1)%3); err != nil || took > 50*time.Millisecond {
					t.Errorf("seed %d: leadership handed over after %v: %v", seed, took, err)
				}
			}
			c.end(l, 0)
			if len(l.failed) > 0 || l.longest > 50*time.Millisecond {
				t.Errorf("seed %d: of %d commands %d failed (first: %v), one took %v", seed, l.acked, len(l.failed), errors.Join(l.failed[:min(1, len(l.failed))]...), l.longest)
			}
		})
	}
}

// What waits for a target that does not take over goes to the log of the leader that stays, after an
// election timeout.
func TestTransferThatFailsLetsGoWhatWaits(t *testing.T) {
	inWorld(t, 76, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		lead := c.leader(1)
		target := (lead + 1) % 3
		l := c.load(lead, (lead+2)%3)
		c.w.Sleep(200 * time.Millisecond)
		c.w.Disk(target).Stuck = true
		if _, err := c.transfer(lead, target); err == nil {
			t.Error("a host whose disk stands still has taken over")
		}
		c.end(l, lead)
		c.w.Disk(target).Stuck = false
		if _, err := c.transfer(lead, 3); lockstep.OutcomeOf(err) != lockstep.NotCommitted || !errors.Is(err, lockstep.ErrOptions) {
			t.Errorf("transfer to a host that is none of the group's: %v", err)
		}
		if now := c.leader(1); now != lead {
			t.Errorf("host %d leads, not %d", now, lead)
		}
		// It is asked for again and again, and what waits gets its turn in between.
		if len(l.failed) > 0 || l.longest > 500*time.Millisecond {
			t.Errorf("of %d commands %d failed, one took %v", l.acked, len(l.failed), l.longest)
		}
	})
}
