package world

import (
	"context"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// endable is a context that ends on the world's clock or by its CancelFunc. Contexts derived from
// it by package context without an end of their own share its Done channel, and are known by it.
type endable struct {
	context.Context // the parent
	w               *World
	done            chan struct{} // nil: never ends
	deadline        int64         // zero: none
	err             error
	foreign         bool // the parent can end on the real clock
	above           *endable
	below           []*endable
	waiting         []*waiter
	after           []*afterEnd
	e               event
}

type afterEnd struct{ f func() }

type worldKey struct{}

// From returns the world that a context belongs to, nil if it belongs to none.
func From(ctx context.Context) *World {
	w, _ := ctx.Value(worldKey{}).(*World)
	return w
}

// Context returns a context of this world that never ends.
func (w *World) Context() context.Context { return w.root }

// WithTimeout returns a copy of parent that ends after d of world time. The parent must never
// end, or be of this world; else waiting with the copy gives env.ErrContext.
func (w *World) WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	c := w.derive(parent)
	at := w.now + max(int64(d), 0)
	if c.deadline == 0 || at < c.deadline {
		c.deadline = at
		if c.err == nil {
			w.schedule(&c.e, max(at, w.now))
		}
	}
	return c, func() { c.cancel(context.Canceled) }
}

// WithCancel returns a copy of parent that ends with the CancelFunc, under the same condition.
func (w *World) WithCancel(parent context.Context) (context.Context, context.CancelFunc) {
	c := w.derive(parent)
	return c, func() { c.cancel(context.Canceled) }
}

func (w *World) derive(parent context.Context) *endable {
	c := &endable{Context: parent, w: w, done: make(chan struct{})}
	c.e = event{pos: nowhere, act: c}
	above, err := w.endable(parent)
	c.foreign = err != nil
	if parent.Err() != nil {
		c.cancel(parent.Err())
		return c
	}
	if above != nil {
		c.above, c.deadline = above, above.deadline
		above.below = append(above.below, c)
	}
	w.ends[c.done] = c
	return c
}

// endable finds what ends ctx: nil if nothing ever does.
func (w *World) endable(ctx context.Context) (*endable, error) {
	c, ok := ctx.(*endable)
	if !ok {
		done := ctx.Done()
		if done == nil {
			return nil, nil
		}
		if c, ok = w.ends[done]; !ok {
			return nil, env.ErrContext
		}
	}
	if c.foreign {
		return nil, env.ErrContext
	}
	if c.done == nil {
		return nil, nil
	}
	return c, nil
}

// Deadline is on the world's calendar, which no host's needs to agree with.
func (c *endable) Deadline() (time.Time, bool) {
	if c.deadline == 0 {
		return time.Time{}, false
	}
	return c.w.opts.Epoch.Add(time.Duration(c.deadline)), true
}

// Done is closed at the end. A task must not receive from it: it waits in an env.Waiter.
func (c *endable) Done() <-chan struct{} { return c.done }

func (c *endable) Err() error { return c.err }

func (c *endable) Value(key any) any {
	if _, ok := key.(worldKey); ok {
		return c.w
	}
	return c.Context.Value(key)
}

// AfterFunc spares package context a goroutine when it derives from c: see context.AfterFunc.
func (c *endable) AfterFunc(f func()) (stop func() bool) {
	a := &afterEnd{f}
	if c.err != nil {
		f()
		return func() bool { return false }
	}
	c.after = append(c.after, a)
	return func() bool {
		i := slices.Index(c.after, a)
		if i < 0 {
			return false
		}
		c.after = slices.Delete(c.after, i, i+1)
		return true
	}
}

func (c *endable) fire(uint8) { c.cancel(context.DeadlineExceeded) }

func (c *endable) cancel(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	close(c.done)
	delete(c.w.ends, c.done)
	c.w.cancel(&c.e)
	if c.above != nil {
		c.above.below = remove(c.above.below, c)
		c.above = nil
	}
	for len(c.waiting) > 0 {
		c.waiting[0].release(err) // takes itself out
	}
	for len(c.below) > 0 {
		c.below[0].cancel(err)
	}
	for len(c.after) > 0 {
		f := c.after[0].f
		c.after = c.after[1:]
		f()
	}
}

func (c *endable) drop(v *waiter) { c.waiting = remove(c.waiting, v) }

// remove takes x out of s, keeping the order.
func remove[T comparable](s []T, x T) []T {
	if i := slices.Index(s, x); i >= 0 {
		return slices.Delete(s, i, i+1)
	}
	return s
}
