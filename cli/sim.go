package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep/sim"
)

// simulation is what the commands of sim are told.
type simulation struct {
	seed   uint64
	seeds  int
	load   string
	shrink time.Duration
	dir    string
	html   string
	length time.Duration // zero: the load's
}

func (p *Program) simCommand() *cobra.Command {
	return p.parent("sim", "Break the engine under simulation", p.simRun(), p.simReplay(), p.simShrink())
}

func (p *Program) simRun() *cobra.Command {
	var s simulation
	run := &cobra.Command{
		Use: "run", Short: "Simulate seeds, and print the hash of each trace", Args: exactly(0),
		Long: `Simulate seeds, each twice: the same seed on the same build has the same trace, whose hash is printed. Below stand the
faults that were drawn, in how many seeds two of them met, and the probes: rare branches, and how often they were reached.
The first seed that breaks a promise is shrunk, and written as a recording. The last line is the verdict: clean or broken.
Exit code 1: a promise was broken, a history could not be judged in time, or, of 500 seeds and more, something was
never reached.`,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := p.simOptions(s.load)
			if err != nil {
				return err
			}
			if s.seeds < 1 {
				return usage(fmt.Errorf("--seeds is %d, at least 1 is wanted", s.seeds))
			}
			if s.shrink < 0 {
				return usage(fmt.Errorf("--shrink is %v. It is 0s, not at all, or above", s.shrink))
			}
			switch {
			case s.length < 0:
				return usage(fmt.Errorf("--duration is %v. It is above 0s", s.length))
			case s.length > 0:
				o.Length = s.length
			}
			if s.html != "" {
				if s.seeds > 1 {
					return usage(errors.New("--html is the picture of one seed, and --seeds asks for more"))
				}
				return p.picture(s.html, o, 0, func(o sim.Options) (sim.Result, error) { return sim.Play(s.seed, o) })
			}
			return p.campaign(c.Context(), &s, o)
		},
	}
	f := run.Flags()
	f.Uint64Var(&s.seed, "seed", 1, "first seed")
	f.IntVar(&s.seeds, "seeds", 1, "how many")
	f.StringVar(&s.html, "html", "", "file for a timeline of one seed, which is then played once")
	f.DurationVar(&s.length, "duration", 0, "simulated time of a seed before its faults end (default that of the load: 1m0s; of long 1h0m0s)")
	s.common(run, p, time.Minute)
	return run
}

// common are the flags of all commands that shrink.
func (s *simulation) common(c *cobra.Command, p *Program, limit time.Duration) {
	f := c.Flags()
	f.StringVar(&s.load, "load", "kv", "machine and clients: "+strings.Join(p.loads(), " or "))
	f.DurationVar(&s.shrink, "shrink", limit, "how long the first failing seed may be shrunk; 0s: not at all")
	f.StringVar(&s.dir, "recordings", filepath.Join("testdata", "sim"), "folder for recordings, one below it per load")
}

