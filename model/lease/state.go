package main

import (
	"slices"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

const (
	replicas = 3
	maxTerms = 3
	maxLog   = 4
	drift    = 1 // ticks that a clock may lose against another within the longest lease
	old      = 7 // of an age: as long as the longest lease, or not counted
)

// An entry is its term, or that plus change if it changes the length of a lease.
type entry uint8

const change entry = 8

func (e entry) term() uint8 { return uint8(e &^ change) }

// Roles.
const (
	follower = iota
	candidate
	leader
)

// A replica is what its disk holds, and what a candidate or leader remembers. Times count by its own clock.
type replica struct {
	term, vote, n uint8
	log           [maxLog]entry
	role          uint8
	votes         uint8         // of a candidate
	moved         uint8         // it was asked to take over; without handover
	commit        uint8         // of a leader
	age           [maxLog]uint8 // of a leader: since it appended each entry that it has not committed
	from          uint8         // of a leader: since the append of the entry that granted its lease
	wait          uint8         // of a leader: until it may commit
	uptime        uint8         // since it began or was last elected; without election
	even          uint8         // ticks until its clock may be slow again
	frozen        uint8         // it has read its clock, which allows an answer, and nothing since; without fresh
	handing       uint8         // it has asked another to take over; without holds
	before        uint8         // it was the last to lead whom it knows of; without always
}

// state is all replicas, and what leaders sent or were told, which arrives at any time or never.
type state struct {
	r     [replicas]replica
	sent  [maxTerms + 1][maxLog]entry // by the leader of each term
	nsent [maxTerms + 1]uint8
	acked [maxTerms + 1][replicas]uint8
	asked [maxTerms + 1]uint8 // to take over, by the leader of each term; without handover
	done  uint8               // how many entries have completed: committed by some leader
	chain [maxLog]entry       // the first done of them

	restarts, jumps uint8
}

// ageless are the ages of who has nothing to count.
var ageless = [maxLog]uint8{old, old, old, old}

// Init is a leader that was just elected, in the first term, and all have voted for it.
func (m *model) Init() state {
	var s state
	for id := range s.r {
		s.r[id] = replica{term: 1, age: ageless, from: old, uptime: old}
	}
	m.begin(&s, 0)
	s.r[0].wait, s.r[0].votes = 0, 0
	return s
}

// begin makes id leader of its term; its first entry is its own.
func (m *model) begin(s *state, id int) {
	r := &s.r[id]
	r.role, r.votes, r.from, r.age, r.commit = leader, 0, old, ageless, 0
	m.push(s, id, entry(r.term))
}

// push appends e to the log of leader id and sends it.
func (m *model) push(s *state, id int, e entry) {
	r := &s.r[id]
	r.log[r.n] = e
	r.age[r.n] = 0
	r.n++
	s.sent[r.term], s.nsent[r.term] = r.log, r.n
	s.acked[r.term][id] = r.n
	if !m.r.committed {
		r.from = 0
	}
}

// forget loses what only memory has.
func (r *replica) forget() {
	*r = replica{term: r.term, vote: r.vote, n: r.n, log: r.log, age: ageless, from: old, uptime: r.uptime, before: r.before}
}

// changed is the index of the entry of the log that changes the length of a lease; 0: there is none.
func (r *replica) changed() uint8 {
	for i, e := range r.log[:r.n] {
		if e&change != 0 {
			return uint8(i) + 1
		}
	}
	return 0
}

// length is that of the lease of a leader.
func (m *model) length(r *replica) uint8 {
	switch i := r.changed(); {
	case i == 0:
		return m.b.length
	case r.commit >= i:
		return m.b.change
	case m.r.shortest:
		return min(m.b.length, m.b.change)
	case m.r.longest:
		return m.b.change
	}
	return m.b.length
}

// counts says whether the time of r matters to a lease: a clock that is slow while none runs, or while its
// replica waits, makes nothing worse.
func (r *replica) counts() bool {
	young := func(age uint8) bool { return age < old }
	return young(r.from) || slices.ContainsFunc(r.age[:], young)
}

// longer is an age a tick later.
func (m *model) longer(age uint8) uint8 {
	if age+1 >= max(m.b.length, m.b.change) {
		return old
	}
	return age + 1
}

// leased says whether r answers reads alone now.
func (m *model) leased(r *replica) bool {
	length := m.length(r)
	if m.r.lessDrift {
		length -= drift
	}
	return r.role == leader && r.from < length && (m.r.holds || r.handing == 0)
}

// broken says which property does not hold: whoever may answer alone has seen all that has completed.
func (m *model) broken(s *state) string {
	for id := range s.r {
		if r := &s.r[id]; (m.leased(r) || r.frozen == 1) && r.commit < s.done {
			return "STALE READ: a leader answers alone and misses what has completed"
		}
	}
	return ""
}

// Encode appends the least encoding over all orders of replicas: they are interchangeable.
func (m *model) Encode(s *state, buf []byte) []byte {
	return explore.Least(m.orders, buf, func(p []uint8, b []byte) []byte {
		place := explore.PlacesOf(p)
		for _, id := range p {
			r := &s.r[id]
			b = append(b, r.term|place[r.vote]<<4, r.n|r.role<<4, place.Mask(r.votes)|r.moved<<4, r.commit|r.from<<4,
				r.wait|r.uptime<<4, r.even|r.frozen<<4|r.handing<<5|r.before<<6)
			for i := range r.n {
				b = append(b, uint8(r.log[i])|r.age[i]<<4)
			}
		}
		for t := uint8(1); t <= m.b.terms; t++ {
			b = append(b, s.nsent[t]|place.Mask(s.asked[t])<<4)
			for i := range s.nsent[t] {
				b = append(b, uint8(s.sent[t][i]))
			}
			for _, id := range p {
				b = append(b, s.acked[t][id])
			}
		}
		for i := range s.done {
			b = append(b, uint8(s.chain[i]))
		}
		return append(b, s.done, s.restarts|s.jumps<<4)
	})
}
