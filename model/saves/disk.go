package main

// saves are writes that become durable, and are reported at once: a crash between the two is one of fails.
func (m *model) saves(s *state, id int, o *emitter) {
	r := &s.r[id]
	for k := range r.n {
		q := &r.queue[k]
		if q.index > 0 && r.full == 1 {
			if m.r.inOrder {
				m.passes(s, id, k+1, o)
				return
			}
			continue
		}
		if k > 0 && m.r.inOrder {
			break
		}
		c := *s
		d := c.r[id].queue[k]
		m.write(&c.r[id], &d)
		c.r[id].drop(k)
		m.reported(&c, id, &d)
		o.emit(&c, "", opSaved, id, k)
	}
}

// passes lets terms, votes and compactions behind a save that waits for space go before it.
func (m *model) passes(s *state, id int, from uint8, o *emitter) {
	r := &s.r[id]
	for k := from; k < r.n; k++ {
		q := &r.queue[k]
		if q.index > 0 || q.passed == 1 || q.bare == 0 && q.term < r.disk.term {
			continue
		}
		c := *s
		d := &c.r[id]
		m.write(d, q)
		d.queue[k].passed = 1
		if q.bare == 0 {
			d.term, d.vote = q.term, q.vote
			m.votes(&c, id, &d.queue[k])
		}
		o.emit(&c, "", opPass, id, k)
	}
}

// reported is what follows when q is known to be durable.
func (m *model) reported(s *state, id int, q *save) {
	r := &s.r[id]
	if q.passed|q.bare == 0 && q.term >= r.term {
		r.term, r.vote = q.term, q.vote
	}
	r.saved = max(r.saved, q.through)
	if q.ack > 0 && s.acked[q.term][id] < q.ack {
		s.acked[q.term][id] = q.ack
	}
	m.votes(s, id, q)
	m.acknowledge(s, id)
}

// votes sends the vote that waited for q.
func (m *model) votes(s *state, id int, q *save) {
	if q.grant == 0 {
		return
	}
	if a := &s.r[q.grant-1]; a.role == candidate && a.mem.term == q.term {
		a.votes |= 1 << id
	}
	q.grant = 0
}

// fails are disks that are full, compactions, and crashes: of what is on its way, in order, any part is durable then.
func (m *model) fails(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.full == 1 {
		c := *s
		c.r[id].full = 0
		o.emit(&c, "", opSpace, id, 0)
	} else if s.fills < m.b.full && r.n > 0 {
		c := *s
		c.fills++
		c.r[id].full = 1
		o.emit(&c, "", opFull, id, 0)
	}
	if s.bares < m.b.bares && r.commit > 0 && m.room(r) {
		c := *s
		c.bares++
		m.push(&c.r[id], save{bare: 1, through: r.mem.n})
		o.emit(&c, "", opBare, id, 0)
	}
	if s.crashes == m.b.crashes {
		return
	}
	for k := uint8(0); ; k++ {
		c := *s
		c.crashes++
		d := &c.r[id]
		for i := range k {
			m.write(d, &r.queue[i])
		}
		*d = replica{
			mem: d.disk, disk: d.disk, floor: d.floor, term: d.disk.term, vote: d.disk.vote, saved: d.disk.n,
			told: d.floor, commit: d.floor,
		}
		o.emit(&c, "", opCrash, id, k)
		if k == r.n || r.full == 1 && r.queue[k].index > 0 {
			return
		}
	}
}
