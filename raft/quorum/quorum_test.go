package quorum

import (
	"testing"

	"pgregory.net/rapid"
)

func TestMajoritiesMeet(t *testing.T) {
	for n := 1; n <= 9; n++ {
		if m := Majority(n); 2*m <= n || 2*(m-1) > n {
			t.Errorf("Majority(%d) = %d", n, m)
		}
	}
}

// naiveHeld tries every subset of the voters: the value of a subset is its smallest, and it counts
// if it has more members than it leaves out.
func naiveHeld(held []uint64) uint64 {
	if len(held) == 0 {
		return All
	}
	var best uint64
	for set := 1; set < 1<<len(held); set++ {
		size, least := 0, All
		for i, v := range held {
			if set&(1<<i) != 0 {
				size++
				least = min(least, v)
			}
		}
		if size > len(held)-size {
			best = max(best, least)
		}
	}
	return best
}

func TestHeldAgreesWithEnumeration(t *testing.T) {
	values := rapid.SliceOfN(rapid.Uint64Range(0, 6), 0, 7)
	rapid.Check(t, func(t *rapid.T) {
		a, b := values.Draw(t, "incoming"), values.Draw(t, "outgoing")
		wantA, wantB := naiveHeld(a), naiveHeld(b)
		if got := Held(append([]uint64(nil), a...)); got != wantA {
			t.Fatalf("Held(%v) = %d, want %d", a, got, wantA)
		}
		if got, want := HeldByBoth(a, b), min(wantA, wantB); got != want {
			t.Fatalf("HeldByBoth = %d, want %d", got, want)
		}
	})
}

// naiveVote enumerates how the outstanding voters may still decide.
func naiveVote(granted, refused, n int) Result {
	can, must := false, true
	for more := 0; more <= n-granted-refused; more++ {
		won := n == 0 || granted+more > n-granted-more
		can, must = can || won, must && won
	}
	switch {
	case must:
		return Won
	case can:
		return Pending
	}
	return Lost
}

func TestVoteAgreesWithEnumeration(t *testing.T) {
	for n := 0; n <= 9; n++ {
		for granted := 0; granted <= n; granted++ {
			for refused := 0; granted+refused <= n; refused++ {
				if got, want := Vote(granted, refused, n), naiveVote(granted, refused, n); got != want {
					t.Errorf("Vote(%d, %d, %d) = %v, want %v", granted, refused, n, got, want)
				}
			}
		}
	}
}

func TestJointVoteNeedsBothHalves(t *testing.T) {
	for _, c := range []struct{ a, b, want Result }{
		{Won, Won, Won},
		{Won, Pending, Pending},
		{Pending, Won, Pending},
		{Lost, Won, Lost},
		{Won, Lost, Lost},
		{Pending, Lost, Lost},
		{Lost, Lost, Lost},
	} {
		if got := Both(c.a, c.b); got != c.want {
			t.Errorf("Both(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
