package main

import "math/bits"

// configuration is the voters of the first k entries of a log, as a mask, and the incarnation of each.
func (m *model) configuration(log []entry) (voters, incs uint8) {
	voters = 1<<m.b.n - 1
	for _, e := range log {
		switch e.kind() {
		case replace:
			voters &^= 1 << e.target()
			incs |= 1 << e.target()
		case promote:
			voters |= 1 << e.target()
		}
	}
	return voters, incs
}

func quorum(voters uint8) int { return bits.OnesCount8(voters)/2 + 1 }

// named says that a configuration in the durable log names this incarnation; founding names the first.
func (r *replica) named(id int) bool {
	if r.inc == 0 {
		return true
	}
	d := r.durable()
	return names(d.log[:d.n], id)
}

// names says that a configuration of log is about id.
func names(log []entry, id int) bool {
	for _, e := range log {
		if e.kind() != normal && int(e.target()) == id {
			return true
		}
	}
	return false
}

func (m *model) mayVote(r *replica, id int) bool {
	return r.up == 1 && (r.head == 0 || !m.r.headNoVote) && r.named(id)
}

func (m *model) mayCampaign(r *replica, id int, h *saved) bool {
	if r.up == 0 || r.head == 1 || !r.named(id) {
		return false
	}
	voters, incs := m.configuration(h.log[:h.n])
	return voters&(1<<id) != 0 && (!m.r.incarnation || incs>>id&1 == r.inc)
}

// reconfigure proposes that a wiped replica is replaced, or one that has caught up is promoted: one change
// at a time, after a commit in the own term.
func (m *model) reconfigure(s *state, l int, o *emitter) {
	h := s.r[l].memory()
	if s.ncommitted == 0 || s.committedIn[s.ncommitted-1] != h.term {
		return
	}
	voters, incs := m.configuration(h.log[:h.n])
	for i := s.ncommitted; i < h.n; i++ {
		if h.log[i].kind() != normal {
			return
		}
	}
	for id := range m.b.n {
		var e entry
		switch {
		case s.r[id].inc == 1 && incs>>id&1 == 0:
			e = makeEntry(h.term, replace, uint8(id))
		case voters&(1<<id) == 0 && s.r[l].minc>>id&1 == 1 && s.r[l].match[id] > 0:
			e = makeEntry(h.term, promote, uint8(id))
		default:
			continue
		}
		c := *s
		c.changes++
		m.propose(&c, l, e)
		o.emit(&c, "", opChange, l, 0)
	}
}
