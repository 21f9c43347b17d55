package world

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// Options of a World. The zero value is three hosts with an even network and even disks.
type Options struct {
	Hosts   int           // zero: 3
	Shuffle bool          // tasks that are ready at one instant run in drawn order, not the oldest first
	Net     Latency       // of one Write, one way. Zero: 0.1 to 1 ms
	Sync    Latency       // of Sync, SyncDir and WriteSync. Zero: 0.2 to 2 ms
	Access  Latency       // of every other disk operation. Zero: 2 to 20 µs
	Window  int           // bytes of a connection that nobody has read yet, after which Write parks. Zero: 1 MiB
	Trace   io.Writer     // nil: none. One line per event: time, host, event, k=v
	Epoch   time.Time     // the calendar at the start. Zero: 2030-01-01 UTC
	Reset   Latency       // how long a cut connection with data on its way lives. Zero: 5 to 15 s
	Dial    time.Duration // bound of a Dial that nobody answers. Zero: 20 s
}

// Latency is a range from which a duration is drawn evenly.
type Latency struct{ Min, Max time.Duration }

// Driver is the number of the host on which tests, clients and fault injection run. It is the
// same as any other host but that no fault is ever meant for it.
const Driver = -1

// A World is one simulation. It belongs to one goroutine at a time: the one in Run, or the one
// that prepares it before and looks at it after. Close it, or its coroutines leak.
type World struct {
	queue
	seed    uint64
	opts    Options
	order   []*host // the driver, then the others by number
	cur     *task   // running now
	idle    []*task
	tasks   uint64 // ever made
	clock   *task  // stands in for turns of AfterFunc
	rng     *rand.Rand
	net     network
	root    *endable
	ends    map[<-chan struct{}]*endable // contexts, by their Done; looked up, never iterated
	failure string
	stopped bool
	closed  bool
	events  uint64
	hash    uint64
}

// New makes a world from a seed, with all hosts up and one process on each.
func New(seed uint64, opts Options) *World {
	opts.fill()
	w := &World{seed: seed, opts: opts, ends: map[<-chan struct{}]*endable{}}
	w.rng = w.stream(1, 0, 0)
	w.hash = seed
	w.net.start(w)
	w.root = &endable{w: w, Context: context.Background()}
	w.clock = &task{w: w, name: "timer", timer: true, state: running}
	for n := Driver; n < opts.Hosts; n++ {
		w.order = append(w.order, newHost(w, n))
	}
	return w
}

func (o *Options) fill() {
	fill := func(l *Latency, least, most time.Duration) {
		if *l == (Latency{}) {
			*l = Latency{least, most}
		}
	}
	fill(&o.Net, 100*time.Microsecond, time.Millisecond)
	fill(&o.Sync, 200*time.Microsecond, 2*time.Millisecond)
	fill(&o.Access, 2*time.Microsecond, 20*time.Microsecond)
	fill(&o.Reset, 5*time.Second, 15*time.Second)
	if o.Hosts == 0 {
		o.Hosts = 3
	}
	if o.Window == 0 {
		o.Window = 1 << 20
	}
	if o.Dial == 0 {
		o.Dial = 20 * time.Second
	}
	if o.Epoch.IsZero() {
		o.Epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	}
}

func (w *World) host(n int) *host { return w.order[n+1] }

// stream gives the random numbers of one purpose: what one host draws never shifts another's.
func (w *World) stream(purpose, host, life int) *rand.Rand {
	mix := func(x uint64) uint64 {
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return x ^ x>>31
	}
	a := mix(w.seed + 0x9e3779b97f4a7c15*uint64(purpose))
	b := mix(a + 0x9e3779b97f4a7c15*uint64(host+2))
	return rand.New(rand.NewPCG(b, mix(b+uint64(life))))
}

