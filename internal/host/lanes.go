package host

import (
	"sync"

	"github.com/lockstep-rsm/lockstep/env"
)

// lanes are the tasks that execute machines; a group with work is given to one of them at a time.
type lanes struct {
	env    env.Env
	mu     sync.Mutex
	queue  []*group
	idle   []env.Waiter
	closed bool
}

// work serves groups until the host closes.
func (l *lanes) work() {
	w := l.env.NewWaiter()
	for {
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return
		}
		if len(l.queue) == 0 {
			l.idle = append(l.idle, w)
			l.mu.Unlock()
			_ = w.Wait(nil, 0) //nolint:staticcheck // woken by work or by close
			continue
		}
		g := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		l.mu.Unlock()
		g.lane.turn(g)
	}
}

func (l *lanes) schedule(g *group) {
	l.mu.Lock()
	l.queue = append(l.queue, g)
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
