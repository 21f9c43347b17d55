package main

// propose lets leader id append e and send it.
func (m *model) propose(s *state, id int, e entry) {
	r := &s.r[id]
	h := r.memory()
	r.push(batch{term: h.term, cand: h.vote, idx: h.n + 1, ent: e})
	h = r.memory()
	s.sent[h.term], s.nsent[h.term] = h.log, h.n
}

// takeAppend lets id take the next entry that the leader of term t sent, or its heartbeat.
func (m *model) takeAppend(s *state, id int, t uint8) bool {
	r := &s.r[id]
	h := r.memory()
	if r.up == 0 || s.nsent[t] == 0 || t < h.term || r.full() || r.voting() || r.role == leader && t == h.term {
		return false
	}
	sent := s.sent[t][:s.nsent[t]]
	if !r.named(id) && !names(sent, id) { // the leader must address this incarnation
		return false
	}
	b := batch{term: t, cand: nobody}
	if t == h.term {
		b.cand = h.vote
	}
	if k := agree(h.log[:h.n], sent); int(k) < len(sent) {
		b.idx, b.ent = k+1, sent[k]
	}
	heartbeat := b.idx == 0 && t == h.term
	if !heartbeat {
		r.push(b)
	}
	if r.role == candidate {
		r.forget()
	}
	if heartbeat {
		m.ack(s, id)
	}
	return true
}

// agree is how many entries two logs begin with alike.
func agree(a, b []entry) (k uint8) {
	for int(k) < len(a) && int(k) < len(b) && a[k] == b[k] {
		k++
	}
	return k
}

// sync makes the first k batches durable, and does what waited for that.
func (m *model) sync(s *state, id int, k uint8) {
	r := &s.r[id]
	for i := range k {
		r.tail[i].synced = 1
	}
	v := &r.tail[0]
	if r.nt == 0 || v.vote == 0 || v.synced == 0 {
		m.ack(s, id)
		return
	}
	act := m.r.voteSynced && !m.r.voteTwice
	if v.copy == 0 {
		v.copy = 1 // the second batch is written: it repeats and promises the first
	} else {
		r.fold(1)
		act = m.r.voteSynced && m.r.voteTwice
	}
	if act {
		m.act(s, id)
	}
}

// ack tells the live leader of id's term what id holds durably.
func (m *model) ack(s *state, id int) {
	r := &s.r[id]
	d, h := r.durable(), r.memory()
	if m.r.ackTerm && d.term != h.term || r.up == 0 {
		return
	}
	for l := range m.b.n {
		lead := &s.r[l]
		if lead.up == 0 || lead.role != leader || lead.memory().term != h.term {
			continue
		}
		lh := lead.memory()
		if lead.minc>>id&1 != r.inc {
			lead.match[id] = 0
			lead.minc = lead.minc&^(1<<id) | r.inc<<id
		}
		lead.match[id] = max(lead.match[id], agree(d.log[:d.n], lh.log[:lh.n]))
	}
}

// commit lets leader l count; it says whether the commit index moved, and which property broke.
func (m *model) commit(s *state, l int) (moved bool, bad string) {
	r := &s.r[l]
	if r.up == 0 || r.role != leader {
		return false, ""
	}
	h := r.memory()
	voters, _ := m.configuration(h.log[:h.n])
	for i := h.n; i > 0; i-- {
		if m.holders(s, l, i) < quorum(voters) || m.r.ownTerm && h.log[i-1].term() != h.term {
			continue
		}
		for j := range i {
			if j < s.ncommitted {
				if s.committed[j] != h.log[j] {
					return true, "LOST: another entry is committed at the same index"
				}
				continue
			}
			s.committed[j], s.committedIn[j], s.ncommitted = h.log[j], h.term, j+1
			moved = true
		}
		return moved, ""
	}
	return false, ""
}

// holders counts the voters that hold the first i entries of leader l, as it knows.
func (m *model) holders(s *state, l int, i uint8) (n int) {
	r := &s.r[l]
	h, d := r.memory(), r.durable()
	voters, incs := m.configuration(h.log[:h.n])
	for id := range m.b.n {
		holds := r.match[id] >= i && (!m.r.incarnation || incs>>id&1 == r.minc>>id&1)
		if id == l {
			holds = !m.r.leaderSaved || d.n >= i && h.log[i-1] == d.log[i-1]
		}
		if voters&(1<<id) != 0 && holds {
			n++
		}
	}
	return n
}
