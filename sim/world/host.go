package world

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// A host is a machine: what stays while its processes come and go.
type host struct {
	w      *World
	n      int
	name   string
	disk   *Disk
	life   *life // the present or last one
	lives  int
	up     bool // the operating system runs
	boot   string
	pids   int
	rng    *rand.Rand
	paused bool
	held   []slot // what came due while it was paused, in order
	ports  int

	// The monotonic clock was mono at the world's time since, and runs ppm too fast from there.
	since, mono, ppm int64
	zero             int64         // the monotonic clock when the world began
	offset           time.Duration // of the calendar
}

func newHost(w *World, n int) *host {
	h := &host{w: w, n: n, name: fmt.Sprintf("h%d", n), rng: w.stream(2, n, 0), ports: 40_000}
	if n == Driver {
		h.name = "driver"
	}
	h.mono = int64(time.Hour) + h.rng.Int64N(int64(time.Hour))
	h.zero = h.mono
	h.disk = newDisk(w, h, w.stream(3, n, 0))
	h.start()
	return h
}

// start boots the operating system, unless it runs, and begins a life.
func (h *host) start() {
	if !h.up {
		h.up = true
		h.boot = fmt.Sprintf("%016x-%s", h.rng.Uint64(), h.name)
		h.pids = 100 + h.rng.IntN(1000)
	}
	h.lives++
	h.pids += 1 + h.rng.IntN(50)
	h.life = &life{w: h.w, h: h, n: h.lives, pid: h.pids, rng: h.w.stream(4, h.n, h.lives)}
	h.life.origin = h.monotonic() - int64(time.Millisecond) - h.life.rng.Int64N(int64(time.Minute))
}

func (h *host) hold(e *event) {
	e.pos = inHeld
	h.held = append(h.held, slot{0, e.seq, e})
}

// release lets what was held happen now, in the order in which it came due.
func (h *host) release() {
	h.paused = false
	held := h.held
	h.held = nil
	for _, s := range held {
		if s.e.pos == inHeld && s.e.seq == s.seq {
			s.e.pos = nowhere
			h.w.schedule(s.e, h.w.now)
		}
	}
}

// monotonic is the host's clock, in nanoseconds.
func (h *host) monotonic() int64 {
	d := h.w.now - h.since
	return h.mono + d + d/1_000_000*h.ppm + d%1_000_000*h.ppm/1_000_000
}

// at is the first moment of the world at which the host's clock shows mono or more.
func (h *host) at(mono int64) int64 {
	if mono <= h.monotonic() {
		return h.w.now
	}
	d := mono - h.mono
	t := h.since + d - d/(1_000_000+h.ppm)*h.ppm - d%(1_000_000+h.ppm)*h.ppm/(1_000_000+h.ppm)
	shows := func(t int64) int64 {
		d := t - h.since
		return h.mono + d + d/1_000_000*h.ppm + d%1_000_000*h.ppm/1_000_000
	}
	for shows(t) < mono { // at most a few steps: the two roundings differ
		t++
	}
	return t
}

func (h *host) wall() time.Time {
	return h.w.opts.Epoch.Add(h.offset + time.Duration(h.monotonic()-h.zero))
}

// A life is one process on a host, and the env.Env that its code is given.
type life struct {
	w         *World
	h         *host
	n, pid    int
	dead      bool
	rng       *rand.Rand
	origin    int64 // the host's clock at this life's zero
	tasks     []*task
	ends      []*stream // of open connections, in the order of their making
	listeners []*listener
}

func (l *life) String() string { return fmt.Sprintf("%s.%d", l.h.name, l.n) }

// alive unwinds the running task if its life has ended: a dead process does nothing more.
func (l *life) alive() {
	if !l.dead {
		return
	}
	t := l.w.cur
	if t != nil && t.within(l) {
		if t.dying == nil {
			t.dying = l
		}
		panic(crash{t.dying})
	}
	if t != nil && t.dying != nil {
		panic(crash{t.dying})
	}
	panic(fmt.Sprintf("world: %v used the env of %v, which is dead: calls into a host belong inside World.Do", t, l))
}

// parks returns the running task, having asserted that it may park in an operation of l.
func (l *life) parks(op string) *task {
	l.alive()
	t := l.w.cur
	switch {
	case t == nil:
		panic("world: " + op + " outside a task: begin with World.Go")
	case t.dying != nil:
		panic(crash{t.dying})
	case t.timer:
		panic(fmt.Sprintf("A11: a timer of %v would park in %s", l, op))
	case t.turns > 0:
		panic(fmt.Sprintf("A11: %v would park in %s while it holds a turn", t, op))
	case t.life() != l:
		panic(fmt.Sprintf("world: %v used the env of %v: calls into a host belong inside World.Do", t, l))
	}
	return t
}

