package host

import (
	"sync"

	"github.com/lockstep-rsm/lockstep/env"
)

// lanes are the tasks that execute machines; a group with work is given to one of them at a time.
type lanes struct {
	env    env.Env
	tell   func([]event) // gives a turn what happened on a lane
	mu     sync.Mutex
	queue  []*group
	room   []*group // of an empty queue
	idle   []env.Waiter
	spare  int // tasks that are too many: those for whom they stood in are back
	closed bool
}

// maxTold is of how many groups at most a turn is told at once what their machines have executed.
const maxTold = 64

// work serves groups until the host closes. What they have executed is told once no other waits, of all of them
// at once: and after whoever was answered has had a moment to call again, since the turn then finds what
// they bring, and one entry carries it (docs/decisions/0032-entries-wait-for-answers.md).
func (l *lanes) work() {
	w := l.env.NewWaiter()
	var x execution
	var told []event
	answered := false
	for {
		g, closed := l.next()
		switch {
		case closed:
			return
		case g != nil:
			if len(told) > 0 && g.lane.watches.Load() {
				l.tell(told) // this turn may wait: see standIn
				clear(told)
				told = told[:0]
			}
			e, some := g.lane.turn(g, &x)
			if answered = answered || some; e.kind != 0 {
				told = append(told, e)
			}
			if len(told) < maxTold {
				continue
			}
		case len(told) == 0:
			if l.isSpare() {
				return
			}
			answered = false
			l.park(w)
			continue
		case answered:
			l.env.Yield()
		}
		l.tell(told)
		clear(told)
		told, answered = told[:0], false
	}
}

// standIn has another task serve the groups while the one that calls it waits, until back is called.
func (l *lanes) standIn(run func(name string, f func())) (back func()) {
	run("lane", l.work)
	return func() {
		l.mu.Lock()
		l.spare++
		l.mu.Unlock()
	}
}

// isSpare says whether a task that has nothing to do may end.
func (l *lanes) isSpare() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spare == 0 || len(l.queue) > 0 {
		return false
	}
	l.spare--
	return true
}

// next is the group that has waited longest; nil: none waits.
func (l *lanes) next() (g *group, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 || l.closed {
		return nil, l.closed
	}
	g = l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return g, false
}

// park returns when a group waits, or the host closes.
func (l *lanes) park(w env.Waiter) {
	l.mu.Lock()
	wait := len(l.queue) == 0 && !l.closed
	if wait {
		l.idle = append(l.idle, w)
	}
	l.mu.Unlock()
	if wait {
		_ = w.Wait(nil, 0) //nolint:staticcheck // woken by work or by close
	}
}

func (l *lanes) schedule(g *group) {
	l.mu.Lock()
	if len(l.queue) == 0 {
		l.room = append(l.room[:0], g)
		l.queue = l.room
	} else {
		l.queue = append(l.queue, g)
	}
	var w env.Waiter
	if n := len(l.idle); n > 0 {
		w = l.idle[n-1]
		l.idle = l.idle[:n-1]
	}
	l.mu.Unlock()
	if w != nil {
		w.Wake()
	}
}

func (l *lanes) close() {
	l.mu.Lock()
	l.closed = true
	idle := l.idle
	l.idle = nil
	l.mu.Unlock()
	for _, w := range idle {
		w.Wake()
	}
}
