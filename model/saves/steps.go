package main

import (
	"math/bits"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

// Steps.
const (
	opCampaign = iota
	opGrant
	opLead
	opPropose
	opTake
	opHear
	opSaved
	opPass
	opCommit
	opFull
	opSpace
	opBare
	opCrash
)

// An emitter gives out the steps of one state.
type emitter struct {
	m   *model
	out *explore.Out[state]
}

func (o *emitter) emit(c *state, bad string, op uint8, id int, arg uint8) {
	if bad == "" {
		bad = c.broken()
	}
	o.m.tidy(c)
	o.out.Step(c, bad, explore.Act{Op: op, A: uint8(id), B: arg})
}

// tidy forgets what can no longer matter, so that equal states look equal.
func (m *model) tidy(s *state) {
	low, leads := uint8(maxTerms), uint8(0)
	for id := range s.r {
		low = min(low, s.r[id].mem.term, s.r[id].disk.term)
		if s.r[id].role == leader {
			leads |= 1 << s.r[id].mem.term
		}
	}
	for t := uint8(1); t <= maxTerms; t++ {
		if t < low {
			s.sent[t], s.told[t] = record{}, 0
		}
		if leads>>t&1 == 0 {
			s.acked[t] = [replicas]uint8{}
		}
	}
}

// Next gives out every step of every replica.
func (m *model) Next(s *state, out *explore.Out[state]) {
	o := &emitter{m, out}
	for id := range s.r {
		m.elects(s, id, o)
		m.leads(s, id, o)
		m.follows(s, id, o)
		m.saves(s, id, o)
		m.fails(s, id, o)
	}
}

// elects are candidacies, votes, and elections won.
func (m *model) elects(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.mem.term < m.b.terms && r.role != leader && m.room(r) {
		if r.full == 1 {
			m.givesUp(s, id, o)
		}
		c := *s
		m.campaign(&c.r[id], id)
		o.emit(&c, "", opCampaign, id, 0)
	}
	for asker := range s.r {
		a := &s.r[asker]
		if asker == id || a.role != candidate || !a.settled() || a.mem.term <= r.mem.term || !m.room(r) || !upToDate(&a.mem, &r.mem) {
			continue
		}
		c := *s
		c.r[id].enter(a.mem.term, uint8(asker)+1)
		m.push(&c.r[id], save{grant: uint8(asker) + 1, through: c.r[id].mem.n})
		o.emit(&c, "", opGrant, id, uint8(asker))
	}
	if r.role != candidate || !r.settled() || bits.OnesCount8(r.votes|1<<id) <= replicas/2 || r.mem.n >= m.b.log || !m.room(r) {
		return
	}
	c := *s
	l := &c.r[id]
	l.role, l.votes = leader, 0
	m.append(&c, id)
	o.emit(&c, s.elected(id), opLead, id, 0)
}

// elected says what is broken if id leads now; it notes the term.
func (s *state) elected(id int) string {
	t := s.r[id].mem.term
	if s.led>>t&1 == 1 {
		return "TWO LEADERS in one term"
	}
	for i := range s.done {
		if s.in[i] < t && (i >= s.r[id].mem.n || s.r[id].mem.log[i] != s.chain[i]) {
			return "LOST: a new leader lacks a committed entry"
		}
	}
	return ""
}

func (m *model) campaign(r *replica, id int) {
	r.enter(r.mem.term+1, uint8(id)+1)
	r.role = candidate
	m.push(r, save{through: r.mem.n})
}

// givesUp has a candidate give up what its full disk refuses. What was on its way may be written nevertheless;
// what waits is taken back.
func (m *model) givesUp(s *state, id int, o *emitter) {
	r := &s.r[id]
	i := max(r.saved, r.commit) + 1
	if i > r.mem.n {
		return
	}
	for _, written := range []bool{true, false} {
		c := *s
		d := &c.r[id]
		m.truncate(d, i)
		for k := d.n; k > 0; k-- {
			q := &d.queue[k-1]
			if m.r.silence && q.ack >= i {
				q.ack = 0
			}
			if !written && q.index >= i {
				q.index, q.entry, q.ack = 0, 0, 0
			}
		}
		m.campaign(d, id)
		o.emit(&c, "", opCampaign, id, i)
	}
}

func upToDate(a, r *record) bool {
	return a.lastTerm() > r.lastTerm() || a.lastTerm() == r.lastTerm() && a.n >= r.n
}

// append adds an entry of its own to the log of leader id, and sends it.
func (m *model) append(s *state, id int) {
	r := &s.r[id]
	s.led |= 1 << r.mem.term
	r.mem.log[r.mem.n] = r.mem.term
	r.mem.n++
	s.sent[r.mem.term] = record{n: r.mem.n, log: r.mem.log}
	m.push(r, save{index: r.mem.n, entry: r.mem.term, through: r.mem.n})
}

// leads are what a leader appends and commits.
func (m *model) leads(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.role != leader {
		return
	}
	if r.mem.n < m.b.log && m.room(r) {
		c := *s
		m.append(&c, id)
		o.emit(&c, "", opPropose, id, 0)
	}
	for n := r.mem.n; n > r.commit && r.mem.log[n-1] == r.mem.term; n-- {
		have := 0
		for other, a := range s.acked[r.mem.term] {
			if a >= n && other != id || other == id && r.saved >= n {
				have++
			}
		}
		if have > replicas/2 {
			c := *s
			o.emit(&c, m.commit(&c, id, n), opCommit, id, n)
			return
		}
	}
}

// commit moves the commit index of leader id, and says what is broken then.
func (m *model) commit(s *state, id int, n uint8) string {
	r := &s.r[id]
	r.commit, r.told = n, n
	s.told[r.mem.term] = n
	for i := range n {
		if i < s.done && s.chain[i] != r.mem.log[i] {
			return "LOST: another entry is committed at the same index"
		}
		if i >= s.done {
			s.chain[i], s.in[i] = r.mem.log[i], r.mem.term
		}
	}
	s.done = max(s.done, n)
	return ""
}

// follows lets id take the next entry that the leader of any term sent, and what it said is committed.
func (m *model) follows(s *state, id int, o *emitter) {
	for t := max(s.r[id].mem.term, 1); t <= m.b.terms; t++ {
		if s.sent[t].n == 0 || t == s.r[id].mem.term && s.r[id].role == leader || !m.room(&s.r[id]) {
			continue
		}
		c := *s
		bad := m.take(&c, id, t)
		if c != *s {
			o.emit(&c, bad, opTake, id, t)
		}
		if r := &s.r[id]; t == r.mem.term && min(s.told[t], r.verified) > r.told {
			c := *s
			c.r[id].told = min(s.told[t], r.verified)
			c.r[id].commit = max(r.commit, c.r[id].told)
			o.emit(&c, "", opHear, id, t)
		}
	}
}

// take is an append of the leader of term t, and says what is broken then.
func (m *model) take(s *state, id int, t uint8) string {
	r := &s.r[id]
	fresh := t > r.mem.term
	if fresh {
		r.enter(t, 0)
	}
	r.role, r.votes = follower, 0
	sent := &s.sent[t]
	k := uint8(0)
	for k < r.mem.n && k < sent.n && r.mem.log[k] == sent.log[k] {
		k++
	}
	w := save{through: r.mem.n}
	if k < sent.n {
		if r.mem.n > k {
			if k < r.commit {
				return "CONTRADICTED: a leader has another entry than one that is committed here"
			}
			m.truncate(r, k+1)
		}
		k++
		r.mem.log[k-1], r.mem.n = sent.log[k-1], k
		w.index, w.entry, w.through = k, sent.log[k-1], k
	}
	r.verified = max(r.verified, k)
	switch {
	case w.index > 0 && m.r.after:
		w.ack = k
	case w.index > 0:
		s.acked[t][id] = max(s.acked[t][id], k)
	}
	if w.index > 0 || fresh {
		m.push(r, w)
	}
	m.acknowledge(s, id)
	return ""
}

// acknowledge tells the leader of id what is durable and the same as its log.
func (m *model) acknowledge(s *state, id int) {
	if r := &s.r[id]; r.settled() && r.role == follower {
		t := r.mem.term
		s.acked[t][id] = max(s.acked[t][id], min(r.saved, r.verified))
	}
}
