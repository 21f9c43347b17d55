package main

// alive says what is wrong if no run without further faults, from s, commits a new entry: all restart, and
// each in turn tries one more election.
func (m *model) alive(s *state) string {
	rest, top := m.settled(s)
	for c := range m.b.n {
		n := rest
		if !m.mayCampaign(&n.r[c], c, &n.r[c].base) {
			continue
		}
		moved, bad := m.elect(&n, c, top+1)
		if bad != "" {
			return bad
		}
		if moved {
			return ""
		}
	}
	return "DEAD END: no run without further faults commits anything"
}

// settled is s after all have restarted and written what they had, and the highest term there.
func (m *model) settled(s *state) (rest state, top uint8) {
	rest = *s
	for i := range m.b.n {
		if s.r[i].up == 0 {
			m.restart(&rest, i)
		}
		r := &rest.r[i]
		r.fold(r.nt)
		r.forget()
		top = max(top, r.base.term)
	}
	for i := range m.b.n {
		m.fill(&rest, i)
	}
	return rest, top
}

// elect plays the election of c in term and what it then commits.
func (m *model) elect(n *state, c int, term uint8) (moved bool, bad string) {
	n.r[c].base.term, n.r[c].base.vote = term, uint8(c)
	m.act(n, c)
	for o := range m.b.n {
		if m.grantable(n, o, c) {
			n.r[o].base.term, n.r[o].base.vote = term, uint8(c)
			m.act(n, o)
		} else if o != c && n.r[o].up == 1 && n.r[o].base.term < term {
			n.r[o].base.term, n.r[o].base.vote = term, nobody // it learns the term
		}
	}
	if ok, bad := m.lead(n, c); !ok || bad != "" {
		return false, bad
	}
	n.r[c].fold(n.r[c].nt)
	for range 2 * maxLog {
		for o := range m.b.n {
			if o != c && m.takeAppend(n, o, term) {
				n.r[o].fold(n.r[o].nt)
				m.ack(n, o)
			}
		}
	}
	return m.commit(n, c)
}
