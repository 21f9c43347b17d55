package sim

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// A Summary adds up many seeds.
type Summary struct {
	Seeds  int
	Events uint64
	Calls  int           // answered, each of which the replay of the log judges
	Time   time.Duration // simulated, the second run of each seed not counted
	Faults []Count
	Drawn  []Count // in how many seeds a fault was
	Pairs  []Pair  // of faults
	Probes []Count
	With   []Count // in how many seeds a probe was met

	Judged  int // calls that Options.Judge looked at
	Unknown int // parts of histories that its time did not suffice for
}

// A Pair is two kinds of faults, and how many seeds had both.
type Pair struct {
	A, B  string
	Seeds uint64
}

// Campaign plays seeds from first on, on all processors, and gives every Result to each, in the
// order of seeds. It ends early at the end of ctx, or when each returns an error, which it returns.
func Campaign(ctx context.Context, first uint64, seeds int, o Options, each func(Result, error) error) (Summary, error) {
	c := &campaign{next: first, end: first + uint64(seeds), o: o, done: map[uint64]played{}}
	real := env.OS()
	wake := real.NewWaiter()
	room := make([]byte, roomBytes)
	defer runtime.KeepAlive(room)
	c.share = min(runtime.GOMAXPROCS(0), seeds)
	c.workers = c.share
	for range c.share {
		real.Run("seeds", func() {
			for c.one() {
				wake.Wake()
			}
			wake.Wake()
		})
	}
	var sum Summary
	var failed error
	for seed := first; failed == nil && seed < c.end; seed++ {
		for {
			p, ok := c.take(seed)
			if ok {
				sum.add(&p.result)
				failed = each(p.result, p.err)
				break
			}
			if failed = wake.Wait(ctx, 0); failed != nil {
				break
			}
		}
	}
	c.stop()
	for !c.idle() {
		_ = wake.Wait(nil, 0) //nolint:staticcheck // a seed in play ends by itself
	}
	return sum, failed
}

// roomBytes is memory that nobody touches, and that therefore costs none: the garbage collector counts it, and so
// does not run before as much has become garbage. A seed holds some ten megabytes and leaves a hundred behind: the
// collector would walk through those ten many times. It is run when a seed has ended, and hardly anything is left.
const roomBytes = 128 << 20

// campaign is what the workers share.
type campaign struct {
	mu        sync.Mutex
	next, end uint64
	workers   int
	share     int // workers at the beginning: of as many seeds that end, one has the garbage collected
	ended     int // seeds
	done      map[uint64]played
	o         Options
}

type played struct {
	result Result
	err    error
}

func (c *campaign) one() bool {
	c.mu.Lock()
	seed := c.next
	if seed >= c.end {
		c.workers--
		c.mu.Unlock()
		return false
	}
	c.next++
	c.mu.Unlock()
	r, err := Play(seed, c.o)
	c.mu.Lock()
	c.done[seed] = played{r, err}
	c.ended++
	collect := c.ended%c.share == 0
	c.mu.Unlock()
	if collect {
		runtime.GC()
	}
	return true
}

func (c *campaign) take(seed uint64) (played, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.done[seed]
	delete(c.done, seed)
	return p, ok
}

func (c *campaign) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = c.end
}

func (c *campaign) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers == 0
}

func (s *Summary) add(r *Result) {
	s.Seeds++
	s.Events += r.Events
	s.Calls += r.Calls
	s.Time += r.Time
	s.Judged += r.Judged
	s.Unknown += r.Unknown
	s.Faults = addCounts(s.Faults, r.Faults, false)
	s.Drawn = addCounts(s.Drawn, r.Faults, true)
	s.addPairs(r.Faults)
	s.Probes = addCounts(s.Probes, r.Probes, false)
	s.With = addCounts(s.With, r.Probes, true)
}

func addCounts(to, from []Count, once bool) []Count {
	if to == nil {
		to = make([]Count, len(from))
	}
	for i, c := range from {
		to[i].Name = c.Name
		if n := c.N; !once {
			to[i].N += n
		} else if n > 0 {
			to[i].N++
		}
	}
	return to
}

func (s *Summary) addPairs(faults []Count) {
	n := 0
	for i, a := range faults {
		for _, b := range faults[i+1:] {
			if n == len(s.Pairs) {
				s.Pairs = append(s.Pairs, Pair{A: a.Name, B: b.Name})
			}
			if a.N > 0 && b.N > 0 {
				s.Pairs[n].Seeds++
			}
			n++
		}
	}
}