func (p *Program) loads() (names []string) {
	for name := range p.Loads {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (p *Program) simOptions(load string) (sim.Options, error) {
	if p.Loads == nil {
		return sim.Options{}, errors.New("this build has no simulator. Build cmd/lockstep of a full checkout")
	}
	o, ok := p.Loads[load]
	if !ok {
		return o, usage(fmt.Errorf("unknown load %q. It is %s", load, strings.Join(p.loads(), " or ")))
	}
	o.Name = load
	return o, nil
}

// campaign plays seeds and prints what came of them.
func (p *Program) campaign(ctx context.Context, s *simulation, o sim.Options) error {
	told := p.tell(s)
	rep, err := sim.Simulate(ctx, s.seed, s.seeds, o, told.each)
	told.end()
	if err != nil {
		return err
	}
	var failure *sim.Failure
	if len(rep.Broken) > 0 && s.shrink > 0 {
		b := &rep.Broken[0]
		f := sim.Examine(ctx, b.Result, b.Err, o, s.shrink, filepath.Join(s.dir, s.load))
		failure = &f
	}
	if p.output == "json" {
		if err := p.json(reportJSON(rep, told.hashes, failure)); err != nil {
			return err
		}
		return rep.Verdict()
	}
	if _, err := rep.WriteTo(p.Out); err != nil {
		return err
	}
	if failure != nil {
		fmt.Fprintln(p.Out, failure.Text(again(failure, s)))
	}
	fmt.Fprintln(p.Out, rep)
	return rep.Verdict()
}

// again is how a failure of the command line is played again.
func again(f *sim.Failure, s *simulation) (again, picture string) {
	if f.File == "" {
		return fmt.Sprintf("lockstep sim run --load %s --seed %d", s.load, f.Seed), fmt.Sprintf("lockstep sim run --load %s --seed %d --html out.html", s.load, f.Seed)
	}
	return "lockstep sim replay " + f.File, "lockstep sim replay --html out.html " + f.File
}

// told is how far a campaign is: a bar on a terminal, else a line per seed or, of many, now and then.
type told struct {
	p      *Program
	seeds  int
	done   int
	broken int
	began  time.Time
	last   time.Time
	writer progress.Writer
	bar    *progress.Tracker
	hashes []seedJSON
	width  int // of the seeds' column
}

// Of so many seeds each gets its line; of more there is one line in every tellEvery.
const (
	lineEach  = 500
	tellEvery = 10 * time.Second
)

func (p *Program) tell(s *simulation) *told {
	t := &told{p: p, seeds: s.seeds, began: time.Now(), width: max(4, len(strconv.FormatUint(s.seed+uint64(s.seeds)-1, 10)))}
	t.last = t.began
	if p.output != "json" && isTerminal(p.Out) && s.seeds > 1 {
		t.writer = progress.NewWriter()
		t.writer.SetOutputWriter(p.Out)
		t.writer.SetUpdateFrequency(200 * time.Millisecond)
		t.writer.Style().Visibility.ETA = true
		t.writer.Style().Visibility.Speed = true
		t.bar = &progress.Tracker{Message: "seeds", Total: int64(s.seeds), Units: progress.UnitsDefault}
		t.writer.AppendTracker(t.bar)
		p.env.Run("progress", t.writer.Render)
	}
	if t.bar == nil && p.output != "json" && s.seeds < lineEach {
		fmt.Fprintf(p.Out, "%*s  %-16s  %8s  %9s  %5s  %8s\n", t.width, "seed", "hash", "events", "simulated", "hosts", "answered")
	}
	return t
}

// each is told of a seed.
func (t *told) each(r sim.Result, err error) {
	t.done++
	line := fmt.Sprintf("%*d  %016x  %8d  %7.1f s  %5d  %8d", t.width, r.Seed, r.Hash, r.Events, r.Time.Seconds(), r.Hosts, r.Calls)
	problem := ""
	if err != nil {
		t.broken++
		problem = err.Error()
		line = fmt.Sprintf("%*d  broken: %v", t.width, r.Seed, err)
	}
	switch {
	case t.p.output == "json":
		t.hashes = append(t.hashes, seedOf(&r, problem))
	case t.bar != nil:
		t.bar.Increment(1)
		if err != nil {
			t.writer.Log("%s", line)
			t.bar.UpdateMessage(fmt.Sprintf("seeds, %d broken", t.broken))
		}
	case err != nil || t.seeds < lineEach:
		fmt.Fprintln(t.p.Out, line)
	case time.Since(t.last) > tellEvery:
		t.last = time.Now()
		rate := float64(t.done) / time.Since(t.began).Seconds()
		fmt.Fprintf(t.p.Out, "seeds=%d of=%d broken=%d per_second=%.1f left_seconds=%.0f\n", t.done, t.seeds, t.broken, rate, float64(t.seeds-t.done)/rate)
	}
}

// end takes the bar away.
func (t *told) end() {
	if t.bar == nil {
		return
	}
	if t.done == t.seeds {
		t.bar.MarkAsDone()
	} else {
		t.bar.MarkAsErrored()
	}
	t.writer.Stop()
	for t.writer.IsRenderInProgress() {
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *Program) simReplay() *cobra.Command {
	var html string
	replay := &cobra.Command{
		Use: "replay FILE", Short: "Play a recording, twice", Args: exactly(1),
		Long: `Play a recording that lockstep sim run or shrink has written, twice: it has the same trace each time, whose hash is
printed. Recordings of a test in Go are played by that test. Exit code 1: a promise is broken.`,
		RunE: func(_ *cobra.Command, args []string) error {
			rec, o, err := p.recording(args[0])
			if err != nil {
				return err
			}
			if html != "" {
				return p.picture(html, o, len(rec.Decisions), func(o sim.Options) (sim.Result, error) { return sim.Replay(rec, o) })
			}
			r, err := sim.Replay(rec, o)
			return p.played(&r, len(rec.Decisions), err, "", "")
		},
	}
	replay.Flags().StringVar(&html, "html", "", "file for a timeline of the run, which is then played once")
	return replay
}

// picture plays one run once and draws it.
func (p *Program) picture(file string, o sim.Options, decisions int, play func(sim.Options) (sim.Result, error)) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("make the timeline: %w", err)
	}
	o.HTML = f
	r, err := play(o)
	if werr := f.Close(); werr != nil {
		return fmt.Errorf("write the timeline: %w", werr)
	}
	if decisions == 0 {
		decisions = len(r.Recording.Decisions)
	}
	unexplained, werr := r.DrawUnexplained(file)
	if werr != nil {
		return werr
	}
	return p.played(&r, decisions, err, file, unexplained)
}

// played prints what one run came to, and returns err, which it ended with. The files are the picture of the run and that
// of calls that no order explains, if there are any.
func (p *Program) played(r *sim.Result, decisions int, err error, picture, unexplained string) error {
	if p.output == "json" {
		problem := ""
		if len(r.Broken) > 0 {
			problem = r.Broken[0]
		}
		out := seedOf(r, problem)
		out.Unexplained = unexplained
		return errors.Join(p.json(out), err)
	}
	fmt.Fprintf(p.Out, "seed %d decisions %d hash %016x events %d simulated %v hosts %d calls %d\n", r.Seed, decisions, r.Hash, r.Events, r.Time, r.Hosts, r.Calls)
	if unexplained != "" {
		fmt.Fprintf(p.Out, "calls that no order explains: %s\n", unexplained)
	}
	if picture != "" {
		fmt.Fprintf(p.Out, "picture: %s\n", picture)
	}
	verdict := "clean"
	if err != nil {
		verdict = "broken"
	}
	fmt.Fprintln(p.Out, verdict)
	return err
}

// recording loads a file and finds the load it is played with.
func (p *Program) recording(file string) (*sim.Recording, sim.Options, error) {
	rec, err := sim.Load(file)
	if err != nil {
		return nil, sim.Options{}, err
	}
	if p.Loads != nil && !slices.Contains(p.loads(), rec.Test) {
		return nil, sim.Options{}, fmt.Errorf("the recording is of %s, which only its own program can play: go test -run '^%s$/^%s$'", rec.Test, strings.ReplaceAll(rec.Test, "/", "$/^"), rec.Name())
	}
	o, err := p.simOptions(rec.Test)
	return rec, o, err
}

func (p *Program) simShrink() *cobra.Command {
	var s simulation
	shrink := &cobra.Command{
		Use: "shrink [FILE]", Short: "Make a failing seed or recording smaller", Args: between(0, 1),
		Long: `Leave out faults, calls, clients and hosts of a failing seed (--seed) or recording while it breaks the same promise, and
write what remains as a recording. Exit code 1: nothing was broken, so there is nothing to shrink.`,
		RunE: func(c *cobra.Command, args []string) error {
			o, err := p.simOptions(s.load)
			if err != nil {
				return err
			}
			if s.shrink <= 0 {
				return usage(fmt.Errorf("--shrink is %v, it has to be above 0s", s.shrink))
			}
			if len(args) == 0 {
				r, err := sim.Play(s.seed, o)
				return p.shrink(c.Context(), r, err, o, &s)
			}
			rec, o, err := p.recording(args[0])
			if err != nil {
				return err
			}
			s.load = rec.Test
			r, err := sim.Replay(rec, o)
			return p.shrink(c.Context(), r, err, o, &s)
		},
	}
	shrink.Flags().Uint64Var(&s.seed, "seed", 1, "the seed, if there is no FILE")
	s.common(shrink, p, 5*time.Minute)
	return shrink
}

func (p *Program) shrink(ctx context.Context, r sim.Result, err error, o sim.Options, s *simulation) error {
	if err == nil {
		return fmt.Errorf("nothing to shrink: seed %d breaks no promise", r.Seed)
	}
	f := sim.Examine(ctx, r, err, o, s.shrink, filepath.Join(s.dir, s.load))
	if f.Shrunk == nil {
		return err
	}
	if p.output == "json" {
		return p.json(shrunkOf(&f))
	}
	fmt.Fprintln(p.Out, f.Text(again(&f, s)))
	return nil
}
