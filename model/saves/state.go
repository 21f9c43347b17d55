package main

import "github.com/lockstep-rsm/lockstep/model/explore"

const (
	replicas = 3
	maxTerms = 3
	maxLog   = 3
	maxSaves = 3
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

// A save is on its way to the disk: a term and vote, perhaps an entry at an index, and a floor. What waits for it:
// an acknowledgement to the leader of its term, and a vote for a candidate; both are numbers from 1.
type save struct {
	term, vote, index, entry, floor uint8
	through                         uint8 // what is durable of the log when it is done
	ack, grant                      uint8
	bare                            uint8 // a compaction: it writes neither a term nor a vote
	passed                          uint8 // what it writes is durable already
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
	queue             [maxSaves]save
	n                 uint8 // saves in queue
	term, vote        uint8 // that it knows to be durable
	saved, verified   uint8 // of the log: durable, as it knows; the same as its leader's
	told, commit      uint8
	role, votes, full uint8
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
}

// Init is all replicas at rest.
func (m *model) Init() state { return state{} }

// push hands a save to the disk.
func (m *model) push(r *replica, s save) {
	s.term, s.vote = r.mem.term, r.mem.vote
	s.floor = r.told
	if m.r.floorOwn {
		s.floor = min(s.floor, r.saved)
	}
	if m.r.floorIn && r.term != r.mem.term {
		s.floor = 0
	}
	r.queue[r.n] = s
	r.n++
}

// room says whether another save may be on its way.
func (m *model) room(r *replica) bool { return r.n < m.b.saves }

// settled says whether the term and vote in memory are durable, as r knows.
func (r *replica) settled() bool { return r.term == r.mem.term && r.vote == r.mem.vote }

// truncate takes the entries from i on off the log in memory.
func (m *model) truncate(r *replica, i uint8) {
	r.mem.cut(i)
	r.saved, r.verified = min(r.saved, i-1), min(r.verified, i-1)
	for k := range r.n {
		if m.r.lowered {
			r.queue[k].through = min(r.queue[k].through, i-1)
		}
	}
}

// enter begins a term, as nobody.
func (r *replica) enter(term, vote uint8) {
	r.mem.term, r.mem.vote = term, vote
	r.role, r.votes, r.verified = follower, 0, 0
}

// write puts s on the disk.
func (m *model) write(r *replica, s *save) {
	if s.passed|s.bare == 0 && (!m.r.newest || s.term >= r.disk.term) {
		r.disk.term, r.disk.vote = s.term, s.vote
	}
	if s.index > 0 {
		r.disk.cut(s.index)
		r.floor = min(r.floor, s.index-1)
		r.disk.log[s.index-1] = s.entry
		r.disk.n = s.index
	}
	r.floor = max(r.floor, min(s.floor, r.disk.n))
}

// drop takes save k out of the queue.
func (r *replica) drop(k uint8) {
	copy(r.queue[k:], r.queue[k+1:])
	r.n--
	r.queue[r.n] = save{}
}

// broken says which property does not hold: what a replica counts on is on its disk, and what a disk says is
// committed is.
func (s *state) broken() string {
	for id := range s.r {
		r := &s.r[id]
		if r.disk.n < r.saved {
			return "NOT SAVED: a replica takes for durable what its disk has not"
		}
		for i := range r.saved {
			if r.disk.log[i] != r.mem.log[i] {
				return "NOT SAVED: a replica takes for durable what its disk has otherwise"
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
		return append(b, s.done, s.led, s.crashes|s.fills<<4, s.bares)
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
	b = append(b, r.floor|r.n<<4, r.term|place[r.vote]<<4, r.saved|r.verified<<4, r.told|r.commit<<4, r.role|r.full<<4, votes)
	for i := range r.n {
		q := &r.queue[i]
		b = append(b, q.term|place[q.vote]<<4, q.index|q.entry<<4, q.floor|q.through<<4, q.ack|place[q.grant]<<4, q.passed|q.bare<<1)
	}
	return b
}
