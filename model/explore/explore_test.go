package explore

import (
	"slices"
	"strings"
	"testing"
)

// jugs are the riddle of two jugs, of three and of five litres: is there a way to four?
type jugs struct{ wanted uint8 }

type litres struct{ small, big uint8 }

func (jugs) Init() litres { return litres{} }

func (j jugs) Next(s *litres, out *Out[litres]) {
	pour := min(s.small, 5-s.big)
	back := min(s.big, 3-s.small)
	for i, n := range []litres{
		{3, s.big}, {s.small, 5}, {0, s.big}, {s.small, 0}, {s.small - pour, s.big + pour}, {s.small + back, s.big - back},
	} {
		bad := ""
		if n.big == j.wanted {
			bad = "found"
		}
		out.Step(&n, bad, Act{Op: uint8(i)})
	}
}

func (jugs) Encode(s *litres, buf []byte) []byte { return append(buf, s.small, s.big) }

func (jugs) Label(a Act) string {
	return [...]string{"fill small", "fill big", "empty small", "empty big", "pour into big", "pour into small"}[a.Op]
}

func (jugs) Show(s *litres) string { return strings.Repeat("*", int(s.big)) }

func TestShortestTraceIsFound(t *testing.T) {
	res := Run(jugs{4}, 100, nil)
	want := []Taken{
		{"fill big", "*****"},
		{"pour into small", "**"},
		{"empty small", "**"},
		{"pour into small", ""},
		{"fill big", "*****"},
		{"pour into small", "****"},
	}
	if res.Bad != "found" || !slices.Equal(res.Trace, want) || res.Complete {
		t.Fatalf("found %q by %v", res.Bad, res.Trace)
	}
	var b strings.Builder
	if err := res.Explain(&b); err != nil || !strings.HasPrefix(b.String(), "    => found\n     1 fill big ") {
		t.Errorf("explained as %q, %v", b.String(), err)
	}
}

// Sixteen of the 24 pairs can be reached: one jug is full or empty.
func TestEveryStateIsVisitedOnce(t *testing.T) {
	seen := map[litres]int{}
	res := Run(jugs{6}, 100, func(s *litres) string {
		seen[*s]++
		return ""
	})
	if !res.Complete || res.States != 16 || res.Steps != 16*6 || len(seen) != 16 {
		t.Errorf("visited %d: %s", len(seen), res)
	}
	for s, n := range seen {
		if n != 1 {
			t.Errorf("%v was visited %d times", s, n)
		}
	}
}

func TestVisitEndsTheSearchWithATrace(t *testing.T) {
	res := Run(jugs{6}, 100, func(s *litres) string {
		if s.small == 3 && s.big == 5 {
			return "both are full"
		}
		return ""
	})
	if res.Bad != "both are full" || len(res.Trace) != 2 || res.Trace[1].Label != "fill big" {
		t.Errorf("found %q by %v", res.Bad, res.Trace)
	}
	if res := Run(jugs{6}, 100, func(*litres) string { return "the first" }); res.Bad != "the first" || len(res.Trace) != 0 {
		t.Errorf("the first state is not asked: %+v", res)
	}
}

func TestLimitIsNotTakenForAll(t *testing.T) {
	res := Run(jugs{6}, 10, nil)
	if res.Complete || res.Bad != "" || res.States != 11 || !strings.Contains(res.String(), "NOT complete") {
		t.Errorf("stopped with %s", res)
	}
}

func TestSetGrows(t *testing.T) {
	s := newSet()
	const n = 200_000
	for round := range 2 {
		for i := range uint64(n) {
			if s.add([2]uint64{i * 0x9e3779b97f4a7c15, i}) != (round == 0) {
				t.Fatalf("round %d: %d is taken for another", round, i)
			}
		}
	}
}
