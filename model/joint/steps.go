package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// Steps.
const (
	opCampaign = iota
	opGrant
	opLead
	opPropose
	opChange
	opLeave
	opTake
	opHear
	opCommit
	opRestart
)

// An emitter gives out the steps of one state.
type emitter struct {
	m   *model
	out *explore.Out[state]
}

func (o *emitter) emit(c *state, bad string, op uint8, id int, arg uint8) {
	o.m.tidy(c)
	o.out.Step(c, bad, explore.Act{Op: op, A: uint8(id), B: arg})
}

// tidy forgets what can no longer matter, so that equal states look equal.
func (m *model) tidy(s *state) {
	low, leads := uint8(maxTerms), uint8(0)
	for id := range m.n {
		low = min(low, s.r[id].term)
		if s.r[id].role == leader {
			leads |= 1 << s.r[id].term
		}
	}
	for t := uint8(1); t <= maxTerms; t++ {
		if t < low {
			s.nsent[t], s.told[t], s.sent[t] = 0, 0, [maxLog]entry{}
		}
		if leads>>t&1 == 0 {
			s.acked[t] = [maxReplicas]uint8{}
		}
	}
}

// Next gives out every step of every replica.
func (m *model) Next(s *state, out *explore.Out[state]) {
	o := &emitter{m, out}
	for id := range m.n {
		m.elects(s, id, o)
		m.leads(s, id, o)
		m.follows(s, id, o)
		if r := &s.r[id]; s.restarts < m.b.restarts && r.role != follower {
			c := *s
			c.restarts++
			c.r[id].forget()
			o.emit(&c, "", opRestart, id, 0)
		}
	}
}

// elects are candidacies, votes, and elections won.
func (m *model) elects(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.term < m.b.terms && r.role != leader && m.mayCampaign(r, id) {
		c := *s
		c.campaign(id, r.term+1)
		o.emit(&c, "", opCampaign, id, 0)
	}
	for asker := range m.n {
		if c := *s; c.grant(id, asker) {
			o.emit(&c, "", opGrant, id, uint8(asker))
		}
	}
	if r.n < m.b.log {
		if c := *s; m.elected(r) {
			o.emit(&c, m.lead(&c, id), opLead, id, 0)
		}
	}
}

func (s *state) campaign(id int, term uint8) {
	r := &s.r[id]
	r.forget()
	r.term, r.vote, r.role, r.votes = term, uint8(id)+1, candidate, 1<<id
}

// grant lets id vote for the candidate, if it may. Whether it is a voter, the candidate's configuration says.
func (s *state) grant(id, asker int) bool {
	r, a := &s.r[id], &s.r[asker]
	if id == asker || a.role != candidate || a.term <= r.term {
		return false
	}
	if at, rt := a.lastTerm(), r.lastTerm(); at < rt || at == rt && a.n < r.n {
		return false
	}
	r.forget()
	r.term, r.vote = a.term, uint8(asker)+1
	a.votes |= 1 << id
	return true
}

func (m *model) elected(r *replica) bool {
	c := m.configuration(r)
	return r.role == candidate && c.decides(r.votes, m.r.votes)
}

// lead makes id leader, and says what is broken then.
func (m *model) lead(s *state, id int) string {
	r := &s.r[id]
	bad := ""
	if s.led>>r.term&1 == 1 {
		bad = "TWO LEADERS in one term"
	}
	for i := range s.done {
		if s.in[i] < r.term && (i >= r.n || r.log[i] != s.chain[i]) {
			bad = "LOST: a new leader lacks a committed entry"
		}
	}
	s.led |= 1 << r.term
	r.role, r.votes = leader, 0
	m.push(s, id, makeEntry(r.term, normal, 0))
	return bad
}

// push appends e to the log of leader id, and sends it.
func (m *model) push(s *state, id int, e entry) {
	r := &s.r[id]
	r.log[r.n] = e
	r.n++
	if e.kind() != normal {
		r.kept, r.keptAt = 0, 0
	}
	s.sent[r.term], s.nsent[r.term] = r.log, r.n
	s.acked[r.term][id] = r.n
}

// leads are what a leader appends and commits.
func (m *model) leads(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.role != leader {
		return
	}
	if r.n < m.b.log {
		c := *s
		if m.change(&c, id) {
			o.emit(&c, "", opChange, id, 0)
		}
		c = *s
		if m.leave(&c, id) {
			o.emit(&c, "", opLeave, id, 0)
		}
	}
	if n := m.decided(s, id); n > r.commit {
		c := *s
		o.emit(&c, m.commit(&c, id, n), opCommit, id, n)
	}
}

