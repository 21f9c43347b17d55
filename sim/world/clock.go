package world

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

type clock struct{ l *life }

func (c clock) Now() time.Duration {
	c.l.alive()
	return time.Duration(c.l.h.monotonic() - c.l.origin)
}

func (c clock) Wall() time.Time {
	c.l.alive()
	return c.l.h.wall()
}

func (c clock) AfterFunc(d time.Duration, f func()) env.Timer {
	c.l.alive()
	t := &timer{l: c.l, f: f}
	t.e = event{pos: nowhere, act: t}
	t.Reset(d)
	return t
}

// timer is a pending AfterFunc.
type timer struct {
	l   *life
	f   func()
	e   event
	due int64 // on the host's clock
}

func (t *timer) Stop() bool {
	t.l.alive()
	return t.l.w.cancel(&t.e)
}

func (t *timer) Reset(d time.Duration) {
	t.l.alive()
	t.l.w.cancel(&t.e)
	t.due = t.l.h.monotonic() + max(int64(d), 0)
	t.l.w.schedule(&t.e, t.l.h.at(t.due))
}

func (t *timer) fire(uint8) {
	l := t.l
	if l.dead {
		return
	}
	if l.h.paused {
		l.h.hold(&t.e)
		return
	}
	if l.h.monotonic() < t.due { // the clock has been slowed since
		l.w.schedule(&t.e, l.h.at(t.due))
		return
	}
	w, c := l.w, l.w.clock
	c.lives = append(c.lives[:0], place{l, 0})
	c.turns = 0
	w.cur = c
	defer func() {
		if v := recover(); v != nil && c.dying == nil {
			w.fail(c, v, debug.Stack())
		}
		c.dying, c.lives = nil, c.lives[:0]
		w.cur = nil
	}()
	t.f()
}

// Drift makes host h's clocks run ppm parts in a million too fast from now on; below zero, slow.
func (w *World) Drift(h int, ppm int) {
	if ppm <= -500_000 || ppm >= 1_000_000 {
		panic(fmt.Sprintf("world: drift of %d ppm", ppm))
	}
	o := w.host(h)
	o.mono, o.since, o.ppm = o.monotonic(), w.now, int64(ppm)
	w.mix(uint64(h)<<8 | 6)
	w.tracef(o, "drift", "ppm=%d", ppm)
}

// JumpWall moves host h's calendar by d; its monotonic clock does not notice.
func (w *World) JumpWall(h int, d time.Duration) {
	w.host(h).offset += d
	w.mix(uint64(h)<<8 | 7)
	w.tracef(w.host(h), "jump-wall", "by=%v", d)
}
