package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// gallery measures figures and writes them down.
type gallery struct {
	figures []figure
	rounds  int
	budget  time.Duration
	window  string // flags of all windows
	out     string // file of points
	from    string // file of points to show instead of measuring
	write   string // document to write the results into
	record  string // file of ratios

	points map[string][]point // by title
	took   map[string]time.Duration
	end    time.Time // of the budget
	at     time.Time // of the measurement
	failed error
}

func figuresCommand(args []string) error {
	g := &gallery{points: map[string][]point{}, took: map[string]time.Duration{}}
	f := flag.NewFlagSet("bench figures", flag.ContinueOnError)
	only := f.String("only", "", "regular expression of the titles to measure")
	f.IntVar(&g.rounds, "rounds", 5, "of each figure at most")
	f.DurationVar(&g.budget, "budget", 25*time.Minute, "time for all; a round that would not fit is left out")
	f.StringVar(&g.window, "window", "-duration 3s -warm 500ms -patience 3s", "flags of each figure with windows")
	f.StringVar(&g.out, "out", "", "file to append the points to")
	f.StringVar(&g.from, "from", "", "show the points of this file, measure nothing")
	f.StringVar(&g.write, "write", "", "document to write the results into, between its marks; none: print them")
	f.StringVar(&g.record, "record", "", "file to write the ratios into, for regress")
	if err := f.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*only)
	if err != nil || g.rounds < 1 || f.NArg() > 0 {
		return errors.Join(errors.New("wrong flags: at least one round, a regular expression, and nothing after the flags"), err)
	}
	for _, x := range figures {
		if match.MatchString(x.title) {
			g.figures = append(g.figures, x)
		}
	}
	if g.from != "" {
		if err := g.load(); err != nil {
			return err
		}
	} else if err := g.measure(); err != nil {
		return err
	}
	return errors.Join(g.show(), g.failed)
}

