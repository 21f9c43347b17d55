package main

import (
	"math/bits"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

// Steps.
const (
	opTick = iota
	opCampaign
	opGrant
	opLead
	opPropose
	opChange
	opTake
	opCommit
	opRestart
	opJump
	opFreeze
	opAsk
	opGiveUp
)

// An emitter gives out the steps of one state.
type emitter struct {
	m   *model
	out *explore.Out[state]
}

func (o *emitter) emit(c *state, op uint8, id int, arg uint8) {
	o.m.tidy(c)
	o.out.Step(c, o.m.broken(c), explore.Act{Op: op, A: uint8(id), B: arg})
}

// tidy forgets what can no longer matter, so that equal states look equal.
func (m *model) tidy(s *state) {
	low, leads := uint8(maxTerms), uint8(0)
	for id := range s.r {
		low = min(low, s.r[id].term)
		if s.r[id].role == leader {
			leads |= 1 << s.r[id].term
		}
	}
	for t := uint8(1); t <= maxTerms; t++ {
		if t < low {
			s.nsent[t], s.sent[t] = 0, [maxLog]entry{}
		}
		if leads>>t&1 == 0 {
			s.acked[t] = [replicas]uint8{}
		}
	}
}

// Next gives out every step of every replica, and of time.
func (m *model) Next(s *state, out *explore.Out[state]) {
	o := &emitter{m, out}
	for id := range s.r {
		if s.r[id].frozen == 1 {
			continue
		}
		m.elects(s, id, o)
		m.leads(s, id, o)
		m.takes(s, id, o)
		m.fails(s, id, o)
		if !m.r.handover {
			m.handsOver(s, id, o)
		}
	}
	m.ticks(s, o)
}

// ticks lets time pass: each clock goes on by one, but those that are slow.
func (m *model) ticks(s *state, o *emitter) {
	for slow := range uint8(1) << replicas {
		c := *s
		ok := true
		for id := range c.r {
			r := &c.r[id]
			if slow>>id&1 == 1 {
				ok = ok && r.even == 0 && r.counts()
				r.even = max(m.b.length, m.b.change) - 1
				continue
			}
			r.even -= min(r.even, 1)
			r.wait -= min(r.wait, 1)
			r.uptime, r.from = m.longer(r.uptime), m.longer(r.from)
			for i := range r.age {
				r.age[i] = m.longer(r.age[i])
			}
		}
		if ok {
			o.emit(&c, opTick, 0, slow)
		}
	}
}

// elects are candidacies, votes, and elections won, as raft has them.
func (m *model) elects(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.term < m.b.terms && r.role != leader {
		c := *s
		m.campaign(&c, id)
		o.emit(&c, opCampaign, id, 0)
	}
	for asker := range s.r {
		a := &s.r[asker]
		if asker == id || a.role != candidate || a.term <= r.term || !upToDate(a, r) {
			continue
		}
		c := *s
		c.r[id].forget()
		c.r[id].term, c.r[id].vote, c.r[id].before = a.term, uint8(asker), 0
		c.r[asker].votes |= 1 << id
		o.emit(&c, opGrant, id, uint8(asker))
	}
	if r.role != candidate || bits.OnesCount8(r.votes) <= replicas/2 || r.n == m.b.log {
		return
	}
	c := *s
	m.begin(&c, id)
	for _, wait := range m.waits(s, r) {
		n := c
		n.r[id].wait, n.r[id].before, n.r[id].uptime = wait, 1, old
		o.emit(&n, opLead, id, wait)
	}
}

func (m *model) campaign(s *state, id int) {
	r := &s.r[id]
	r.forget()
	r.term++
	r.role, r.vote, r.votes = candidate, uint8(id), 1<<id
}

// upToDate says that the log of a candidate ends no earlier than that of r.
func upToDate(a, r *replica) bool {
	at, rt := a.lastTerm(), r.lastTerm()
	return at > rt || at == rt && a.n >= r.n
}

func (r *replica) lastTerm() uint8 {
	if r.n == 0 {
		return 0
	}
	return r.log[r.n-1].term()
}

// waits are how long r, newly elected, may wait before it commits: a change that is known to be committed may
// be all that is left of the lengths before it, as logs are cut.
func (m *model) waits(s *state, r *replica) []uint8 {
	i, length := r.changed(), m.b.length
	switch {
	case !m.r.defers, !m.r.always && r.before == 1, !m.r.handover && r.moved == 1:
		return []uint8{0}
	case i > 0 && !m.r.longest:
		length = m.b.change
	case i > 0 && i <= s.done:
		return []uint8{max(length, m.b.change), m.b.change}
	case i > 0:
		length = max(length, m.b.change)
	}
	if !m.r.election {
		length -= min(length, r.uptime)
	}
	return []uint8{length}
}

// leads are what a leader appends and commits.
func (m *model) leads(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.role != leader {
		return
	}
	switch c := *s; {
	case r.n == m.b.log:
	case m.b.change == 0:
		m.push(&c, id, entry(r.term))
		o.emit(&c, opPropose, id, 0)
	case r.changed() == 0 && r.commit > 0:
		m.push(&c, id, entry(r.term)|change)
		o.emit(&c, opChange, id, 0)
	}
	for n := r.n; n > r.commit && r.wait == 0 && r.log[n-1].term() == r.term; n-- {
		have := 0
		for _, a := range s.acked[r.term] {
			if a >= n {
				have++
			}
		}
		if have <= replicas/2 {
			continue
		}
		c := *s
		c.commit(m, id, n)
		o.emit(&c, opCommit, id, n)
	}
	if !m.r.fresh && m.leased(r) {
		c := *s
		c.r[id].frozen = 1
		o.emit(&c, opFreeze, id, 0)
	}
}

// commit moves the commit index of leader id to n: what it holds has completed, and grants a lease.
func (s *state) commit(m *model, id int, n uint8) {
	r := &s.r[id]
	r.commit = n
	if m.r.committed {
		r.from = r.age[n-1]
	}
	if !m.r.append {
		r.from = 0
	}
	for i := range n {
		r.age[i] = old
	}
	for i := s.done; i < n; i++ {
		s.chain[i] = r.log[i]
	}
	s.done = max(s.done, n)
}

// takes lets id take the next entry that the leader of any term sent, or its heartbeat, and answer.
func (m *model) takes(s *state, id int, o *emitter) {
	for t := s.r[id].term; t <= m.b.terms; t++ {
		if s.nsent[t] == 0 || t == s.r[id].term && s.r[id].role == leader {
			continue
		}
		c := *s
		r := &c.r[id]
		if t > r.term || r.role == candidate {
			r.forget()
			r.before = 0
		}
		if t > r.term {
			r.term, r.vote = t, uint8(id) // its vote in t is of no use any more
		}
		k := uint8(0)
		for k < r.n && k < s.nsent[t] && r.log[k] == s.sent[t][k] {
			k++
		}
		if k < s.nsent[t] {
			for i := k; i < maxLog; i++ {
				r.log[i] = 0
			}
			r.log[k] = s.sent[t][k]
			r.n = k + 1
			k++
		}
		c.acked[t][id] = max(c.acked[t][id], k)
		if c != *s {
			o.emit(&c, opTake, id, t)
		}
	}
}

// fails restarts a replica, which loses what only memory has, or its wall clock jumps.
func (m *model) fails(s *state, id int, o *emitter) {
	r := &s.r[id]
	if s.restarts < m.b.restarts && r.role != follower {
		c := *s
		c.restarts++
		c.r[id].forget()
		if !m.r.election {
			c.r[id].uptime = 0
		}
		o.emit(&c, opRestart, id, 0)
	}
	if m.r.monotonic || s.jumps == m.b.jumps || r.role != leader {
		return
	}
	c := *s
	c.jumps++
	c.r[id].wait = 0
	o.emit(&c, opJump, id, 0)
	if r.from < old {
		c := *s
		c.jumps++
		c.r[id].from = 0
		o.emit(&c, opJump, id, 1)
	}
}

// handsOver lets a leader ask another to take over, who may come to do so late, or never. It is a campaign
// like any other while handover holds, so that it is no step of its own.
func (m *model) handsOver(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.role == leader && r.handing == 0 && s.asked[r.term] == 0 {
		for to := range s.r {
			if to == id || s.acked[r.term][to] < r.n {
				continue
			}
			c := *s
			c.asked[r.term] |= 1 << to
			if !m.r.holds {
				c.r[id].handing = 1
			}
			o.emit(&c, opAsk, id, uint8(to))
		}
	}
	if r.handing == 1 {
		c := *s
		c.r[id].handing = 0
		o.emit(&c, opGiveUp, id, 0)
	}
	if r.role == follower && r.term < m.b.terms && s.asked[r.term]>>id&1 == 1 {
		c := *s
		m.campaign(&c, id)
		c.r[id].moved = 1
		o.emit(&c, opCampaign, id, 1)
	}
}
