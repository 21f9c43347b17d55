package host

import (
	"slices"
	"testing"
	"time"
)

// Two may be under way: who comes third stands in line until one has ended, or counts no more.
func TestGroupsStandInLine(t *testing.T) {
	const ms = time.Millisecond
	u := underWay{most: 2, first: 1}
	gs := make([]*group, 6)
	for i := range gs {
		gs[i] = &group{}
	}
	begin := func(i int, at time.Duration, want bool) {
		t.Helper()
		if got := u.mayBegin(gs[i]); got != want {
			t.Fatalf("at %v group %d may begin: %v, want %v", at, i, got, want)
		}
		if want {
			u.began(gs[i], at)
		}
	}
	call := func(at time.Duration, want ...int) {
		t.Helper()
		var called []int
		u.call(at, func(g *group) { called = append(called, slices.Index(gs, g)) })
		if !slices.Equal(called, want) {
			t.Fatalf("at %v groups %v are called, want %v", at, called, want)
		}
	}
	clock := func(want time.Duration) {
		t.Helper()
		if got := u.callAt(); got != want {
			t.Fatalf("the clock calls at %v, want %v", got, want)
		}
	}
	begin(0, 1*ms, true)
	clock(0)
	begin(1, 2*ms, true)
	begin(1, 3*ms, false)
	begin(2, 3*ms, false)
	begin(3, 3*ms, false)
	begin(2, 3*ms, false) // once is enough
	clock(6 * ms)
	call(5 * ms)
	u.ended(gs[0])
	u.ended(gs[0])
	call(5*ms, 1)
	begin(4, 5*ms, false) // nobody passes those who are called, nor those in line
	begin(1, 5*ms, true)  // its former one counts no more
	call(5*ms, 2)
	gs[2].standing = outside // it has nothing to begin any more
	call(5*ms, 3)
	begin(3, 5*ms, true)
	clock(10 * ms)
	begin(0, 6*ms, false)
	call(9 * ms)
	call(10*ms, 4, 0) // both are late
	begin(4, 10*ms, true)
	begin(0, 10*ms, true)
	u.ended(gs[1])
	u.ended(gs[3])
	begin(5, 11*ms, false)
	u.ended(gs[0])
	call(11*ms, 5)
	begin(5, 11*ms, true)
	clock(0)
	u.ended(gs[5])
	u.ended(gs[4])
	call(12 * ms)
	if u.count != 0 || len(u.begun) != 0 || len(u.line) != 0 {
		t.Errorf("%d are under way, %d begun, %d in line", u.count, len(u.begun), len(u.line))
	}
}