func (l *life) FS() env.FS       { return files{l} }
func (l *life) Net() env.Net     { return nets{l} }
func (l *life) Clock() env.Clock { return clock{l} }
func (l *life) Rand() env.Rand   { return random{l} }

func (l *life) Facts() env.Facts {
	l.alive()
	return env.Facts{BootID: l.h.boot, PID: l.pid}
}

func (l *life) Run(name string, f func()) {
	l.alive()
	l.w.spawn(l, name, f)
}

func (l *life) NewWaiter() env.Waiter {
	l.alive()
	return &waiter{l: l}
}

// Yield comes back behind everything else that happens at this moment.
func (l *life) Yield() {
	_ = l.NewWaiter().Wait(nil, l.Clock().Now()+1) //nolint:staticcheck // nobody wakes it
}

func (l *life) Enter() {
	l.alive()
	if l.w.cur != nil {
		l.w.cur.turns++
	}
}

func (l *life) Leave() {
	l.alive()
	if t := l.w.cur; t != nil {
		if t.turns--; t.turns < 0 {
			panic(fmt.Sprintf("A11: %v left a turn that it had not entered", t))
		}
	}
}

type random struct{ l *life }

func (r random) Uint64() uint64 {
	r.l.alive()
	return r.l.rng.Uint64()
}

func (r random) Fill(p []byte) {
	r.l.alive()
	fill(r.l.rng, p)
}

func fill(r *rand.Rand, p []byte) {
	for i := 0; i < len(p); i += 8 {
		x := r.Uint64()
		for j := i; j < min(i+8, len(p)); j++ {
			p[j] = byte(x)
			x >>= 8
		}
	}
}

// How a life ends.
type ending uint8

const (
	ofKill ending = iota
	ofPower
)

// end kills the process: its disk operations stop where they are, its tasks are unwound, and the
// operating system, if it lives on, closes its connections and gives its locks back.
func (l *life) end(how ending) {
	l.dead = true
	l.h.disk.stop(l, how)
	for _, t := range slices.Clone(l.tasks) {
		if t.state != running && t.within(l) {
			l.w.unwind(t, l)
		}
	}
	l.closeNet(how)
	l.h.paused, l.h.held = false, nil
}

// leaveIfDead unwinds the calling task if it belonged to what it has just killed.
func (w *World) leaveIfDead() {
	if t := w.cur; t != nil {
		for _, p := range t.lives {
			if p.l.dead {
				p.l.alive()
			}
		}
	}
}

// Host returns the env of host h's present process. It is useless once that has ended.
func (w *World) Host(h int) env.Env { return w.host(h).life }

// Alive says whether host h has a running process.
func (w *World) Alive(h int) bool { return !w.host(h).life.dead }

// Kill ends host h's process as SIGKILL does: the page cache stays, connections are closed by the
// operating system, a write under way may be cut short.
func (w *World) Kill(h int) {
	l := w.host(h).life
	if l.dead {
		return
	}
	w.mix(uint64(h)<<8 | 1)
	w.tracef(l.h, "kill", "pid=%d", l.pid)
	l.end(ofKill)
	w.leaveIfDead()
}

// PowerOff ends the processes and operating systems of all the given hosts at one instant. What
// was not synced is lost, kept or garbled, sector by sector; peers hear nothing. The disk is in
// its new state on return.
func (w *World) PowerOff(hs ...int) {
	for _, n := range hs {
		h := w.host(n)
		w.mix(uint64(n)<<8 | 2)
		w.tracef(h, "power-off", "pid=%d", h.life.pid)
		if !h.life.dead {
			h.life.end(ofPower)
		}
		if h.up {
			h.up = false
			h.disk.loseCache()
		}
	}
	w.leaveIfDead()
}

// Start boots host h, if it is off, and begins a new process on it. The old one must have ended.
func (w *World) Start(h int) env.Env {
	o := w.host(h)
	if !o.life.dead {
		panic(fmt.Sprintf("world: start of %s, whose process is alive", o.name))
	}
	w.mix(uint64(h)<<8 | 3)
	booted := !o.up
	o.start()
	w.tracef(o, "start", "pid=%d boot=%s", o.life.pid, o.boot)
	if booted {
		w.net.flush(w)
	}
	return o.life
}

// Pause stops host h's process as SIGSTOP does: none of its tasks and timers runs until Resume,
// while its connections stay open, its disk finishes what it began, and time goes on.
func (w *World) Pause(h int) {
	w.mix(uint64(h)<<8 | 4)
	w.tracef(w.host(h), "pause", "")
	w.host(h).paused = true
}

// Resume ends a Pause.
func (w *World) Resume(h int) {
	w.mix(uint64(h)<<8 | 5)
	w.tracef(w.host(h), "resume", "")
	w.host(h).release()
}
