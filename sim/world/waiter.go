package world

import (
	"context"
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// waiter is where tasks of one life park, one at a time. Connections use it too.
type waiter struct {
	l     *life
	t     *task
	end   *endable // whose end also wakes t
	due   int64    // on the host's clock, if above zero: when t gives up
	woken bool
}

func (v *waiter) Wait(ctx context.Context, until time.Duration) error {
	t := v.l.parks("wait")
	if v.woken {
		v.woken = false
		return nil
	}
	var end *endable
	if ctx != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if end, err = v.l.w.endable(ctx); err != nil {
			return err
		}
	}
	due := int64(0)
	if until > 0 {
		due = v.l.origin + int64(until)
		if due <= v.l.h.monotonic() {
			return env.ErrTimeout
		}
	}
	return v.park(t, "wait", end, due)
}

// park parks t until Wake, the end of end, or until the host's clock shows due.
func (v *waiter) park(t *task, why string, end *endable, due int64) error {
	if v.woken {
		v.woken = false
		return nil
	}
	if v.t != nil {
		panic(fmt.Sprintf("world: %v waits where %v waits already", t, v.t))
	}
	v.t, v.due = t, due
	if due > 0 {
		t.w.schedule(&t.bound, v.l.h.at(due))
	}
	if end != nil {
		v.end = end
		end.waiting = append(end.waiting, v)
	}
	return t.park(why, v)
}

func (v *waiter) Wake() {
	if t := v.l.w.cur; v.l.dead && t != nil && t.within(v.l) {
		v.l.alive()
	}
	v.stir()
}

// stir is Wake for the world's own use, which has no process to be dead.
func (v *waiter) stir() {
	if v.l.dead {
		return
	}
	if v.t == nil {
		v.woken = true
		return
	}
	v.release(nil)
}

// release ends the present Wait with err.
func (v *waiter) release(err error) {
	t := v.t
	v.forget(t)
	t.wake(err)
}

func (v *waiter) forget(t *task) {
	t.w.cancel(&t.bound)
	v.t = nil
	if v.end != nil {
		v.end.drop(v)
		v.end = nil
	}
}

func (v *waiter) timeout(t *task) {
	if v.l.h.monotonic() < v.due { // the clock has been slowed since
		t.w.schedule(&t.bound, v.l.h.at(v.due))
		return
	}
	v.release(env.ErrTimeout)
}
