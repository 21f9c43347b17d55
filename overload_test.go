package lockstep_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

// sink takes any command.
type sink struct{ ledger }

func (s *sink) Apply(batch []machine.Command, out *machine.Results) error {
	s.sum += int64(len(batch))
	for range batch {
		out.Reply(nil)
	}
	return nil
}

// offer has the clients of three hosts, whose disks bound what the group takes, begin so many commands a second
// whatever becomes of those before, and says how many a second are answered within a second of their beginning, and
// how many are refused as busy.
func offer(t *testing.T, rate int) (goodput, refused float64) {
	const every, warm, length = 5 * time.Millisecond, time.Second, 4 * time.Second
	inWorld(t, 66, 3, 10*time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) {
			o.MaxInboxBytes, o.MaxWALBytes = 1<<20, 256<<20
			o.Machines = map[string]machine.Kind{
				"sink": {New: func(*machine.Place) (machine.StateMachine, error) { return &sink{}, nil }},
			}
		}
		c.startAll()
		for i := range c.hosts {
			_ = c.call(i, 20*time.Second, func(ctx context.Context, h *lockstep.Host) error {
				_, err := h.Create(ctx, 1, lockstep.GroupOptions{Machine: "sink"})
				return err
			})
			c.w.Disk(i).Slow = 20
		}
		cmd, began := make([]byte, 4<<10), c.w.Now()
		good, busy, due := 0, 0, 0.0
		counts := func(at time.Duration) bool { return at >= began+warm && at < began+length }
		for c.w.Now() < began+length {
			due += float64(rate) * every.Seconds() / float64(len(c.hosts))
			n := int(due)
			due -= float64(n)
			at := c.w.Now()
			for i := range c.hosts {
				c.w.Do(i, func() {
					g := c.hosts[i].Group(1)
					for range n {
						call := &lockstep.Call{OnDone: func(call *lockstep.Call) {
							switch _, err := call.Wait(nil); { //nolint:staticcheck // it is done
							case !counts(at):
							case err == nil && c.w.Now()-at <= time.Second:
								good++
							case errors.Is(err, lockstep.ErrBusy):
								busy++
							}
						}}
						if err := g.Start(cmd, call); errors.Is(err, lockstep.ErrBusy) && counts(at) {
							busy++
						}
					}
				})
			}
			c.w.Sleep(every)
		}
		c.w.Sleep(2 * time.Second)
		if lead := c.hosts[c.leader(1)].Group(1).Status(); lead.Term > 3 {
			t.Errorf("at %d commands a second the group elected: term %d", rate, lead.Term)
		}
		measured := (length - warm).Seconds()
		goodput, refused = float64(good)/measured, float64(busy)/measured
	})
	return goodput, refused
}

// Ten times as many commands as the group can take are refused at once, for the most part, and those that
// are taken are answered in time: goodput stays at four fifths of its peak, or above (A9).
func TestOverloadTenTimesOverKeepsGoodput(t *testing.T) {
	t.Parallel()
	peak, at := 0.0, 0
	for rate := 250; ; rate *= 2 {
		goodput, refused := offer(t, rate)
		t.Logf("offered %d a second: %.0f answered in time, %.0f refused", rate, goodput, refused)
		if goodput > peak {
			at = rate
		}
		grew := goodput > 1.05*peak
		peak = max(peak, goodput)
		if !grew {
			break
		}
		if rate > 1<<16 {
			t.Fatalf("the group takes %d a second: nothing bounds it", rate)
		}
	}
	goodput, refused := offer(t, 10*int(peak))
	t.Logf("offered %d a second: %.0f answered in time, %.0f refused", 10*int(peak), goodput, refused)
	if goodput < 0.8*peak {
		t.Errorf("ten times over, %.0f a second are answered in time; %.0f were when %d were offered", goodput, peak, at)
	}
	if refused < 8*peak {
		t.Errorf("ten times over, %.0f a second are refused: the others wait for nothing", refused)
	}
}
