package sim

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

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

// Verdict is nil if no seed is broken, every history was judged, and all was reached.
func (r *Report) Verdict() error {
	if n := len(r.Broken); n > 0 {
		return fmt.Errorf("%d of %d seeds broke a promise: %w", n, r.Seeds, r.Broken[0].Err)
	}
	if r.Unknown > 0 {
		return fmt.Errorf("%d verdicts are unknown: the judge's time did not suffice", r.Unknown)
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

// String is the verdict in one line: clean, broken or not clean, and of what.
func (r *Report) String() string {
	verdict := "clean:"
	if n := len(r.Broken); n > 0 {
		verdict = fmt.Sprintf("broken: %d of", n)
	} else if r.Verdict() != nil {
		verdict = "not clean:"
	}
	seeds := fmt.Sprintf("%d seeds", r.Seeds)
	if r.Seeds == 1 {
		seeds = "1 seed"
	}
	if r.Seeds < r.Asked {
		seeds += fmt.Sprintf(" (%d were asked)", r.Asked)
	}
	also := ""
	if r.Judged > 0 {
		also = fmt.Sprintf(" (%d of them by a judge that knows no log, too)", r.Judged)
	}
	return fmt.Sprintf("%s %s, each twice; %.0f simulated seconds, %.0f in each second of a processor; %d operations checked%s, %d verdicts unknown",
		verdict, seeds, r.Time.Seconds(), r.Speed(), r.Calls, also, r.Unknown)
}
