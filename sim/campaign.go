package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// A Summary adds up many seeds.
type Summary struct {
	Seeds  int
	Events uint64
	Calls  int
	Time   time.Duration // simulated, the second run of each seed not counted
	Faults []Count
	Probes []Count
	With   []Count // in how many seeds a probe was met
}

// Campaign plays seeds from first on, on all processors, and gives every Result to each, in the
// order of seeds. It ends early at the end of ctx, or when each returns an error, which it returns.
func Campaign(ctx context.Context, first uint64, seeds int, o Options, each func(Result, error) error) (Summary, error) {
	c := &campaign{next: first, end: first + uint64(seeds), o: o, done: map[uint64]played{}}
	real := env.OS()
	wake := real.NewWaiter()
	for range min(runtime.GOMAXPROCS(0), seeds) {
		c.workers++
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

// campaign is what the workers share.
type campaign struct {
	mu        sync.Mutex
	next, end uint64
	workers   int
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
	defer c.mu.Unlock()
	c.done[seed] = played{r, err}
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
	s.Faults = addCounts(s.Faults, r.Faults, false)
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

// Unreached are the faults and situations that no seed had, of those that every gate has to reach.
func (s *Summary) Unreached() (names []string) {
	for _, c := range slices.Concat(s.Faults, s.Probes) {
		if c.N == 0 && !optional[c.Name] {
			names = append(names, c.Name)
		}
	}
	for _, c := range s.With {
		if c.Name == "snapshot installed" && int(c.N) < s.Seeds/10 {
			names = append(names, "a snapshot installed in a tenth of the seeds")
		}
	}
	return names
}

// WriteTo prints the counts, one line each.
func (s *Summary) WriteTo(w io.Writer) (int64, error) {
	text := fmt.Sprintf("%d seeds, %d events, %d calls answered\n", s.Seeds, s.Events, s.Calls)
	for _, c := range s.Faults {
		text += fmt.Sprintf("  fault %-34s %8d\n", c.Name, c.N)
	}
	for i, c := range s.Probes {
		text += fmt.Sprintf("  probe %-34s %8d  in %d seeds\n", c.Name, c.N, s.With[i].N)
	}
	n, err := io.WriteString(w, text)
	return int64(n), err
}

// brief is the counts in one line.
func (s *Summary) brief(took time.Duration) string {
	text := fmt.Sprintf("%d run, %.0f simulated seconds in %.1f s", s.Seeds, s.Time.Seconds(), took.Seconds())
	var faults []string
	for _, c := range s.Faults {
		if c.N > 0 {
			faults = append(faults, fmt.Sprintf("%d %s", c.N, c.Name))
		}
	}
	if faults != nil {
		text += "; faults: " + strings.Join(faults, ", ")
	}
	if never := s.Unreached(); len(never) > 0 {
		text += "; never reached: " + strings.Join(never, ", ")
	}
	return text
}

// thin refuses a seed that proves little: a harness that no longer injects or asks would pass.
func thin(r *Result, o *Options) error {
	faults, kinds := uint64(0), 0
	for _, c := range r.Faults {
		faults += c.N
		kinds += int(min(c.N, 1))
	}
	if o.Script == nil && (r.Time < time.Minute || r.Calls < o.Calls || faults < 8 || kinds < 3) {
		return fmt.Errorf("%w: seed %d is thin: %v simulated, %d calls, %d faults of %d kinds", ErrBroken, r.Seed, r.Time, r.Calls, faults, kinds)
	}
	return nil
}

// gate is from how many seeds on every fault and situation has to be reached.
const gate = 500

// Simulate is the work of the command `lockstep sim run`: it plays seeds and prints each one's hash, then the
// counts. From 500 seeds on it fails if a fault or situation was never reached.
func Simulate(ctx context.Context, first uint64, seeds int, o Options, out io.Writer) error {
	var broken []error
	sum, err := Campaign(ctx, first, seeds, o, func(r Result, err error) error {
		if err == nil {
			err = thin(&r, &o)
		}
		if err != nil {
			broken = append(broken, err)
			fmt.Fprintf(out, "seed %d broken: %v\n", r.Seed, err)
		} else if seeds < gate {
			fmt.Fprintf(out, "seed %d hash %016x events %d simulated %v hosts %d calls %d\n", r.Seed, r.Hash, r.Events, r.Time, r.Hosts, r.Calls)
		}
		if len(broken) >= 10 {
			return errors.New("stopped after 10 broken seeds")
		}
		return nil
	})
	if _, werr := sum.WriteTo(out); werr != nil {
		return werr
	}
	if err == nil && len(broken) > 0 {
		err = fmt.Errorf("%d of %d seeds broke a promise: %w", len(broken), sum.Seeds, broken[0])
	}
	if never := sum.Unreached(); err == nil && seeds >= gate && len(never) > 0 {
		err = fmt.Errorf("never reached in %d seeds: %q", seeds, never)
	}
	return err
}
