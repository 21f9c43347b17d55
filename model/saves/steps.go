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
	opRefused
	opRetry
	opAnswer
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
		s.r[id].q.tidy()
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
		m.answers(s, id, o)
		m.saves(s, id, o)
		m.fails(s, id, o)
	}
}

// elects are candidacies, votes, and elections won.
func (m *model) elects(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.mem.term < m.b.terms && r.role != leader && m.room(r) {
		c := *s
		o.emit(&c, "", opCampaign, id, m.campaign(&c.r[id], id))
	}
	for asker := range s.r {
		a := &s.r[asker]
		if asker == id || a.role != candidate || !a.settled() || a.mem.term <= r.mem.term || !m.room(r) || !upToDate(&a.mem, &r.mem) {
			continue
		}
		c := *s
		c.r[id].enter(a.mem.term, uint8(asker)+1)
		m.push(&c.r[id], save{hard: true, told: c.r[id].voted()})
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

// voted is the vote that waits for the disk.
func (r *replica) voted() (told messages) {
	told.votes[r.mem.term] = r.mem.vote
	return told
}

// campaign begins a term, and gives up what a full disk refuses: from which entry on, 0: none.
func (m *model) campaign(r *replica, id int) (from uint8) {
	if i := max(r.saved, r.commit) + 1; r.lacks && i <= r.mem.n {
		from = i
		m.truncate(r, i)
		m.giveUp(&r.q, i)
		r.lacks = false
	}
	r.enter(r.mem.term+1, uint8(id)+1)
	r.role = candidate
	m.push(r, save{hard: true})
	return from
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
	m.push(r, entry(r.mem.n, r.mem.term))
}

// entry is a save of one.
func entry(i, term uint8) (s save) {
	s.first, s.n, s.log[0] = i, 1, term
	return s
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
	w := save{}
	if k < sent.n {
		if r.mem.n > k {
			if k < r.commit {
				return "CONTRADICTED: a leader has another entry than one that is committed here"
			}
			m.truncate(r, k+1)
		}
		k++
		r.mem.log[k-1], r.mem.n = sent.log[k-1], k
		w = entry(k, sent.log[k-1])
	}
	r.verified = max(r.verified, k)
	switch {
	case w.n > 0 && m.r.after:
		w.told.acks[t] = 1 << k
	case w.n > 0:
		s.acked[t][id] = max(s.acked[t][id], k)
	}
	if w.hard = fresh; w.n > 0 || fresh {
		m.push(r, w)
	}
	m.acknowledge(s, id)
	return ""
}

// answers are what a replica says again in a term that is not durable yet.
func (m *model) answers(s *state, id int, o *emitter) {
	r := &s.r[id]
	if s.answers == m.b.answers || r.settled() || r.role != follower || !m.room(r) {
		return
	}
	told := messages{}
	if v := r.mem.vote; v > 0 && s.r[v-1].role == candidate && s.r[v-1].mem.term == r.mem.term {
		told = r.voted()
	} else if i := min(r.saved, r.verified); i > 0 {
		told.acks[r.mem.term] = 1 << i
	} else {
		return
	}
	c := *s
	c.answers++
	m.push(&c.r[id], save{hard: true, told: told})
	o.emit(&c, "", opAnswer, id, 0)
}

// acknowledge tells the leader of id what is durable and the same as its log.
func (m *model) acknowledge(s *state, id int) {
	if r := &s.r[id]; r.settled() && r.role == follower {
		t := r.mem.term
		s.acked[t][id] = max(s.acked[t][id], min(r.saved, r.verified))
	}
}
