package main

import (
	"fmt"
	"slices"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

// rules are the design of changes of voters. With one of them switched off there must be a counterexample.
// Beside each stands what implements it.
type rules struct {
	votes    bool // in a joint configuration a candidate needs a majority of both sets: raft.(*Replica).tally
	commits  bool // ... and so does an entry: held. Off, of either: of the new set alone
	append   bool // a configuration is in force once it is appended, not once it is committed: take, enter
	reverts  bool // ... and no longer when it is truncated: revert
	ownFirst bool // no change before an own entry is committed: refuseChange, ringMembers. A margin: see README.md
	settled  bool // the joint configuration is left once it is committed, not before: ringMembers
	oneByOne bool // no change while another is under way: refuseChange
	anyone   bool // ... by whoever leads then, not only by who began it: ringMembers
	both     bool // voters change through a joint configuration: staged. Off: from one set to the other
	member   bool // a leader counts itself only if it is a voter: held
}

// design has all rules on.
func design() rules {
	return rules{
		votes: true, commits: true, append: true, reverts: true, ownFirst: true, settled: true, oneByOne: true, anyone: true,
		both: true, member: true,
	}
}

// A set is replicas, bit by bit.
type set uint8

func (v set) String() string {
	out := ""
	for id := range uint8(maxReplicas) {
		if v>>id&1 == 1 {
			out += explore.Letter(id)
		}
	}
	return out
}

// bounds are the sets of voters, the first in force at the beginning, the others to be changed to in order; and
// how many there are of each: terms, entries of a log, restarts.
type bounds struct {
	sets                 [3]set
	terms, log, restarts uint8
	live                 bool
}

// String says what is not zero.
func (b bounds) String() string {
	s := fmt.Sprint(b.sets[0])
	for _, v := range b.sets[1:] {
		if v != 0 {
			s += fmt.Sprint("→", v)
		}
	}
	s += fmt.Sprintf(" terms=%d log=%d", b.terms, b.log)
	if b.restarts > 0 {
		s += fmt.Sprintf(" restarts=%d", b.restarts)
	}
	if b.live {
		s += " liveness"
	}
	return s
}

// model is the transition system that explore visits.
type model struct {
	r      rules
	b      bounds
	n      int // replicas
	orders [][]uint8
}

// newModel takes those orders of replicas that move none into or out of a set.
func newModel(r rules, b bounds) *model {
	m := &model{r: r, b: b}
	for _, v := range b.sets {
		for v>>m.n != 0 {
			m.n++
		}
	}
	m.orders = slices.DeleteFunc(explore.Orders(m.n), func(p []uint8) bool {
		for k, id := range p {
			for _, v := range b.sets {
				if v>>k&1 != v>>id&1 {
					return true
				}
			}
		}
		return false
	})
	return m
}
