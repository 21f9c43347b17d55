package main

// alive says what is wrong if no run without further faults, from s, commits a new entry and leaves a joint
// configuration: each in turn tries one more election, and all take what it sends.
func (m *model) alive(s *state) string {
	top := uint8(0)
	for id := range m.n {
		top = max(top, s.r[id].term)
	}
	for id := range m.n {
		c := *s
		for other := range m.n {
			c.r[other].forget()
		}
		if m.mayCampaign(&c.r[id], id) && m.ends(&c, id, top+1) {
			return ""
		}
	}
	return "DEAD END: no run without further faults commits anything outside of a joint configuration"
}

// ends plays the election of id, and what it then commits.
func (m *model) ends(s *state, id int, term uint8) bool {
	s.campaign(id, term)
	for other := range m.n {
		s.grant(other, id)
	}
	if !m.elected(&s.r[id]) || m.lead(s, id) != "" {
		return false
	}
	for range maxLog {
		r := &s.r[id]
		for other := range m.n {
			for range maxLog {
				m.take(s, other, term)
			}
		}
		n := m.decided(s, id)
		if c := m.configuration(r); n == r.n && c.outgoing == 0 {
			return true
		}
		if n > r.commit && m.commit(s, id, n) != "" || r.role != leader || r.n == maxLog {
			return false
		}
		m.leave(s, id)
	}
	return false
}
