package sim

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Run plays o.Seeds simulations, each twice, on the production engine, and fails t at the first
// broken promise or differing trace. The failing seed is shrunk, for at most o.Shrink of real time, into
// testdata/sim/<test>/<hash>; files there are played first at every run, as fuzzing does:
// go test -run 'TestBank/4f1c9ab2'. With t a *testing.T each file is a subtest of t, and the seeds
// are one, named seeds.
//
// Of the environment, LOCKSTEP_SEEDS is in the place of o.Seeds; LOCKSTEP_SEED is one seed to play alone, once; LOCKSTEP_TRACE and
// LOCKSTEP_HTML name files for the trace and the picture of what is played alone, a seed or a file of testdata; LOCKSTEP_SHRINK is in the place of o.Shrink, such as 5m or 0s.
func Run(t testing.TB, o Options) {
	t.Helper()
	if o.Name == "" {
		o.Name = t.Name()
	}
	o.fill()
	if err := o.environment(); err != nil {
		t.Fatal(err)
	}
	if o.Seeds == 0 {
		if o.Seeds = 100; testing.Short() {
			o.Seeds = 10
		}
	}
	if one := os.Getenv("LOCKSTEP_SEED"); one != "" {
		playOne(t, one, o)
		return
	}
	runner, ok := t.(*testing.T)
	if !ok {
		playSeeds(t, o)
		return
	}
	for _, name := range recordings(o.folder()) {
		if !runner.Run(name, func(t *testing.T) { playFile(t, filepath.Join(o.folder(), name), o) }) {
			return
		}
	}
	runner.Run("seeds", func(t *testing.T) { playSeeds(t, o) })
}

// environment overrides options for one run.
func (o *Options) environment() (err error) {
	if text := os.Getenv("LOCKSTEP_SHRINK"); text != "" {
		if o.Shrink, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("parse LOCKSTEP_SHRINK: %w", err)
		}
		if o.Shrink == 0 {
			o.Shrink = -1
		}
	}
	if text := os.Getenv("LOCKSTEP_SEEDS"); text != "" {
		if o.Seeds, err = strconv.Atoi(text); err != nil || o.Seeds < 1 {
			return fmt.Errorf("LOCKSTEP_SEEDS is %q, not a number of seeds", text)
		}
	}
	return nil
}

// folder is where the recordings of a test are kept.
func (o *Options) folder() string {
	return filepath.Join("testdata", "sim", filepath.FromSlash(o.Name))
}

func playSeeds(t testing.TB, o Options) {
	t.Helper()
	var failed *Result
	began := time.Now()
	sum, err := Campaign(context.Background(), o.First, o.Seeds, o, func(r Result, err error) error {
		if err != nil {
			failed = &r
		}
		return err
	})
	took := time.Since(began)
	var b strings.Builder
	switch {
	case failed != nil:
		f := Examine(context.Background(), *failed, err, o, o.Shrink, o.folder())
		t.Errorf("%s\n    %d seeds asked, %s", f.Text(o.again(&f)), o.Seeds, sum.brief(took))
	case err != nil:
		t.Error(err)
	default:
		fmt.Fprintf(&b, "%d seeds, %.0f simulated seconds, %d operations checked, %d verdicts unknown\n", sum.Seeds, sum.Time.Seconds(), sum.Calls, sum.Unknown)
		_, _ = sum.WriteTo(&b)
		t.Log(b.String())
	}
}

// again is how a failure of a test is played again, and drawn.
func (o *Options) again(f *Failure) (again, picture string) {
	parts := strings.Split(o.Name, "/")
	for i, p := range parts {
		parts[i] = "^" + p + "$"
	}
	test := strings.Join(parts, "/")
	if f.Shrunk == nil {
		one := fmt.Sprintf("LOCKSTEP_SEED=%d LOCKSTEP_TRACE=trace.txt LOCKSTEP_HTML=out.html go test -run '%s'", f.Seed, test)
		return one, ""
	}
	test = fmt.Sprintf("go test -run '%s/^%s$'", test, f.Shrunk.Recording.Name())
	return test, "LOCKSTEP_HTML=out.html " + test
}

// playOne plays one seed once, for its trace.
func playOne(t testing.TB, one string, o Options) {
	t.Helper()
	seed, err := strconv.ParseUint(one, 10, 64)
	if err != nil {
		t.Fatalf("parse LOCKSTEP_SEED: %v", err)
	}
	defer traced(t, &o)()
	r, err := Play(seed, o)
	drawUnexplained(t, &r)
	t.Logf("seed %d: hash %016x, %d events, %v simulated, %d calls\n%v\n%v", seed, r.Hash, r.Events, r.Time, r.Calls, r.Faults, r.Probes)
	if err != nil {
		t.Error(err)
	}
}

// playFile plays one recording.
func playFile(t testing.TB, name string, o Options) {
	t.Helper()
	rec, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	defer traced(t, &o)()
	r, err := Replay(rec, o)
	drawUnexplained(t, &r)
	t.Logf("hash %016x, %d events, %v simulated, %d calls", r.Hash, r.Events, r.Time, r.Calls)
	if err != nil {
		f := Examine(context.Background(), r, err, o, 0, "")
		t.Error(strings.Join(append([]string{strings.TrimPrefix(err.Error(), ErrBroken.Error()+": ")}, f.Hints...), "\n    "))
	}
}

// drawUnexplained draws, beside the timeline that the environment names, the calls that no order explains.
func drawUnexplained(t testing.TB, r *Result) {
	t.Helper()
	timeline := os.Getenv("LOCKSTEP_HTML")
	if timeline == "" {
		return
	}
	name, err := r.DrawUnexplained(timeline)
	if err != nil {
		t.Error(err)
	}
	if name != "" {
		t.Logf("calls that no order explains: %s", name)
	}
}

// traced lets a run write its trace and its picture, if the environment names files for them, and
// returns what closes those.
func traced(t testing.TB, o *Options) (done func()) {
	t.Helper()
	var files []*os.File
	open := func(name string, to *io.Writer) {
		if name == "" {
			return
		}
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		*to = f
	}
	open(os.Getenv("LOCKSTEP_TRACE"), &o.Trace)
	open(os.Getenv("LOCKSTEP_HTML"), &o.HTML)
	return func() {
		for _, f := range files {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