// measure takes a round of all figures, the next round of all, and so on, so that a budget that ends
// early has cut every figure alike. What needs one round alone comes after the first.
func (g *gallery) measure() error {
	g.at = time.Now()
	g.end = g.at.Add(g.budget)
	for round := 1; round <= g.rounds; round++ {
		for _, once := range []bool{false, true} {
			for i := range g.figures {
				f := &g.figures[i]
				if f.once != once || once && round > 1 || time.Now().Add(g.expected(f)).After(g.end) {
					continue
				}
				fmt.Fprintf(os.Stderr, "%s · round %d · %v left\n", f.title, round, time.Until(g.end).Round(time.Second))
				if err := g.add(f, round); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// expected is how long a round of a figure takes: as long as the last one, or a guess.
func (g *gallery) expected(f *figure) time.Duration {
	if took, ok := g.took[f.title]; ok {
		return took
	}
	return 30 * time.Second
}

// add measures a figure once. What failed is said at the end.
func (g *gallery) add(f *figure, round int) error {
	began := time.Now()
	points, err := f.round(round, g)
	if err != nil {
		return fmt.Errorf("measure %s: %w", f.title, err)
	}
	for _, p := range points {
		if reason, ok := strings.CutPrefix(p.Unable, failedMark); ok {
			g.failed = errors.Join(g.failed, fmt.Errorf("%s: %s: %s", f.title, p.Peer, reason))
		}
	}
	g.points[f.title] = append(g.points[f.title], points...)
	g.took[f.title] = time.Since(began)
	return nil
}

// settings of a figure: its command with further flags before its own, which win.
func (f *figure) settings(window string) (*settings, error) {
	row, own, _ := strings.Cut(f.args, " ")
	return parse(row, append(strings.Fields(window), strings.Fields(own)...))
}

// round measures each peer once.
func (f *figure) round(round int, g *gallery) ([]point, error) {
	s, err := f.settings(g.window)
	if err != nil {
		return nil, err
	}
	s.out, s.end = g.out, g.end
	return s.round(round)
}

func (g *gallery) load() error {
	points, err := readPoints([]string{g.from})
	if err != nil {
		return err
	}
	if of, err := os.Stat(g.from); err == nil {
		g.at = of.ModTime() // when the last point was added
	}
	for _, f := range g.figures {
		s, err := f.settings(g.window)
		if err != nil {
			return err
		}
		for _, p := range points {
			if p.Row == s.name() {
				g.points[f.title] = append(g.points[f.title], p)
			}
		}
	}
	return nil
}

// show prints the results, or writes them into the document, and records the ratios.
func (g *gallery) show() error {
	var b bytes.Buffer
	g.results(&b)
	if g.record != "" {
		if err := g.save(g.record); err != nil {
			return err
		}
	}
	if g.write == "" {
		_, err := b.WriteTo(os.Stdout)
		return err
	}
	text, err := os.ReadFile(g.write)
	if err != nil {
		return fmt.Errorf("read document: %w", err)
	}
	written, err := between(text, b.Bytes())
	if err != nil {
		return fmt.Errorf("write results into %s: %w", g.write, err)
	}
	return os.WriteFile(g.write, written, 0o644)
}

// The marks in a document between which results stand.
const (
	resultsBegin = "<!-- results: make figures writes what stands here -->\n"
	resultsEnd   = "<!-- end of results -->\n"
)

func between(document, results []byte) ([]byte, error) {
	head, rest, begins := bytes.Cut(document, []byte(resultsBegin))
	_, tail, ends := bytes.Cut(rest, []byte(resultsEnd))
	if !begins || !ends {
		return nil, fmt.Errorf("it lacks the marks %q and %q", strings.TrimSpace(resultsBegin), strings.TrimSpace(resultsEnd))
	}
	return bytes.Join([][]byte{head, []byte(resultsBegin), results, []byte(resultsEnd), tail}, nil), nil
}

// results are Markdown: the machine, what is asked and what came out, and a table per figure.
func (g *gallery) results(w io.Writer) {
	fmt.Fprintf(w, "\nMeasured %s on %s, by `make figures`.\n", g.at.UTC().Format("2006-01-02 15:04 UTC"), machineText())
	fmt.Fprintf(w, "\n### Against the goals\n\nA ratio is taken within each round; the median, the least and the greatest are shown.\n\n| row | ratio | measured | goal | |\n|---|---|--:|--:|---|\n")
	for i := range g.figures {
		f := &g.figures[i]
		for j := range f.bars {
			b := &f.bars[j]
			all, over := b.measured(f.title, g.points)
			if len(all) == 0 {
				continue
			}
			if over != "" && len(b.over) > 1 {
				over = " (" + over + ")"
			} else {
				over = ""
			}
			fmt.Fprintf(w, "| %s | %s%s | %s | %s | %s |\n", f.title, b.name(), over, spread(all), b.goal(), verdict(b, all))
		}
	}
	for i := range g.figures {
		f := &g.figures[i]
		points := g.points[f.title]
		if len(points) == 0 {
			continue
		}
		s, err := f.settings(g.window)
		if err != nil {
			continue // it was measured by the same flags
		}
		fmt.Fprintf(w, "\n### %s\n\n`%s`\n", f.title, f.command(g.window, points))
		report(w, points[0].Row, s.key(), points)
	}
	fmt.Fprintln(w)
}

// command is what to type for a figure alone.
func (f *figure) command(window string, points []point) string {
	rounds := 1
	for _, p := range points {
		rounds = max(rounds, p.Round)
	}
	row, own, _ := strings.Cut(f.args, " ")
	return strings.TrimSpace(fmt.Sprintf("bin/bench %s -rounds %d %s %s", row, rounds, window, own))
}

func verdict(b *bar, all []float64) string {
	switch {
	case b.atLeast == 0 && b.atMost == 0:
		return ""
	case b.met(all):
		return "reached"
	}
	return "**not reached**"
}

// machineText describes the machine, and the build.
func machineText() string {
	cpu := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	text := fmt.Sprintf("%d cores of %s, %s, Linux %s", runtime.GOMAXPROCS(0), cpu, runtime.Version(), strings.TrimSpace(string(kernel)))
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				text += fmt.Sprintf(", at %.12s", s.Value)
			}
		}
	}
	return text
}
