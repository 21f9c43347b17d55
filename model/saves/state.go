package main

import (
	"slices"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

const (
	replicas = 3
	maxTerms = 3
	maxLog   = 3
	maxSaves = 4
)

// A record is the hard state and the log; an entry of the log is its term. Of a vote, 0 is none.
type record struct {
	term, vote, n uint8
	log           [maxLog]uint8
}

// cut takes everything from index i on, which counts from 1, off the log.
func (d *record) cut(i uint8) {
	for j := i; j <= maxLog; j++ {
		d.log[j-1] = 0
	}
	d.n = min(d.n, i-1)
}

func (d *record) lastTerm() uint8 {
	if d.n == 0 {
		return 0
	}
	return d.log[d.n-1]
}

// Roles.
const (
	follower = iota
	candidate
	leader
)

// A replica is what it has in memory, on disk and in between.
type replica struct {
	mem, disk         record
	floor             uint8 // on disk
	q                 queue
	term, vote        uint8 // that it knows to be durable
	saved, verified   uint8 // of the log: durable, as it knows; the same as its leader's
	told, commit      uint8
	role, votes, full uint8
	lacks             bool // space for its log, as it knows
}

// state is all replicas, and what leaders sent: it arrives at any time, or never.
type state struct {
	r                     [replicas]replica
	sent                  [maxTerms + 1]record // the log of the leader of each term
	told                  [maxTerms + 1]uint8  // its commit index
	acked                 [maxTerms + 1][replicas]uint8
	led                   uint8
	done                  uint8 // entries committed
	chain                 [maxLog]uint8
	in                    [maxLog]uint8 // the term in which each was
	crashes, fills, bares uint8
	answers               uint8
}

// Init is all replicas at rest.
func (m *model) Init() state { return state{} }

// push hands a save to the disk.
func (m *model) push(r *replica, s save) {
	s.through = r.mem.n
	if s.hard {
		s.term, s.vote = r.mem.term, r.mem.vote
		s.claims, s.claimed = s.term, s.vote
	}
	s.floor = r.told
	if m.r.floorOwn {
		s.floor = min(s.floor, r.saved)
	}
	if m.r.floorIn && r.term != r.mem.term {
		s.floor = 0
	}
	m.add(&r.q, s)
	m.next(&r.q)
}

// room says whether another save may be on its way.
func (m *model) room(r *replica) bool { return r.q.n < m.b.saves }

// settled says whether the term and vote in memory are durable, as r knows.
func (r *replica) settled() bool { return r.term == r.mem.term && r.vote == r.mem.vote }

// truncate takes the entries from i on off the log in memory.
func (m *model) truncate(r *replica, i uint8) {
	r.mem.cut(i)
	r.saved, r.verified = min(r.saved, i-1), min(r.verified, i-1)
	for k := range r.q.n {
		if m.r.lowered {
			r.q.saves[k].through = min(r.q.saves[k].through, i-1)
		}
	}
}

// enter begins a term, as nobody.
func (r *replica) enter(term, vote uint8) {
	r.mem.term, r.mem.vote = term, vote
	r.role, r.votes, r.verified = follower, 0, 0
}

// broken says which property does not hold: what a replica counts on is on its disk, logs that share an entry share
// what is before it, and what a disk says is committed is.
func (s *state) broken() string {
	for id := range s.r {
		r := &s.r[id]
		if r.disk.term < r.term || r.disk.term == r.term && r.disk.vote != r.vote {
			return "NOT SAVED: a replica takes for durable a vote that its disk has not"
		}
		if r.disk.n < r.saved {
			return "NOT SAVED: a replica takes for durable what its disk has not"
		}
		for i := range r.saved {
			if r.disk.log[i] != r.mem.log[i] {
				return "NOT SAVED: a replica takes for durable what its disk has otherwise"
			}
		}
		if r.q.n == 0 && (r.disk.term != r.mem.term || r.disk.vote != r.mem.vote || !r.disk.begins(&r.mem)) {
			return "FORGOTTEN: all is done, and the disk has not what was asked for"
		}
		for other := range s.r {
			if o := &s.r[other]; !r.disk.matches(&o.mem) || !r.disk.matches(&o.disk) {
				return "MIXED: a disk holds a log that was nobody's"
			}
		}
		for i := range r.floor {
			if i >= s.done || r.disk.log[i] != s.chain[i] {
				return "FALSE FLOOR: what is not committed is on disk as committed"
			}
		}
	}
	return ""
}

// begins says whether the log begins with that of o.
func (d *record) begins(o *record) bool {
	return d.n >= o.n && slices.Equal(d.log[:o.n], o.log[:o.n])
}

// matches says whether two logs are the same before an entry that they share.
func (d *record) matches(o *record) bool {
	differ := false
	for i := range min(d.n, o.n) {
		if d.log[i] != o.log[i] {
			differ = true
		} else if differ {
			return false
		}
	}
	return true
}

// Encode appends the least encoding over all orders of replicas: they are interchangeable.
func (m *model) Encode(s *state, buf []byte) []byte {
	return explore.Least(m.orders, buf, func(p []uint8, b []byte) []byte {
		var place [replicas + 1]uint8 // of a number from 1
		for k, id := range p {
			place[id+1] = uint8(k) + 1
		}
		for _, id := range p {
			b = s.r[id].encode(&place, b)
		}
		for t := uint8(1); t <= m.b.terms; t++ {
			b = append(b, s.sent[t].n|s.told[t]<<4)
			b = append(b, s.sent[t].log[:s.sent[t].n]...)
			for _, id := range p {
				b = append(b, s.acked[t][id])
			}
		}
		for i := range s.done {
			b = append(b, s.chain[i]|s.in[i]<<4)
		}
		return append(b, s.done, s.led, s.crashes|s.fills<<4, s.bares|s.answers<<4)
	})
}

func (r *replica) encode(place *[replicas + 1]uint8, b []byte) []byte {
	for _, d := range []*record{&r.mem, &r.disk} {
		b = append(b, d.term|place[d.vote]<<4, d.n)
		b = append(b, d.log[:d.n]...)
	}
	var votes uint8
	for id := range replicas {
		votes |= r.votes >> id & 1 << place[id+1]
	}
	b = append(b, r.floor|bit(r.lacks)<<4, r.term|place[r.vote]<<4, r.saved|r.verified<<4, r.told|r.commit<<4, r.role|r.full<<4, votes)
	return r.q.encode(place, b)
}

func (q *queue) encode(place *[replicas + 1]uint8, b []byte) []byte {
	b = append(b, q.n|q.flying<<4, q.last|bit(q.full)<<4|bit(q.space)<<5, q.seq, q.hardDone, q.handed, q.asTerm|place[q.asVote]<<4)
	for i := range q.n {
		s := &q.saves[i]
		b = append(b, s.seq, s.owes, s.term|place[s.vote]<<4, s.asTerm|place[s.asVote]<<4, s.first|s.n<<4,
			s.floor|s.through<<4, s.claims|place[s.claimed]<<4, s.state|s.turn<<4, s.unwanted,
			bit(s.hard)|bit(s.alone)<<1|bit(s.bare)<<2|bit(s.again)<<3|bit(s.refused)<<4)
		b = append(b, s.log[:s.n]...)
		for t := 1; t <= maxTerms; t++ {
			b = append(b, s.told.acks[t]|place[s.told.votes[t]]<<4)
		}
	}
	return b
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
