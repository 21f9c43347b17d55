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
	Pairs  []Pair // of faults
	Probes []Count
	With   []Count // in how many seeds a probe was met
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

// roomBytes is memory that nobody touches, and that therefore costs none: the garbage collector counts it. A
// seed holds some ten megabytes and leaves a hundred behind, so that the collector would run all the time.
const roomBytes = 64 << 20

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

// Unreached are the faults, pairs of faults and situations that no seed had, of those that every gate
// has to reach.
func (s *Summary) Unreached() (names []string) {
	for _, p := range s.Pairs {
		if p.Seeds == 0 && !apart[p] {
			names = append(names, p.A+" with "+p.B)
		}
	}
	return append(names, s.unreached()...)
}

// apart are pairs that no seed draws: a minority of the hosts is no minority of voters that change.
var apart = map[Pair]bool{
	{A: "bit rot", B: "membership"}:        true,
	{A: "membership", B: "machine error"}:  true,
	{A: "bit rot", B: "replacement"}:       true,
	{A: "machine error", B: "replacement"}: true,
	{A: "membership", B: "replacement"}:    true,
}

// unreached is Unreached without the pairs.
func (s *Summary) unreached() (names []string) {
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

// WriteTo prints the counts, one line each, and pairs of faults as a triangle.
func (s *Summary) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%d seeds, %d events, %d calls answered\n", s.Seeds, s.Events, s.Calls)
	for i, c := range s.Faults {
		fmt.Fprintf(&b, "  fault %-34s %8d", c.Name, c.N)
		if i > 0 {
			fmt.Fprint(&b, "  seeds with the above:")
		}
		for j := range i {
			fmt.Fprintf(&b, " %d", s.together(j, i))
		}
		fmt.Fprintln(&b)
	}
	for i, c := range s.Probes {
		fmt.Fprintf(&b, "  probe %-34s %8d  in %d seeds\n", c.Name, c.N, s.With[i].N)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// together is how many seeds had the i-th and the j-th kind of fault, i the smaller.
func (s *Summary) together(i, j int) uint64 {
	for _, p := range s.Pairs {
		if p.A == s.Faults[i].Name && p.B == s.Faults[j].Name {
			return p.Seeds
		}
	}
	return 0
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
	if never := s.unreached(); len(never) > few {
		text += fmt.Sprintf("; never reached: %s, and %d more", strings.Join(never[:few], ", "), len(never)-few)
	} else if len(never) > 0 {
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

// gate is from how many seeds on every fault, pair and situation has to be reached.
const gate = 500

// A Report is what a campaign of the command line came to.
type Report struct {
	Summary
	First  uint64
	Asked  int // seeds
	Broken []Broken
	Never  []string      // reached, of what so many seeds have to reach
	Took   time.Duration // of real time
}

// Broken is a seed that broke a promise, or proved too little.
type Broken struct {
	Result Result
	Err    error
}

// mostBroken ends a campaign.
const mostBroken = 10

var errMostBroken = fmt.Errorf("stopped after %d broken seeds", mostBroken)

// Simulate plays seeds from first on, each twice, and tells each of them, in order. It ends early after ten
// broken ones, or at the end of ctx, whose error it returns. A seed is broken, too, if it proved little:
// less than a minute, few calls, few faults. From 500 seeds on, what was never reached is in the Report.
func Simulate(ctx context.Context, first uint64, seeds int, o Options, each func(Result, error)) (*Report, error) {
	o.fill()
	began := time.Now()
	rep := &Report{First: first, Asked: seeds}
	sum, err := Campaign(ctx, first, seeds, o, func(r Result, err error) error {
		if err == nil {
			err = thin(&r, &o)
		}
		if err != nil {
			rep.Broken = append(rep.Broken, Broken{r, err})
		}
		each(r, err)
		if len(rep.Broken) >= mostBroken {
			return errMostBroken
		}
		return nil
	})
	rep.Summary, rep.Took = sum, time.Since(began)
	if seeds >= gate {
		rep.Never = sum.Unreached()
	}
	if errors.Is(err, errMostBroken) {
		err = nil
	}
	return rep, err
}

// Verdict is nil if no seed is broken and all was reached.
func (r *Report) Verdict() error {
	if n := len(r.Broken); n > 0 {
		return fmt.Errorf("%d of %d seeds broke a promise: %w", n, r.Seeds, r.Broken[0].Err)
	}
	if len(r.Never) > 0 {
		return fmt.Errorf("never reached in %d seeds: %q", r.Seeds, r.Never)
	}
	return nil
}

// Speed is how many simulated seconds pass in a second of real time on one processor. Each seed counts
// twice, as it is played twice.
func (r *Report) Speed() float64 {
	cores := min(runtime.GOMAXPROCS(0), r.Asked)
	return 2 * r.Time.Seconds() / r.Took.Seconds() / float64(cores)
}
