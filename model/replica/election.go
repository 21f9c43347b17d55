package main

import "math/bits"

// vote writes id's vote for c in term, which may be its own candidacy.
func (m *model) vote(s *state, id int, term uint8, c int) {
	s.r[id].push(batch{vote: 1, term: term, cand: uint8(c)})
	if !m.r.voteSynced {
		m.act(s, id)
	}
}

// act does what a vote is written for: the grant reaches the candidate, or the candidacy begins.
func (m *model) act(s *state, id int) {
	r := &s.r[id]
	h := r.memory()
	bit := uint16(1) << (id + 8*int(r.inc))
	c := int(h.vote)
	if c == id {
		r.role = candidate
		r.votes = bit
		return
	}
	if c < m.b.n && s.r[c].up == 1 && s.r[c].role == candidate && s.r[c].memory().term == h.term {
		s.r[c].votes |= bit
	}
}

// grantable says that id may vote for c now (thesis 3.4, 3.6.1).
func (m *model) grantable(s *state, id, c int) bool {
	r, asker := &s.r[id], &s.r[c]
	if id == c || asker.up == 0 || asker.role != candidate || !m.mayVote(r, id) {
		return false
	}
	h, ah := r.memory(), asker.memory()
	if ah.term < h.term || ah.term == h.term && h.vote != nobody {
		return false
	}
	return ah.lastTerm() > h.lastTerm() || ah.lastTerm() == h.lastTerm() && ah.n >= h.n
}

// askedTerm is the highest term of a candidate that id may hear of without voting for it.
func (m *model) askedTerm(s *state, id int) (top uint8) {
	for c := range m.b.n {
		asker := &s.r[c]
		if c != id && asker.role == candidate && (asker.base.holes != 0 || !m.grantable(s, id, c)) {
			top = max(top, asker.base.term)
		}
	}
	return top
}

// lead makes candidate c leader if it may; bad tells a broken property.
func (m *model) lead(s *state, c int) (ok bool, bad string) {
	r := &s.r[c]
	if r.up == 0 || r.role != candidate || r.nt > 0 || int(r.base.n) >= maxLog {
		return false, ""
	}
	if !m.elected(r) || !m.repair(s, c) {
		return false, ""
	}
	t := r.base.term
	if s.led>>t&1 == 1 {
		return true, "TWO LEADERS in one term"
	}
	for i := range s.ncommitted {
		if s.committedIn[i] < t && (i >= r.base.n || r.base.log[i] != s.committed[i]) {
			return true, "LOST: a new leader lacks a committed entry"
		}
	}
	s.led |= 1 << t
	r.role, r.votes = leader, 0
	m.propose(s, c, makeEntry(t, normal, 0))
	return true, ""
}

// elected says that a quorum voted for r.
func (m *model) elected(r *replica) bool {
	voters, incs := m.configuration(r.base.log[:r.base.n])
	var got uint8
	for id := range m.b.n {
		votes := r.votes | r.votes>>8
		if m.r.incarnation {
			votes = r.votes >> (8 * (incs >> id & 1))
		}
		got |= uint8(votes>>id&1) << id
	}
	return bits.OnesCount8(got&voters) >= quorum(voters)
}
