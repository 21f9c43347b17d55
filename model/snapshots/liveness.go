package main

// alive says what is wrong if no run without further faults, from s, brings all replicas to one state, of all
// entries and one more: they start, take and execute what there is, compare, and ask each other for snapshots.
func (m *model) alive(s0 *state) string {
	s := *s0
	for id := range s.r {
		if s.r[id].up == 0 {
			m.start(&s, id)
		}
	}
	m.settles(&s)
	for id := range s.r {
		if r := &s.r[id]; r.last == s.entries && s.entries == s0.entries {
			r.last++
			s.entries++
		}
	}
	m.settles(&s)
	for id := range s.r {
		if r := &s.r[id]; r.machine != well || r.differs != 0 || r.applied < s.entries {
			return "DEAD END: no run without further faults brings all to one state"
		}
	}
	return ""
}

// settles lets all do what they can until nothing changes.
func (m *model) settles(s *state) {
	for was := (state{}); was != *s; {
		was = *s
		for id := range s.r {
			m.moves(s, id)
			m.count(s)
		}
	}
}

// moves does what replica id can do by itself. It receives only what it needs.
func (m *model) moves(s *state, id int) {
	for m.take(s, id) {
		m.count(s)
	}
	if s.r[id].machine == out {
		m.remake(s, id)
	}
	for m.execute(s, id) {
	}
	for i := uint8(1); i <= maxLog; i++ {
		m.learn(s, id, i)
	}
	m.seal(s, id)
	for i := uint8(maxLog); i > 0; i-- {
		m.agree(s, id, i)
		for other := range s.r {
			if r := &s.r[id]; r.machine == absent || r.last < s.r[other].base {
				m.receive(s, id, other, i)
			}
		}
		m.install(s, id, i)
	}
}
