package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// A ratio is what a bar came to when it was recorded.
type ratio struct {
	Row    string
	What   string
	Median float64
	Rounds int
}

// regressTolerance is the share by which a ratio may be worse than the recorded one: machines are
// noisy, but ratios are taken within a round, so that what disturbs hits both sides.
const regressTolerance = 0.3

func regressCommand(args []string) error {
	f := flag.NewFlagSet("bench regress", flag.ContinueOnError)
	ratiosFile := f.String("ratios", "testdata/ratios.json", "file of recorded ratios")
	record := f.Bool("record", false, "record the ratios instead of comparing with them")
	tolerance := f.Float64("tolerance", regressTolerance, "share by which a ratio may be worse")
	g := &gallery{points: map[string][]point{}, took: map[string]time.Duration{}}
	f.IntVar(&g.rounds, "rounds", 3, "of each row")
	f.StringVar(&g.window, "window", "-duration 2s -warm 500ms -patience 5s", "flags of each row")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *tolerance <= 0 || g.rounds < 1 || f.NArg() > 0 {
		return errors.New("wrong flags: a tolerance above 0, at least one round, and nothing after the flags")
	}
	old, err := loadRatios(*ratiosFile)
	if err != nil && !*record {
		return err
	}
	for _, x := range figures {
		if x.regress {
			g.figures = append(g.figures, x)
		}
	}
	for round := 1; round <= g.rounds; round++ {
		for i := range g.figures {
			if err := g.add(&g.figures[i], round); err != nil {
				return err
			}
		}
	}
	if g.failed != nil {
		return g.failed
	}
	if *record {
		return g.save(*ratiosFile)
	}
	return g.judge(old, *tolerance)
}

func loadRatios(name string) (all []ratio, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read ratios: %w", err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read ratios of %s: %w", name, err)
	}
	return all, nil
}

// ratios are the medians of all bars that were measured.
func (g *gallery) ratios() (all []ratio) {
	for i := range g.figures {
		f := &g.figures[i]
		for j := range f.bars {
			b := &f.bars[j]
			if measured, _ := b.measured(f.title, g.points); len(measured) > 0 {
				all = append(all, ratio{f.title, b.name(), median(measured), len(measured)})
			}
		}
	}
	return all
}

// save writes the ratios over those of the same name, and keeps the others.
func (g *gallery) save(name string) error {
	old, err := loadRatios(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, r := range g.ratios() {
		i := slices.IndexFunc(old, func(o ratio) bool { return o.Row == r.Row && o.What == r.What })
		if i < 0 {
			old = append(old, r)
		} else {
			old[i] = r
		}
	}
	text, err := json.MarshalIndent(old, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}

// disturbed says whether others took part of the machine during most of the points.
func disturbed(points []point) bool {
	noisy := 0
	for _, p := range points {
		if p.Noisy {
			noisy++
		}
	}
	return noisy*2 > len(points)
}

// judge compares with the recorded ratios; the error names each row that is worse. A 99th percentile
// of a few seconds says too little to judge by, nor does a row that others disturbed.
func (g *gallery) judge(old []ratio, tolerance float64) error {
	var worse error
	for i := range g.figures {
		f := &g.figures[i]
		for j := range f.bars {
			b := &f.bars[j]
			all, _ := b.measured(f.title, g.points)
			if len(all) == 0 || strings.HasPrefix(b.key, "p99") {
				continue
			}
			if disturbed(g.points[f.title]) {
				fmt.Printf("noisy  %s: %s is %s; others used the machine, so it is not judged\n", f.title, b.name(), spread(all))
				continue
			}
			k := slices.IndexFunc(old, func(o ratio) bool { return o.Row == f.title && o.What == b.name() })
			if k < 0 {
				fmt.Printf("new    %s: %s is %s; nothing is recorded: make regress RECORD=1\n", f.title, b.name(), spread(all))
				continue
			}
			was, is := old[k].Median, median(all)
			bad := is > was*(1+tolerance)
			if better(b.key) {
				bad = is < was/(1+tolerance)
			}
			if !bad {
				fmt.Printf("ok     %s: %s is %s, was %s\n", f.title, b.name(), spread(all), short(was))
				continue
			}
			fmt.Printf("WORSE  %s: %s is %s, was %s\n", f.title, b.name(), spread(all), short(was))
			worse = errors.Join(worse, fmt.Errorf("%s: %s is %s, was %s, more than %.0f %% worse", f.title, b.name(), short(is), short(was), tolerance*100))
		}
	}
	if worse != nil {
		return fmt.Errorf("%w\nRun it again on a quiet machine. If it is meant to be so: make regress RECORD=1", worse)
	}
	return nil
}