// draw gives a duration of l in nanoseconds, at least 1: effects never come in the same instant.
func draw(r *rand.Rand, l Latency) int64 {
	d := int64(l.Min)
	if l.Max > l.Min {
		d += r.Int64N(int64(l.Max - l.Min))
	}
	return max(d, 1)
}

// Now is the time since the world began.
func (w *World) Now() time.Duration { return time.Duration(w.now) }

// Seed is the number the world was made from.
func (w *World) Seed() uint64 { return w.seed }

// Rand is the driver's stream of random numbers, for faults and clients. It shares nothing with
// the hosts' streams.
func (w *World) Rand() *rand.Rand { return w.rng }

// Hosts is how many hosts there are, the driver not counted.
func (w *World) Hosts() int { return w.opts.Hosts }

// Events is how many events have happened.
func (w *World) Events() uint64 { return w.events }

// Hash is a digest over every event so far, with what was written to disks and connections. Two
// runs from one seed have one hash.
func (w *World) Hash() uint64 { return w.hash }

// Run lets the world go on until the given time, a Stop, or until nothing is left to happen: then
// it returns false. It panics with the report of the first task that panicked.
func (w *World) Run(until time.Duration) bool {
	limit, instant, spins := int64(until), w.now, 0
	w.stopped = false
	more := true
	for !w.stopped {
		if w.opts.Shuffle {
			w.shuffle(w.rng.IntN)
		}
		e := w.next(limit)
		if e == nil {
			more = len(w.heap) > 0
			w.now = max(w.now, limit)
			break
		}
		if w.now != instant {
			instant, spins = w.now, 0
		} else if spins++; spins > 10_000_000 {
			panic(fmt.Sprintf("world: seed %d at %v: time stands still\n%s", w.seed, w.Now(), w.Dump()))
		}
		w.events++
		w.mix(uint64(w.now))
		w.mix(e.seq)
		e.act.fire(e.kind)
		if w.failure != "" {
			panic(w.failure)
		}
	}
	return more
}

// Stop makes Run return after the present event.
func (w *World) Stop() { w.stopped = true }

// Close ends every process and gives the coroutines back. The world is of no more use, but for
// Hash, Events and the disks.
func (w *World) Close() {
	if w.closed {
		return
	}
	w.closed = true
	w.cur = nil
	for _, h := range w.order {
		if !h.life.dead {
			h.life.end(ofKill)
		}
	}
	for _, t := range w.idle {
		t.stop()
	}
	w.idle = nil
}

// Go starts f as a task of host h's present process, and says whether there is one.
func (w *World) Go(h int, name string, f func()) bool {
	l := w.host(h).life
	if l.dead {
		return false
	}
	w.spawn(l, name, f)
	return true
}

// Sleep parks the calling task for d of world time.
func (w *World) Sleep(d time.Duration) {
	if w.cur == nil {
		panic("world: Sleep outside a task")
	}
	t := w.cur.life().parks("sleep")
	w.schedule(&t.run, w.now+max(int64(d), 0))
	_ = t.park("sleep", nil)
}

// NewWaiter returns a waiter for the driver's tasks; anybody may wake it.
func (w *World) NewWaiter() env.Waiter { return w.host(Driver).life.NewWaiter() }

// Dump lists every task that is parked: where, and since when. A task that nothing will ever wake
// is found by reading it after Run.
func (w *World) Dump() string {
	var b strings.Builder
	for _, h := range w.order {
		tasks := slices.Clone(h.life.tasks)
		slices.SortFunc(tasks, func(a, b *task) int { return int(a.id) - int(b.id) })
		for _, t := range tasks {
			if t.state == parked && t.life().h == h {
				fmt.Fprintf(&b, "%v parked in %s since %v\n", t, t.why, time.Duration(t.since))
			}
		}
	}
	return b.String()
}

// Parked is how many tasks of host h are parked.
func (w *World) Parked(h int) int {
	n := 0
	for _, t := range w.host(h).life.tasks {
		if t.state == parked {
			n++
		}
	}
	return n
}
