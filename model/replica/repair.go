package main

import "math/bits"

// repair cuts a candidate's log at a hole that nobody can have committed; if that is not known, it must
// wait. The answer HAVE is the step fill, which may stay out, since messages are lost.
func (m *model) repair(s *state, c int) bool {
	h := &s.r[c].base // a candidate has no tail here
	if h.holes == 0 {
		return true
	}
	i := uint8(bits.TrailingZeros8(h.holes))
	if m.r.repairFirst && !m.neverBlocks(s, c, i) {
		return false
	}
	h.cut(i)
	return true
}

// neverBlocks says that enough replicas answer NEVER to candidate c about the entry at slot i.
func (m *model) neverBlocks(s *state, c int, i uint8) bool {
	h := &s.r[c].base
	never := m.nevers(s, c, i)
	from := i
	if !m.r.neverAll {
		from = h.n
	}
	for k := from; k <= h.n; k++ { // the configuration after the first k entries
		voters, incs := m.configuration(h.log[:k])
		got := 0
		for id := range m.b.n {
			if voters&never>>id&1 == 1 && (!m.r.incarnation || incs>>id&1 == s.r[id].inc) {
				got++
			}
		}
		if got < bits.OnesCount8(voters)-quorum(voters)+1 {
			return false
		}
	}
	return true
}

// nevers are the replicas that never held c's entry at slot i, and cannot come to hold it any more.
func (m *model) nevers(s *state, c int, i uint8) (never uint8) {
	h := &s.r[c].base
	holds := func(x saved) bool { return i < x.n && x.log[i] == h.log[i] }
	for id := range m.b.n {
		p := &s.r[id]
		if id == c || p.up == 0 || !p.named(id) {
			continue
		}
		d := p.durable()
		switch {
		case holds(d) || holds(p.memory()):
		case m.r.neverIntact && p.head == 1:
		case m.r.neverAdopted && (d.term < h.term || m.r.neverTwice && p.base.term < h.term):
		default:
			never |= 1 << id
		}
	}
	return never
}

// fill takes payloads that are missing from others that hold the same entries.
func (m *model) fill(s *state, id int) (done bool) {
	r := &s.r[id]
	for i := range r.base.n {
		if r.base.holes&(1<<i) != 0 && m.another(s, id, i) {
			r.base.holes &^= 1 << i
			done = true
		}
	}
	return done
}

// another says that some other replica has the payload of id's entry at slot i.
func (m *model) another(s *state, id int, i uint8) bool {
	for o := range m.b.n {
		p := &s.r[o]
		if o == id || p.up == 0 {
			continue
		}
		if d := p.durable(); i < d.n && d.log[i] == s.r[id].base.log[i] && d.holes&(1<<i) == 0 {
			return true
		}
	}
	return false
}

// exit lets a HEAD-UNKNOWN replica become normal through leader l, whose log it holds durably.
func (m *model) exit(s *state, id, l int) bool {
	r, lead := &s.r[id], &s.r[l]
	if r.up == 0 || r.head == 0 || lead.up == 0 || lead.role != leader || id == l {
		return false
	}
	h, d, lh := r.memory(), r.durable(), lead.memory()
	if h.term != lh.term || d.term != lh.term || d.n < lh.n {
		return false
	}
	for i := range lh.n {
		if d.log[i] != lh.log[i] {
			return false
		}
	}
	voters, _ := m.configuration(lh.log[:lh.n])
	confirmed := 0
	for o := range m.b.n {
		if p := &s.r[o]; voters&(1<<o) != 0 && p.up == 1 && p.memory().term == lh.term {
			confirmed++
		}
	}
	if m.r.headConfirm && confirmed < quorum(voters) {
		return false
	}
	r.head = 0
	return true
}