// first says whether leader id has committed an entry of its own.
func (r *replica) first() bool { return r.commit > 0 && r.log[r.commit-1].term() == r.term }

// change begins the change to the next set of voters.
func (m *model) change(s *state, id int) bool {
	r := &s.r[id]
	c := m.configuration(r)
	next := c.target + 1
	if int(next) >= len(m.b.sets) || m.b.sets[next] == 0 || m.r.ownFirst && !r.first() ||
		m.r.oneByOne && (c.outgoing != 0 || c.index > r.commit) {
		return false
	}
	kind := uint8(joint)
	if !m.r.both {
		kind = left
	}
	m.push(s, id, makeEntry(r.term, kind, next))
	return true
}

// leave ends a joint configuration.
func (m *model) leave(s *state, id int) bool {
	r := &s.r[id]
	c := m.configuration(r)
	if c.outgoing == 0 || m.r.settled && c.index > r.commit || m.r.ownFirst && !r.first() || !m.r.anyone && c.term != r.term {
		return false
	}
	m.push(s, id, makeEntry(r.term, left, c.target))
	return true
}

// decided is how far enough voters hold the log of leader id, if that is of its own term.
func (m *model) decided(s *state, id int) uint8 {
	r := &s.r[id]
	c := m.configuration(r)
	for n := r.n; n > r.commit && r.log[n-1].term() == r.term; n-- {
		var those set
		for other := range m.n {
			if s.acked[r.term][other] >= n {
				those |= 1 << other
			}
		}
		if !m.r.member && those>>id&1 == 1 && c.voters>>id&1 == 0 { // it counts for one of those who vote
			those |= c.voters & (^those & c.voters & -(^those & c.voters))
		}
		if c.decides(those, m.r.commits) {
			return n
		}
	}
	return r.commit
}

// commit moves the commit index of leader id, and says what is broken then. One that votes no more ends.
func (m *model) commit(s *state, id int, n uint8) string {
	r := &s.r[id]
	r.commit = n
	s.told[r.term] = n
	for i := range n {
		if i < s.done && s.chain[i] != r.log[i] {
			return "LOST: another entry is committed at the same index"
		}
		if i >= s.done {
			s.chain[i], s.in[i] = r.log[i], r.term
		}
	}
	s.done = max(s.done, n)
	if c := m.configuration(r); c.index <= n && (c.voters|c.outgoing)>>id&1 == 0 {
		r.forget()
	}
	return ""
}

// follows lets id take the next entry that the leader of any term sent, and what it said is committed.
func (m *model) follows(s *state, id int, o *emitter) {
	for t := max(s.r[id].term, 1); t <= m.b.terms; t++ {
		c := *s
		if m.take(&c, id, t) && c != *s {
			o.emit(&c, "", opTake, id, t)
		}
		c = *s
		if s.hear(&c, id, t) {
			o.emit(&c, "", opHear, id, t)
		}
	}
}

// take is an append of the leader of term t.
func (m *model) take(s *state, id int, t uint8) bool {
	r := &s.r[id]
	if s.nsent[t] == 0 || t == r.term && r.role == leader {
		return false
	}
	if t > r.term {
		r.term, r.vote = t, 0
		r.forget()
	} else if r.role == candidate {
		r.forget()
	}
	k := agree(r, s, t)
	if k < s.nsent[t] {
		for i := r.n; i > k; i-- {
			if !m.r.reverts && r.log[i-1].kind() != normal {
				r.kept, r.keptAt = r.log[i-1], i
			}
			r.log[i-1] = 0
		}
		r.log[k] = s.sent[t][k]
		r.n = k + 1
		if r.log[k].kind() != normal {
			r.kept, r.keptAt = 0, 0
		}
		k++
	}
	s.acked[t][id] = max(s.acked[t][id], k)
	return true
}

// agree is how many entries the logs of r and of the leader of term t begin with alike.
func agree(r *replica, s *state, t uint8) (k uint8) {
	for k < r.n && k < s.nsent[t] && r.log[k] == s.sent[t][k] {
		k++
	}
	return k
}

// hear moves the commit index of a follower.
func (s *state) hear(c *state, id int, t uint8) bool {
	r := &s.r[id]
	n := min(s.told[t], agree(r, s, t))
	if t != r.term || r.role == leader || n <= r.commit {
		return false
	}
	c.r[id].commit = n
	return true
}
