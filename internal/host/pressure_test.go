package host

import (
	"errors"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// heldView is a view that counts how often it was closed.
type heldView struct {
	machine.View
	closed int
}

func (v *heldView) Close() error {
	v.closed++
	return nil
}

// Of the views of marks the newest stays as long as the log presses, and each other one is given back once:
// the pressure may end while a lane is at a mark, and a snapshot may fail after a newer mark has come.
func TestOneViewIsHeldWhileTheLogPresses(t *testing.T) {
	alone(t, func(w *world.World, h *Host) {
		g := &group{h: h}
		views := map[raft.Index]*heldView{}
		hold := func(i raft.Index) {
			p := &pin{view: &heldView{}}
			p.header.Meta.Identity.Index = i
			views[i] = p.view.(*heldView)
			w.Do(0, func() { g.lane.hold(g, p) })
		}
		want := func(held raft.Index) {
			w.Sleep(time.Millisecond)
			if p := g.lane.held; (p == nil) != (held == 0) || p != nil && p.header.Meta.Index() != held {
				t.Errorf("held is %v, want the view of %d", p, held)
			}
			for i, v := range views {
				if (v.closed == 0) != (i == held) || v.closed > 1 {
					t.Errorf("view of %d was closed %d times while that of %d is held", i, v.closed, held)
				}
			}
		}
		hold(1)
		want(0)
		g.lane.holds.Store(true)
		hold(3)
		hold(2)
		want(3)
		hold(4)
		want(4)
		g.lane.stopped = true
		w.Do(0, g.dropHeld)
		hold(5)
		want(0)
	})
}

// Pressure asks a snapshot that cannot be written less and less often, and one that is written of a part of the time.
func TestPressureSpreadsSnapshots(t *testing.T) {
	var p pace
	failed := errors.New("machine cannot be saved")
	for _, want := range []time.Duration{2, 4, 8, 8} {
		p.ended(time.Minute, time.Millisecond, failed)
		if got := p.until - time.Minute; got != want*time.Second {
			t.Errorf("after %d failures it waits %v, want %vs", p.failed, got, int(want))
		}
	}
	p.ended(time.Minute, 3*time.Second, nil)
	if got := p.until - time.Minute; got != 21*time.Second || p.failed != 0 {
		t.Errorf("after one of 3s it waits %v", got)
	}
}
