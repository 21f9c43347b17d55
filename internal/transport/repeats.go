package transport

import (
	"sync"
	"time"
)

const (
	repeatEvery = 10 * time.Second
	maxRepeats  = 64
)

// repeats keeps the log from saying the same for ever: a host that is refused dials again several times a
// second. What happens is said at once, and while it goes on every 10 s, with how often. It is safe for
// concurrent use.
type repeats struct {
	mu   sync.Mutex
	said map[string]*repeat // at most maxRepeats
}

type repeat struct {
	at    time.Duration // when it was said
	times int           // since then
}

// news says how often what has happened since it was last said; 0: it is too early to say it again.
func (r *repeats) news(now time.Duration, what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.said[what]
	if s == nil {
		if len(r.said) >= maxRepeats || r.said == nil { // strangers may send what they like
			r.said = map[string]*repeat{}
		}
		r.said[what] = &repeat{at: now}
		return 1
	}
	s.times++
	if now-s.at < repeatEvery {
		return 0
	}
	times := s.times
	s.at, s.times = now, 0
	return times
}
