package lockstep_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// busy keeps which budgets refused calls on a host.
type busy struct{ budgets []string }

func (b *busy) Observe(e env.Event) {
	if e.Kind == env.CallBusy {
		b.budgets = append(b.budgets, e.Text)
	}
}

// last is the budget that refused the newest call.
func (b *busy) last() string {
	if len(b.budgets) == 0 {
		return "none"
	}
	return b.budgets[len(b.budgets)-1]
}

// wantBusy checks that err refuses a call for want of room, as what is in no log, with a hint.
func wantBusy(t *testing.T, what string, err error) {
	t.Helper()
	var e *lockstep.Error
	if !errors.Is(err, lockstep.ErrBusy) || !errors.As(err, &e) || e.Outcome != lockstep.NotCommitted || e.RetryAfter <= 0 {
		t.Errorf("%s: %v (%v); want ErrBusy, not committed, with RetryAfter", what, err, lockstep.OutcomeOf(err))
	}
}

// budget is what the tests give each host of each kind.
const budget = 64 << 10

func TestInboxRefusesAtItsBudgetAndClears(t *testing.T) {
	inWorld(t, 61, 1, 2*time.Minute, func(c *island) {
		var seen busy
		c.tune = func(_ int, o *lockstep.Options) { o.MaxInboxBytes, o.Observer = budget, &seen }
		if !c.began() {
			return
		}
		h, g := c.hosts[0], c.hosts[0].Group(1)
		cost := int64(len(addOne)) + 64
		c.w.Disk(0).Stuck = true
		var calls []*lockstep.Call
		c.w.Do(0, func() {
			for {
				call := new(lockstep.Call)
				held := h.Status().InboxBytes
				if err := g.Start(addOne, call); err != nil {
					wantBusy(t, "start", err)
					if held+cost <= budget {
						t.Errorf("refused at %d bytes, %d below the budget", held, budget-held)
					}
					break
				}
				calls = append(calls, call)
			}
			if held := h.Status().InboxBytes; held > budget {
				t.Errorf("%d bytes wait, the budget is %d", held, budget)
			}
			_, err := g.Propose(c.w.Context(), addOne)
			wantBusy(t, "propose", err)
			if seen.last() != "inbox" {
				t.Errorf("the observer was told of budget %q", seen.last())
			}
			c.w.Disk(0).Stuck = false
			for i, call := range calls {
				if _, err := call.Wait(c.w.Context()); err != nil {
					t.Errorf("call %d of %d, which was accepted: %v", i, len(calls), err)
				}
			}
		})
		if held := h.Status().InboxBytes; held != 0 {
			t.Errorf("%d bytes are held after every call has ended", held)
		}
		if n, err := c.add(0, 1, time.Second); err != nil || n != int64(len(calls))+1 {
			t.Errorf("after it cleared: %d, %v; want %d: what was refused is in no log", n, err, len(calls)+1)
		}
	})
}

