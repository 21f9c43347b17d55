package main

// How full a disk is: it refuses entries, or everything.
const (
	roomy = iota
	noEntries
	nothing
)

// takes says whether the disk has room for s, and no gap before its entries.
func (r *replica) takes(s *save) bool {
	return r.full != nothing && (s.n == 0 || r.full == roomy && s.first <= r.disk.n+1)
}

// write puts s on the disk.
func (r *replica) write(s *save) {
	if s.hard {
		r.disk.term, r.disk.vote = s.asTerm, s.asVote
	}
	if s.n > 0 {
		r.disk.cut(s.first)
		r.floor = min(r.floor, s.first-1)
		for k := range s.n {
			r.disk.log[s.first-1+k] = s.log[k]
		}
		r.disk.n = s.first + s.n - 1
	}
	r.floor = max(r.floor, min(s.floor, r.disk.n))
}

// saves are what the disk answers, in the order in which it was asked: a write is durable and told at once, for a crash
// between the two is one of fails.
func (m *model) saves(s *state, id int, o *emitter) {
	q := &s.r[id].q
	for k := range q.n {
		if w := &q.saves[k]; w.state != goes || w.turn > 1 && m.r.inOrder {
			continue
		}
		c := *s
		d := &c.r[id]
		if w := &d.q.saves[k]; d.takes(w) {
			d.write(w)
			o.emit(&c, m.saved(&c, id, k), opSaved, id, k)
		} else {
			m.refused(d, k)
			o.emit(&c, "", opRefused, id, k)
		}
	}
	if q.blocked() && q.flying == 0 {
		c := *s
		if m.retry(&c.r[id]); c.r[id].q.flying > 0 || c.r[id].lacks != s.r[id].lacks {
			o.emit(&c, "", opRetry, id, 0)
		}
	}
}

// retry has what waits go again, as far as there may be room.
func (m *model) retry(r *replica) {
	if r.full != roomy {
		r.feel()
	}
	r.q.retry(r.full == roomy)
	m.next(&r.q)
}

// refused is what follows when save k finds no room.
func (m *model) refused(r *replica, k uint8) {
	r.q.refuse(&r.q.saves[k])
	r.feel()
	m.next(&r.q)
}

// feel has raft know that log waits for space.
func (r *replica) feel() {
	if r.q.writing() {
		r.lacks = r.saved < r.mem.n
	}
}

// saved is what follows when save k is durable; it says what is broken then.
func (m *model) saved(s *state, id int, k uint8) string {
	r := &s.r[id]
	w := r.q.saves[k]
	told := m.done(&r.q, k)
	if told.saves <= k && w.hard {
		r.counts(w.term, w.vote) // it passed what waits
	}
	bad := s.leave(id, &told.out)
	if told.saves > 0 {
		r.counts(told.claims, told.claimed)
		r.lacks = r.lacks && told.through <= r.saved
		r.saved = max(r.saved, told.through)
		m.acknowledge(s, id)
	}
	m.next(&r.q)
	return bad
}

// counts has raft take a term and vote for durable; a newer one may have come before.
func (r *replica) counts(term, vote uint8) {
	if term > r.term {
		r.term, r.vote = term, vote
	}
}

// leave sends messages that waited, and says which of them the disk does not bear out. An acknowledgement may come late,
// after the leader of a later term replaced what it names: as if it had been long on its way.
func (s *state) leave(id int, out *messages) (bad string) {
	d := &s.r[id].disk
	for t := uint8(1); t <= maxTerms; t++ {
		for i := uint8(1); i <= maxLog; i++ {
			if out.acks[t]>>i&1 == 0 {
				continue
			}
			s.acked[t][id] = max(s.acked[t][id], i)
			if sent := &s.sent[t]; sent.n >= i && (d.n < i || d.log[i-1] != sent.log[i-1]) && d.lastTerm() <= t {
				bad = "TOLD: an acknowledgement leaves of what the disk has not"
			}
		}
		v := out.votes[t]
		if v == 0 {
			continue
		}
		if a := &s.r[v-1]; a.role == candidate && a.mem.term == t {
			a.votes |= 1 << id
		}
		if d.term < t || d.term == t && d.vote != v {
			bad = "TOLD: a vote leaves that the disk has not"
		}
	}
	return bad
}

// fails are disks that are full, compactions, and crashes: of what is on its way, in order, any part is durable then.
func (m *model) fails(s *state, id int, o *emitter) {
	r := &s.r[id]
	m.fills(s, id, o)
	if s.bares < m.b.bares && r.commit > 0 && m.room(r) {
		c := *s
		c.bares++
		m.push(&c.r[id], save{bare: true})
		o.emit(&c, "", opBare, id, 0)
	}
	if s.crashes == m.b.crashes || m.b.late > 0 && r.full == roomy && !r.q.full {
		return
	}
	c := *s
	c.crashes++
	d := &c.r[id] // with ever more of what goes on its disk
	for turn := uint8(1); ; turn++ {
		b := c
		b.r[id] = d.started()
		o.emit(&b, "", opCrash, id, turn-1)
		if turn > r.q.flying {
			return
		}
		for k := range r.q.n {
			if w := &r.q.saves[k]; w.turn == turn && d.takes(w) {
				d.write(w)
			}
		}
	}
}

// fills are disks that become full, which is as soon as they refuse something, and have room again: then what waits is
// tried again, if nothing is on its way.
func (m *model) fills(s *state, id int, o *emitter) {
	r := &s.r[id]
	for full := uint8(roomy); full <= m.b.full; full++ {
		c := *s
		d := &c.r[id]
		d.full = full
		k := d.q.first()
		switch {
		case full < r.full:
			if d.q.blocked() && d.q.flying == 0 {
				m.retry(d)
			}
			o.emit(&c, "", opSpace, id, full)
		case full > r.full && s.fills < m.b.fills && k < d.q.n && !d.takes(&d.q.saves[k]):
			c.fills++
			m.refused(d, k)
			o.emit(&c, "", opFull, id, full)
		}
	}
}

// started is a replica with the disk of r.
func (r *replica) started() replica {
	return replica{
		mem: r.disk, disk: r.disk, floor: r.floor, term: r.disk.term, vote: r.disk.vote, saved: r.disk.n,
		told: r.floor, commit: r.floor, q: queue{last: r.disk.n},
	}
}

// stuck says whether something would wait though its disk had room from now on.
func (m *model) stuck(s *state) string {
	for id := range s.r {
		r := s.r[id]
		r.full = roomy
		for range 8 * maxSaves {
			if k := r.q.first(); k < r.q.n {
				if w := &r.q.saves[k]; r.takes(w) {
					r.write(w)
					m.done(&r.q, k)
				} else {
					r.q.refuse(w)
				}
			} else if r.q.blocked() {
				r.q.retry(true)
			} else {
				break
			}
			m.next(&r.q)
		}
		if r.q.n > 0 {
			return "STUCK: a save waits though there is room"
		}
	}
	return ""
}

// first is the save that the disk answers next; n: none.
func (q *queue) first() uint8 {
	for k := range q.n {
		if q.saves[k].turn == 1 {
			return k
		}
	}
	return q.n
}
