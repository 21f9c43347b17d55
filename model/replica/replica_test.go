package main

import (
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

const limit = 100_000 // states

// The counts are pinned: a model that loses a step or a fault would hold for want of asking.
func TestRulesHoldWithinSmallBounds(t *testing.T) {
	for _, c := range []struct {
		name   string
		b      bounds
		states uint64
	}{
		{"one replica", bounds{n: 1, terms: 3, log: 3, power: 2, kill: 1, live: true}, 10_051},
		{"two replicas", bounds{n: 2, terms: 2, log: 2, power: 2, live: true}, 9_771},
		{"two replicas, one may rot", bounds{n: 2, terms: 2, log: 2, power: 1, rot: 1, live: true}, 6_542},
		{"three replicas, one may be wiped", bounds{n: 3, terms: 1, log: 2, wipe: 1, changes: 1, live: true}, 8_821},
	} {
		res := search(design(), c.b, limit)
		if !res.Complete || res.States != c.states {
			t.Errorf("%s: %d states expected: %s%s", c.name, c.states, res, told(t, res))
		}
	}
}

// Those that are found among a few thousand states; make model tries all.
func TestRulesAreNeeded(t *testing.T) {
	protected := map[string]string{
		"a: vote acted on before it is durable":                "TWO LEADERS",
		"a2: vote acted on after one batch":                    "TWO LEADERS",
		"b: torn taken for rot":                                "DEAD END",
		"d: a wiped replica votes as before":                   "TWO LEADERS",
		"e2: NEVER before the term is adopted":                 "LOST: another entry",
		"l: a short write under the same boot is HEAD-UNKNOWN": "DEAD END",
		"(no rule: two replicas have no spare) HEAD-UNKNOWN":   "DEAD END",
	}
	for _, b := range breaches() {
		kind := protected[b.name]
		if kind == "" {
			continue
		}
		delete(protected, b.name)
		r := design()
		b.off(&r)
		if res := search(r, b.b, limit); !strings.HasPrefix(res.Bad, kind) {
			t.Errorf("%s: found %q, want %q%s", b.name, res.Bad, kind, told(t, res))
		}
	}
	for name := range protected {
		t.Errorf("%s: nobody tries it", name)
	}
}

// Replicas are interchangeable: states that differ by their numbers alone are one.
func TestEncodingForgetsNumbersOfReplicas(t *testing.T) {
	m := newModel(design(), bounds{n: 3, terms: 2, log: 2})
	a, b := m.Init(), m.Init()
	m.vote(&a, 0, 1, 0)
	m.vote(&b, 2, 1, 2)
	if x, y := m.Encode(&a, nil), m.Encode(&b, nil); string(x) != string(y) {
		t.Errorf("candidates A and C give %v and %v", x, y)
	}
	m.vote(&b, 1, 1, 2)
	if x, y := m.Encode(&a, nil), m.Encode(&b, nil); string(x) == string(y) {
		t.Errorf("a vote makes no difference: %v", x)
	}
}

// told is the counterexample.
func told(t *testing.T, res explore.Result) string {
	t.Helper()
	var b strings.Builder
	if err := res.Explain(&b); err != nil {
		t.Fatal(err)
	}
	return "\n" + b.String()
}
