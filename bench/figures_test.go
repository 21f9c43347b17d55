package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryFigureIsACommand(t *testing.T) {
	titles := map[string]bool{}
	for _, f := range figures {
		if titles[f.title] {
			t.Errorf("two figures have the title %q", f.title)
		}
		titles[f.title] = true
		s, err := f.settings("-duration 3s -warm 500ms -patience 3s")
		if err != nil {
			t.Errorf("%s: %v", f.title, err)
			continue
		}
		for _, b := range f.bars {
			for _, peer := range append([]string{b.of}, b.over...) {
				if _, err := engineOf(peer); err != nil {
					t.Errorf("%s: %v", f.title, err)
				}
			}
			if !strings.Contains(","+s.peers+",", ","+b.of+",") {
				t.Errorf("%s asks something of %s, which it does not measure", f.title, b.of)
			}
			if b.overRow != "" && !titles[b.overRow] {
				t.Errorf("%s is compared with %q, which does not stand before it", f.title, b.overRow)
			}
		}
	}
}

// pointsOf makes a point per round with one value.
func pointsOf(peer, key string, values ...float64) (points []point) {
	for i, v := range values {
		p := point{Row: "r", Peer: peer, Round: i + 1}
		p.add(key, v)
		points = append(points, p)
	}
	return points
}

func TestBarDividesByTheBestRival(t *testing.T) {
	for _, c := range []struct {
		key, best string
		want      float64
	}{{"op/s", "hashicorp-tuned", 2}, {"p50 µs", "etcd", 10}} {
		points := map[string][]point{"a": append(append(pointsOf(subject, c.key, 100, 1000), pointsOf("etcd", c.key, 10, 100)...), pointsOf("hashicorp-tuned", c.key, 50, 500)...)}
		b := bar{key: c.key, of: subject, over: rivals, atLeast: c.want + 1}
		all, over := b.measured("a", points)
		if over != c.best || len(all) != 2 || median(all) != c.want {
			t.Errorf("%s is %v times that of %q, want %v times that of %q", c.key, all, over, c.want, c.best)
		}
		if b.met(all) {
			t.Errorf("%v reaches %s", all, b.goal())
		}
	}
}

func TestResultsGoBetweenTheMarks(t *testing.T) {
	g := &gallery{
		figures: []figure{{title: "a", args: "write -clients 1", bars: []bar{{key: "p50 µs", of: subject, over: []string{"etcd"}, atMost: 0.5}}}},
		points:  map[string][]point{"a": append(pointsOf(subject, "p50 µs", 3, 6), pointsOf("etcd", "p50 µs", 10, 20)...)},
		write:   filepath.Join(t.TempDir(), "a.md"), window: "-duration 3s", record: filepath.Join(t.TempDir(), "ratios.json"),
	}
	if err := os.WriteFile(g.write, []byte("head\n"+resultsBegin+"old\n"+resultsEnd+"tail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.show(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(g.write)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"head\n" + resultsBegin, resultsEnd + "tail\n", "`bin/bench write -rounds 2 -duration 3s -clients 1`",
		"| a | p50 µs of lockstep ÷ etcd | 0.30 | ≤ 0.50 | reached |", "| lockstep | 2 | 0 | 4.50 (3.00–6.00) | 1.00 |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Errorf("the old results are still there:\n%s", text)
	}
	old, err := loadRatios(g.record)
	if err != nil || len(old) != 1 || old[0].Median != 0.3 {
		t.Errorf("the ratios are %v, %v", old, err)
	}
}

func TestRegressNamesTheRowThatGotWorse(t *testing.T) {
	rate := bar{key: "op/s", of: subject, over: []string{"etcd"}}
	latency := bar{key: "p50 µs", of: subject, over: []string{"etcd"}}
	g := &gallery{
		figures: []figure{{title: "fast", bars: []bar{rate}}, {title: "slow", bars: []bar{latency}}},
		points: map[string][]point{
			"fast": append(pointsOf(subject, "op/s", 200), pointsOf("etcd", "op/s", 100)...),
			"slow": append(pointsOf(subject, "p50 µs", 200), pointsOf("etcd", "p50 µs", 100)...),
		},
	}
	for _, c := range []struct {
		rate, latency float64 // recorded
		worse         []string
	}{
		{2, 2, nil},
		{2.5, 1.6, nil},
		{1, 4, nil}, // it got better
		{2.7, 2, []string{"fast"}},
		{2, 1.5, []string{"slow"}},
		{2.7, 1.5, []string{"fast", "slow"}},
	} {
		err := g.judge([]ratio{{Row: "fast", What: rate.name(), Median: c.rate}, {Row: "slow", What: latency.name(), Median: c.latency}}, regressTolerance)
		if (err != nil) != (len(c.worse) > 0) {
			t.Errorf("recorded %v and %v: %v", c.rate, c.latency, err)
		}
		for _, name := range c.worse {
			if err == nil || !strings.Contains(err.Error(), name+":") {
				t.Errorf("recorded %v and %v: %q is not named: %v", c.rate, c.latency, name, err)
			}
		}
	}
	if err := g.judge(nil, regressTolerance); err != nil {
		t.Errorf("nothing is recorded: %v", err)
	}
	for i := range g.points["fast"] {
		g.points["fast"][i].Noisy = true
	}
	if err := g.judge([]ratio{{Row: "fast", What: rate.name(), Median: 9}}, regressTolerance); err != nil {
		t.Errorf("a row that others disturbed is judged: %v", err)
	}
}