func TestWaitingReadsAreRefusedAtTheInboxBudgetAndClear(t *testing.T) {
	inWorld(t, 62, 3, 2*time.Minute, func(c *island) {
		var seen busy
		c.tune = func(i int, o *lockstep.Options) {
			o.MaxInboxBytes = budget
			if i == 0 {
				o.Observer = &seen
			}
		}
		if !c.leftAlone() {
			return
		}
		h, g := c.hosts[0], c.hosts[0].Group(1)
		ctx, cancel := c.w.WithTimeout(c.w.Context(), 5*time.Second)
		defer cancel()
		query := make([]byte, 1024)
		reads, late := 0, 0
		ended := map[error]int{}
		for seen.last() != "inbox" && reads < 1000 {
			held := h.Status().InboxBytes
			reads++
			read := func() error { _, err := g.Read(ctx, query, lockstep.ReadOptions{}); return err }
			if reads%2 == 0 { // a View has no query, and is no less of a wait
				read = func() error { _, _, err := g.View(ctx, lockstep.ReadOptions{}); return err }
			}
			c.w.Go(0, "read", func() {
				err := read()
				if errors.Is(err, lockstep.ErrBusy) {
					wantBusy(t, "read", err)
					if held+int64(len(query))+256 <= budget {
						t.Errorf("refused at %d bytes, %d below the budget", held, budget-held)
					}
				}
				ended[errors.Unwrap(err)]++
				if errors.Is(err, context.DeadlineExceeded) {
					late++
				}
			})
			c.w.Sleep(time.Millisecond)
		}
		if held := h.Status().InboxBytes; held > budget || ended[lockstep.ErrBusy] != 1 {
			t.Errorf("%d bytes wait of %d reads, the budget is %d; ended: %v", held, reads, budget, ended)
		}
		c.w.Do(0, func() {
			_, err := g.Propose(ctx, make([]byte, 2048))
			wantBusy(t, "propose beside the reads", err)
		})
		c.w.Sleep(5 * time.Second)
		if held := h.Status().InboxBytes; held != 0 || late != reads-1 {
			t.Errorf("%d bytes are held after every read of %d has ended: %v", held, reads, ended)
		}
		for _, i := range []int{1, 2} {
			c.w.Start(i)
			if err := c.start(i); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.get(0, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil {
			t.Errorf("read after it cleared: %v", err)
		}
	})
}

// slow executes nothing until it is let go.
type slow struct {
	alarm
	wait func()
	done int
}

func (s *slow) Apply(batch []machine.Command, out *machine.Results) error {
	s.wait()
	for range batch {
		s.done++
		out.Reply(nil)
	}
	return nil
}

func TestSlowMachineRefusesAtItsBudgetAndClears(t *testing.T) {
	inWorld(t, 63, 1, 2*time.Minute, func(c *island) {
		var seen busy
		held := false
		var m *slow
		let := c.w.Host(0).NewWaiter()
		c.tune = func(_ int, o *lockstep.Options) {
			o.MaxApplyBytes, o.Observer, o.MaxWALBytes = budget, &seen, 16<<20
			o.Machines = map[string]machine.Kind{"slow": {New: func(*machine.Place) (machine.StateMachine, error) {
				m = &slow{wait: func() {
					for held {
						_ = let.Wait(nil, 0) //nolint:staticcheck // the test lets it go
					}
				}}
				return m, nil
			}}}
		}
		c.startAll()
		c.w.Do(0, func() {
			g, err := c.hosts[0].Create(c.w.Context(), 1, lockstep.GroupOptions{Machine: "slow"})
			if err != nil {
				t.Error(err)
				return
			}
			held = true
			cmd := make([]byte, 4096)
			var calls []*lockstep.Call
			for len(calls) < 100 {
				call := new(lockstep.Call)
				if err := g.Start(cmd, call); err != nil {
					t.Errorf("start: %v", err)
				}
				c.w.Sleep(20 * time.Millisecond) // until it is committed, or refused
				if seen.last() == "apply" {
					_, err := call.Wait(c.w.Context())
					wantBusy(t, "start", err)
					break
				}
				calls = append(calls, call)
			}
			// The first is with the machine already. An entry is a little longer than its command.
			if n := len(calls) - 1; n*len(cmd) > budget || (n+1)*(len(cmd)+16) < budget {
				t.Errorf("%d commands of %d bytes waited for the machine when one was refused, the budget is %d", n, len(cmd), budget)
			}
			held = false
			let.Wake()
			for i, call := range calls {
				if _, err := call.Wait(c.w.Context()); err != nil {
					t.Errorf("call %d of %d, which was accepted: %v", i, len(calls), err)
				}
			}
			if _, err := g.Propose(c.w.Context(), cmd); err != nil || m.done != len(calls)+1 {
				t.Errorf("after it cleared: %v; %d executed, want %d: what was refused is in no log", err, m.done, len(calls)+1)
			}
		})
	})
}

// Every follower may have its whole inbox on the way to the leader: what waits there for the disk has
// the leader's own bound.
func TestForwardsBeyondTheLeadersInboxAreRefusedAndClear(t *testing.T) {
	inWorld(t, 64, 5, 2*time.Minute, func(c *island) {
		seen := make([]busy, 5)
		c.tune = func(i int, o *lockstep.Options) {
			o.MaxInboxBytes, o.Observer = budget, &seen[i]
			o.Heartbeat, o.ElectionTimeout = 500*time.Millisecond, 10*time.Second
		}
		if !c.began() {
			return
		}
		lead := c.leader(1)
		c.w.Disk(lead).Stuck = true
		cmd := make([]byte, 2048) // no command of the counter's: a refusal, once it is executed
		calls := make([][]*lockstep.Call, 5)
		for i := range c.hosts {
			if i == lead {
				continue
			}
			c.w.Do(i, func() {
				for range budget/len(cmd) - 2 {
					call := new(lockstep.Call)
					if err := c.hosts[i].Group(1).Start(cmd, call); err != nil {
						t.Errorf("start on host %d, below its budget: %v", i, err)
						continue
					}
					calls[i] = append(calls[i], call)
				}
			})
		}
		c.w.Sleep(time.Second)
		c.w.Disk(lead).Stuck = false
		taken, refused := 0, 0
		wait := func(call *lockstep.Call) {
			_, err := call.Wait(c.w.Context())
			var no *machine.Refusal
			switch {
			case errors.As(err, &no):
				taken += len(cmd)
			case errors.Is(err, lockstep.ErrBusy):
				wantBusy(t, "forwarded", err)
				refused++
			default:
				t.Errorf("forwarded: %v", err)
			}
		}
		for i := range calls {
			c.w.Do(i, func() {
				for _, call := range calls[i] {
					wait(call)
				}
			})
		}
		// One frame's forwards are in the entry that the disk writes, or is to write; the rest waits.
		if refused == 0 || taken < budget-2*len(cmd) || taken > 2*budget {
			t.Errorf("the leader took %d bytes of forwards while its disk hung, refused %d calls; its budget is %d", taken, refused, budget)
		}
		if _, err := c.add((lead+1)%5, 1, 5*time.Second); err != nil {
			t.Errorf("after it cleared: %v", err)
		}
	})
}

// Reads that nobody can confirm, more of them than the algorithm takes at once, wait for their caller
// to lose patience: the turn goes on, or no leader could ever be elected.
func TestManyReadsWithoutALeaderDoNotKeepTheTurnBusy(t *testing.T) {
	inWorld(t, 65, 3, 2*time.Minute, func(c *island) {
		if !c.leftAlone() {
			return
		}
		ctx, cancel := c.w.WithTimeout(c.w.Context(), 20*time.Second)
		defer cancel()
		const reads = 6000
		answered := 0
		var failed error
		for range reads {
			c.w.Go(0, "read", func() {
				if _, err := lockstep.Typed(c.hosts[0].Group(1), counter.Machine).Read(ctx, counter.Get{}, lockstep.ReadOptions{}); err == nil {
					answered++
				} else if failed == nil {
					failed = err
				}
			})
		}
		c.w.Sleep(time.Second)
		for _, i := range []int{1, 2} {
			c.w.Start(i)
			if err := c.start(i); err != nil {
				t.Error(err)
			}
		}
		c.w.Sleep(10 * time.Second)
		if answered != reads {
			t.Errorf("%d of %d reads were answered once there was a leader: %v", answered, reads, failed)
		}
	})
}
