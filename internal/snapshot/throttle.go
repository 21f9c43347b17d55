package snapshot

import (
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// throttleBurst is how far a throttle lets its user run ahead after a pause.
const throttleBurst = 50 * time.Millisecond

// A Throttle spreads bytes over time. Several tasks may share one; the zero rate does not throttle.
type Throttle struct {
	env  env.Env
	rate int64 // bytes per second
	mu   sync.Mutex
	free time.Duration // on the clock: when all that was taken so far has gone
}

// NewThrottle returns a throttle of bytesPerSecond; zero or less: none.
func NewThrottle(e env.Env, bytesPerSecond int64) *Throttle {
	return &Throttle{env: e, rate: bytesPerSecond}
}

// Take books n bytes and says when, on the env's clock, they may go; zero: at once. It never
// parks. Bytes that are booked are spent: there is no way to give them back.
func (t *Throttle) Take(n int) time.Duration {
	if t.rate <= 0 {
		return 0
	}
	now := t.env.Clock().Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	start := max(t.free, now-throttleBurst)
	t.free = start + time.Duration(float64(n)/float64(t.rate)*float64(time.Second))
	if start <= now {
		return 0
	}
	return start
}

// Wait books n bytes and parks the calling task in w until they may go.
func (t *Throttle) Wait(w env.Waiter, n int) {
	until := t.Take(n)
	if until <= 0 {
		return
	}
	for w.Wait(nil, until) == nil {
		// Woken early: the bytes are booked for until all the same.
	}
}
