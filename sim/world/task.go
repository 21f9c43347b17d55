package world

import (
	"fmt"
	"iter"
	"runtime/debug"
)

// A task is a coroutine: it runs alone, and gives control away only where it parks.
//
//	fresh ──▶ running ◀──▶ parked          idle: its coroutine waits to be used again
//	            │  ▲
//	            ▼  │
//	            idle
type task struct {
	w     *World
	id    uint64
	name  string
	f     func()
	state taskState
	lives []place // the life it runs in, last; below it those that called World.Do
	turns int     // depth of Enter (A11)
	timer bool    // stands in for AfterFunc's turn: may not park at all
	dying *life   // it is being unwound, up to where this life begins
	why   string  // what it is parked in
	since int64
	on    parking // where, so that an unwound task is forgotten there
	err   error   // what the park gives

	run   event // resumes it
	bound event // ends the park in a waiter
	disk  diskOp

	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
}

// A place is a task's entry in the list of one life.
type place struct {
	l   *life
	pos int
}

type parking interface{ forget(t *task) }

type taskState uint8

const (
	idle taskState = iota
	fresh
	running
	parked
)

// Kinds of a task's events.
const (
	evRun uint8 = iota
	evBound
	evDisk
)

// crash is what a task of an ended life is unwound with.
type crash struct{ l *life }

// EnvUnwinding marks it for env.Dead.
func (crash) EnvUnwinding() {}

func (c crash) Error() string {
	return fmt.Sprintf("world: %s is dead: none of its operations may be used any more", c.l)
}

// spawn makes a task of l that will run f.
func (w *World) spawn(l *life, name string, f func()) *task {
	var t *task
	if n := len(w.idle); n > 0 {
		t = w.idle[n-1]
		w.idle = w.idle[:n-1]
	} else {
		t = &task{w: w}
		t.run = event{pos: nowhere, kind: evRun, act: t}
		t.bound = event{pos: nowhere, kind: evBound, act: t}
		t.disk.done = event{pos: nowhere, kind: evDisk, act: t}
		t.next, t.stop = iter.Pull(t.body)
	}
	w.tasks++
	t.id, t.name, t.f, t.state = w.tasks, name, f, fresh
	t.enter(l)
	w.schedule(&t.run, w.now)
	return t
}

func (t *task) enter(l *life) {
	t.lives = append(t.lives, place{l, len(l.tasks)})
	l.tasks = append(l.tasks, t)
}

func (t *task) leave() {
	p := t.lives[len(t.lives)-1]
	t.lives = t.lives[:len(t.lives)-1]
	last := len(p.l.tasks) - 1
	moved := p.l.tasks[last]
	p.l.tasks[p.pos] = moved
	p.l.tasks[last] = nil
	p.l.tasks = p.l.tasks[:last]
	for i := range moved.lives {
		if moved.lives[i].l == p.l && moved.lives[i].pos == last {
			moved.lives[i].pos = p.pos
		}
	}
}

func (t *task) life() *life { return t.lives[len(t.lives)-1].l }

func (t *task) within(l *life) bool {
	for _, p := range t.lives {
		if p.l == l {
			return true
		}
	}
	return false
}

// body runs one f after another: a coroutine costs more to make than to switch to.
func (t *task) body(yield func(struct{}) bool) {
	t.yield = yield
	for {
		t.main()
		t.state, t.f, t.on = idle, nil, nil
		t.w.idle = append(t.w.idle, t)
		if !yield(struct{}{}) {
			return
		}
	}
}

func (t *task) main() {
	defer func() {
		if t.dying != nil {
			// A killed process runs no deferred functions. Ours do run, to give the coroutine
			// back, but whatever they break breaks nothing.
			_ = recover()
		} else if v := recover(); v != nil {
			t.w.fail(t, v, debug.Stack())
		}
		t.dying, t.turns = nil, 0
		for len(t.lives) > 0 {
			t.leave()
		}
	}()
	t.f()
}

// resume gives control to t until it parks or ends.
func (w *World) resume(t *task) {
	before := w.cur
	w.cur = t
	t.state = running
	t.next()
	w.cur = before
}

// park gives control back until wake. The caller has checked, by life.parks, that it may.
func (t *task) park(why string, on parking) error {
	t.state, t.why, t.since, t.on, t.err = parked, why, t.w.now, on, nil
	t.yield(struct{}{})
	t.on = nil
	if t.dying != nil {
		panic(crash{t.dying})
	}
	return t.err
}

// wake makes t, which is parked, go on with err.
func (t *task) wake(err error) {
	t.err = err
	t.on = nil
	t.w.schedule(&t.run, t.w.now)
}

func (t *task) fire(kind uint8) {
	switch kind {
	case evRun:
		if h := t.life().h; h.paused {
			h.hold(&t.run)
			return
		}
		t.w.resume(t)
	case evBound:
		t.on.(*waiter).timeout(t)
	case evDisk:
		t.disk.finish(t)
	}
}

// unwind ends what t does in the life l, which is dead: its stack is left by a panic up to where
// l began. A task that l only borrowed goes on below that, later.
func (w *World) unwind(t *task, l *life) {
	w.cancel(&t.run)
	w.cancel(&t.bound)
	w.cancel(&t.disk.done)
	if t.on != nil {
		t.on.forget(t)
	}
	if t.state == fresh {
		t.f = func() {}
	}
	t.dying = l
	w.resume(t)
}

// Do runs f on the calling task as part of host h's present process, as a client linked into that
// process would run, and says whether f returned. When the process dies, or is dead already, f is
// left where it stands, its deferred functions run without the world, and Do returns false.
func (w *World) Do(h int, f func()) (done bool) {
	t := w.cur
	if t == nil || t.timer {
		panic("world: Do outside a task")
	}
	l := w.host(h).life
	if l.dead {
		return false
	}
	if t.within(l) {
		f()
		return true
	}
	depth, turns := len(t.lives), t.turns
	t.enter(l)
	t.turns = 0
	defer func() {
		for len(t.lives) > depth {
			t.leave()
		}
		t.turns = turns
		if t.dying == l {
			_ = recover()
			t.dying = nil
			// The killer is in the middle of its work: run on after it.
			w.schedule(&t.run, w.now)
			_ = t.park("return from a dead process", nil)
		}
	}()
	if l.h.paused {
		w.schedule(&t.run, w.now)
		_ = t.park("paused host", nil)
	}
	f()
	return true
}

// fail records the first panic of a task; Run panics with it.
func (w *World) fail(t *task, v any, stack []byte) {
	if w.failure == "" {
		w.failure = fmt.Sprintf("world: seed %d at %v: task %s panicked: %v\n%s", w.seed, w.Now(), t, v, stack)
	}
}

func (t *task) String() string {
	if len(t.lives) == 0 {
		return fmt.Sprintf("%s#%d", t.name, t.id)
	}
	return fmt.Sprintf("%s/%s#%d", t.life(), t.name, t.id)
}
