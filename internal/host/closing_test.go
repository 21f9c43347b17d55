package host

import (
	"errors"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// A replica can be called as soon as it is found, and that may be before it stands before the turn. One that comes to
// the turn behind the host's end has calls that nobody would look for: it ends them (H4).
func TestReplicaThatBeginsInACloseEndsItsCalls(t *testing.T) {
	aloneOnTurn(t, func(h *Host, g *group) {
		delete(h.groups, g.id) // as before it was added
		h.order = h.order[:1]
		c := newCounterCall(t, h)
		if err := h.start(g.id, c); err != nil {
			t.Error(err)
			return
		}
		h.closed.Store(true)
		h.handle(&event{kind: evClose})
		if c.Done() {
			t.Error("the call has ended before its replica began")
		}
		h.handle(&event{kind: evAdd, g: g})
		if !c.Done() || !errors.Is(c.Err, ErrClosed) {
			t.Errorf("done: %v, with %v, want %v", c.Done(), c.Err, ErrClosed)
		}
	})
}

// Nor does one let calls in again whose machine was made anew, and has executed what the former one had, behind the
// host's end (H4).
func TestMachineMadeAnewInACloseLetsNoCallIn(t *testing.T) {
	aloneOnTurn(t, func(h *Host, g *group) {
		g.ail(errNoState)
		g.rebuild.replays, g.rebuild.through = true, g.r.Handed()
		h.closed.Store(true)
		h.handle(&event{kind: evClose})
		h.handle(&event{kind: evApplied, g: g, life: g.lane.lifeNow(), index: g.r.Handed()})
		c := newCounterCall(t, h)
		c.g = g
		if err := g.accept(c); err == nil {
			t.Error("a call is let in, and nobody will look for it")
		}
	})
}

// aloneOnTurn runs test on the turn of a host of its own, beside its group 1.
func aloneOnTurn(t *testing.T, test func(h *Host, g *group)) {
	t.Helper()
	alone(t, func(w *world.World, h *Host) {
		onTurn(w, []*Host{h}, 0, func(h *Host) { test(h, h.groups[1]) })
	})
}

func newCounterCall(t *testing.T, h *Host) *Call {
	t.Helper()
	cmd, err := counter.Machine.EncodeCommand(counter.Add{N: 1})
	if err != nil {
		t.Error(err)
	}
	return &Call{cmd: cmd, waiter: h.env.NewWaiter()}
}
