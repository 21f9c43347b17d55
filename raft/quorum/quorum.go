// Package quorum is the arithmetic of majorities, of one set of voters and of two at once.
//
// A value is what each voter is known to hold: a match index, or a confirmation round. A vote is
// granted, refused or outstanding. A joint configuration decides only what both of its sets
// decide (thesis §4.3), so a joint answer is the weaker of two plain ones, and an empty set, as the
// second half of a configuration that is not joint, decides everything.
//
// The functions hold no state, allocate nothing, and never see an identity: who may be counted is
// the caller's business. They are checked against naive twins that enumerate subsets (R12).
package quorum

// All is what an empty set of voters holds: more than any value.
const All = ^uint64(0)

// Majority is the size of the smallest set of n voters that meets every other such set.
func Majority(n int) int { return n/2 + 1 }

// Held returns the largest value that a majority of the voters holds or exceeds; All if there are
// none. It reorders held.
func Held(held []uint64) uint64 {
	n := len(held)
	if n == 0 {
		return All
	}
	// Insertion sort: there are three or five of them, and nothing may be allocated.
	for i := 1; i < n; i++ {
		for j := i; j > 0 && held[j] < held[j-1]; j-- {
			held[j], held[j-1] = held[j-1], held[j]
		}
	}
	return held[n-Majority(n)]
}

// HeldByBoth returns the largest value that a majority of each of the two sets holds or exceeds.
// It reorders both.
func HeldByBoth(incoming, outgoing []uint64) uint64 {
	return min(Held(incoming), Held(outgoing))
}

// Result is where a vote stands.
type Result uint8

// The results. They are ordered: of two halves, the joint result is the smaller.
const (
	Lost    Result = iota // a majority can no longer be reached
	Pending               // it still can
	Won                   // it is reached
)

// String names the result.
func (r Result) String() string {
	switch r {
	case Lost:
		return "lost"
	case Pending:
		return "pending"
	}
	return "won"
}

// Vote says where a vote of n voters stands of whom some have granted and some refused. Nobody to
// ask is a vote won.
func Vote(granted, refused, n int) Result {
	switch {
	case n == 0 || granted >= Majority(n):
		return Won
	case n-refused < Majority(n):
		return Lost
	}
	return Pending
}

// Both is the result of two votes that must both be won.
func Both(incoming, outgoing Result) Result { return min(incoming, outgoing) }
