package main

import (
	"strings"
	"testing"
)

func TestReportDividesWithinARound(t *testing.T) {
	var points []point
	for round, speed := range []float64{1, 10, 2} { // the machine's own speed changes from round to round
		for peer, times := range map[string]float64{"lockstep": 300, "etcd": 100} {
			p := point{Row: "r", Peer: peer, Round: round, Noisy: round == 1}
			p.add("op/s", speed*times)
			points = append(points, p)
		}
	}
	var b strings.Builder
	report(&b, "r", "op/s", points)
	if want := "| etcd | 3 | 1 | 200 (100–1000) | 0.33 |"; !strings.Contains(strings.ReplaceAll(b.String(), "0.33 (0.33–0.33)", "0.33"), want) {
		t.Errorf("the report lacks %q:\n%s", want, b.String())
	}
}

func TestReportSaysWhoCannot(t *testing.T) {
	able, cannot := point{Row: "r", Peer: "lockstep"}, point{Row: "r", Peer: "etcd", Unable: string(oneGroup)}
	able.add("op/s", 5)
	var b strings.Builder
	report(&b, "r", "op/s", []point{cannot, able, cannot})
	if got := b.String(); strings.Contains(got, "| etcd") || strings.Count(got, "Not measured: etcd: has one group only.") != 1 {
		t.Errorf("the report is wrong:\n%s", got)
	}
}
