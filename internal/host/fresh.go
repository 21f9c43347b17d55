package host

import (
	"time"

	"github.com/lockstep-rsm/lockstep/raft"
)

// fresh is how a replica knows its age. A read index that a majority confirmed holds everything that was
// committed when it was asked for: once the machine has executed it, the state is of that moment, or of a
// later one. Nothing else tells: a leader's word may be late, or of one that leads no more.
type fresh struct {
	confirmed []confirmed // oldest first: those that are executed and the newest of these, few
	wanted    bool        // a read index is to be asked for, on the replica's own account
}

// confirmed is a read index, and when it was asked for.
type confirmed struct {
	index raft.Index
	asked time.Duration
}

// maxConfirmed bounds those that wait for the machine: the others are newer anyway.
const maxConfirmed = 8

// confirm takes note of a read index.
func (f *fresh) confirm(index raft.Index, asked time.Duration) {
	if n := len(f.confirmed); n >= maxConfirmed {
		f.confirmed[n-1] = confirmed{index, asked}
		return
	}
	f.confirmed = append(f.confirmed, confirmed{index, asked})
}

// since is when everything that was committed then has been executed; false: at no known time in this life.
func (f *fresh) since(applied raft.Index) (at time.Duration, ok bool) {
	n := 0
	for n < len(f.confirmed) && f.confirmed[n].index <= applied {
		n++
	}
	if n == 0 {
		return 0, false
	}
	f.confirmed = append(f.confirmed[:0], f.confirmed[n-1:]...)
	return f.confirmed[0].asked, true
}

// young says whether the state is at most so old, and what it is instead. A replica that is half as old as
// somebody wants it asks for a read index, so that the next one finds it young.
func (g *group) young(most time.Duration) (age time.Duration, ok bool) {
	at, known := g.fresh.since(raft.Index(g.lane.applied.Load()))
	age = g.h.env.Clock().Now() - at
	if !known || age > most/2 {
		g.fresh.wanted = true
	}
	return age, known && age <= most
}
