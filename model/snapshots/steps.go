package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// Steps.
const (
	opTake = iota
	opExecute
	opDiffer
	opLearn
	opSeal
	opAgree
	opCut
	opReceive
	opInstall
	opRemake
	opCrash
	opRestart
	opRot
)

// An emitter gives out the steps of one state.
type emitter struct {
	m   *model
	out *explore.Out[state]
}

func (o *emitter) emit(c *state, op uint8, id int, arg uint8) {
	o.m.count(c)
	o.out.Step(c, o.m.broken(c), explore.Act{Op: op, A: uint8(id), B: arg})
}

// count notes what is on a majority, and what each has acknowledged.
func (m *model) count(s *state) {
	for i := s.done + 1; i <= s.entries; i++ {
		n := 0
		for id := range s.r {
			if s.r[id].last >= i {
				n++
			}
		}
		if n > replicas/2 {
			s.done = i
		}
	}
	for id := range s.r {
		s.r[id].acked = max(s.r[id].acked, s.r[id].last)
	}
}

// Next gives out every step of every replica.
func (m *model) Next(s *state, out *explore.Out[state]) {
	o := &emitter{m, out}
	for id := range s.r {
		if s.r[id].up == 1 {
			m.follows(s, id, o)
			m.executes(s, id, o)
			m.seals(s, id, o)
			m.receives(s, id, o)
		}
		m.fails(s, id, o)
	}
}

// follows are entries, new or of another's log.
func (m *model) follows(s *state, id int, o *emitter) {
	c := *s
	if c.r[id].last == c.entries && c.entries < m.b.log {
		c.entries++
		c.r[id].last++
		o.emit(&c, opTake, id, 0)
	} else if m.take(&c, id) {
		o.emit(&c, opTake, id, 0)
	}
}

// take takes the next entry that some other log still has.
func (m *model) take(s *state, id int) bool {
	r := &s.r[id]
	for other := range s.r {
		if q := &s.r[other]; other != id && q.up == 1 && q.base <= r.last && r.last < q.last {
			r.last++
			return true
		}
	}
	return false
}

// executes are entries given to the machine, whose state is reported at each, and what is agreed.
func (m *model) executes(s *state, id int, o *emitter) {
	c := *s
	if m.execute(&c, id) {
		o.emit(&c, opExecute, id, 0)
		if r := &s.r[id]; r.differs == 0 && s.differs < m.b.differs {
			c := *s
			c.differs++
			c.r[id].differs = 1
			m.execute(&c, id)
			o.emit(&c, opDiffer, id, 0)
		}
	}
	for i := s.r[id].known + 1; i <= m.b.log; i++ {
		c := *s
		if m.learn(&c, id, i) {
			o.emit(&c, opLearn, id, i)
		}
	}
	if s.r[id].machine == out {
		c := *s
		m.remake(&c, id)
		o.emit(&c, opRemake, id, 0)
	}
}

// remake makes the machine of replica id anew, and reports the state that it begins with.
func (m *model) remake(s *state, id int) {
	r := &s.r[id]
	m.restore(r)
	if r.machine == well && r.applied > 0 {
		m.report(s, id)
	}
}

func (m *model) execute(s *state, id int) bool {
	r := &s.r[id]
	if r.machine != well || r.applied >= min(s.done, r.last) || r.applied < r.base {
		return false
	}
	r.applied++
	m.report(s, id)
	return true
}

// report tells the state at the newest mark, unless another machine of this replica has done so.
func (m *model) report(s *state, id int) {
	r, bit := &s.r[id], uint8(1)<<id
	i := r.applied
	r.reported |= 1 << i
	s.right[i] &^= bit
	s.others[i] &^= bit
	if r.differs != 0 {
		s.others[i] |= bit
	} else {
		s.right[i] |= bit
	}
	if i <= r.known && r.differs != 0 { // it knows already what a majority had there
		m.ails(r)
	}
}

// learn tells replica id that mark i is agreed: its machine may differ.
func (m *model) learn(s *state, id int, i uint8) bool {
	r := &s.r[id]
	if !m.isAgreed(s, i) || i <= r.known {
		return false
	}
	r.known = i
	if r.machine == well && r.reported>>i&1 == 1 && !s.had(id, i) {
		m.ails(r)
	}
	return true
}

// ails takes a machine that differs out of service.
func (m *model) ails(r *replica) {
	if !m.r.stops {
		return
	}
	r.machine, r.applied, r.differs, r.reported = out, 0, 0, 0
	for i := range r.snap {
		if m.r.drops && r.snap[i]&agreed == 0 {
			r.snap[i] = 0
		}
	}
}

// seals are snapshots of the machine's state, which come to be agreed, and let the log be cut.
func (m *model) seals(s *state, id int, o *emitter) {
	c := *s
	if m.seal(&c, id) {
		o.emit(&c, opSeal, id, 0)
	}
	for i := uint8(1); i <= m.b.log; i++ {
		c := *s
		if m.agree(&c, id, i) {
			o.emit(&c, opAgree, id, i)
		}
		m.cut(s, id, i, o)
	}
}

// seal writes a snapshot: one at a time waits to be agreed.
func (m *model) seal(s *state, id int) bool {
	r := &s.r[id]
	i := r.applied
	if r.machine != well || i == 0 || r.snap[i] != 0 && r.snap[i]&rotten == 0 {
		return false
	}
	for _, other := range r.snap {
		if other&(sealed|agreed) == sealed {
			return false
		}
	}
	r.snap[i] = sealed
	if r.differs != 0 {
		r.snap[i] |= wrong
	}
	return true
}

// agree makes snapshot i of replica id an agreed one.
func (m *model) agree(s *state, id int, i uint8) bool {
	r := &s.r[id]
	if r.snap[i]&(sealed|agreed) != sealed || r.known < i {
		return false
	}
	ok := !m.r.own
	for j := i; j <= r.known; j++ {
		same := s.had(id, j)
		if !m.r.majority {
			same = true
		}
		ok = ok || r.reported>>j&1 == 1 && m.isAgreed(s, j) && same
	}
	if ok {
		r.snap[i] |= agreed
	}
	return ok
}

// cut takes the log behind snapshot i away, and the snapshots before it.
func (m *model) cut(s *state, id int, i uint8, o *emitter) {
	r := &s.r[id]
	if i <= r.base || i > min(r.last, r.applied) || r.machine != well || r.snap[i]&received != 0 {
		return
	}
	fit := r.usable(i) || !m.r.cuts && r.snap[i]&sealed != 0 && r.snap[i]&rotten == 0
	if !m.r.covered {
		fit = i == r.applied
	}
	later := m.b.press || !m.r.previous || !m.r.covered || !m.r.cuts
	for j := i + 1; j <= m.b.log; j++ {
		later = later || r.usable(j)
	}
	if !fit || !later {
		return
	}
	c := *s
	d := &c.r[id]
	d.base, d.given = i, 0
	for j := range i {
		d.snap[j] = 0
	}
	o.emit(&c, opCut, id, i)
}

// receives are snapshots of the others: those that this one needs, or that come late.
func (m *model) receives(s *state, id int, o *emitter) {
	for other := range s.r {
		for i := uint8(1); i <= m.b.log; i++ {
			c := *s
			if m.receive(&c, id, other, i) {
				o.emit(&c, opReceive, id, i)
			}
		}
	}
	for i := uint8(1); i <= m.b.log; i++ {
		c := *s
		if m.install(&c, id, i) {
			o.emit(&c, opInstall, id, i)
		}
	}
}

// receive takes snapshot i of another; those before it make way.
func (m *model) receive(s *state, id, other int, i uint8) bool {
	r, q := &s.r[id], &s.r[other]
	if id == other || q.up == 0 || r.snap[i]&(received|rotten) == received || r.usable(i) && i <= r.last || q.snap[i]&rotten != 0 || !q.usable(i) && (m.r.streams || q.snap[i] == 0) {
		return false
	}
	if i <= r.applied && r.machine == well && m.r.older || r.machine == absent && !m.r.foreign {
		return false
	}
	r.snap[i] = sealed | agreed | received | q.snap[i]&wrong
	for j := range i {
		if r.snap[j]&agreed != 0 {
			r.snap[j] = 0
		}
	}
	return true
}

// install makes a received snapshot the beginning of the log, and of the machine.
func (m *model) install(s *state, id int, i uint8) bool {
	r := &s.r[id]
	if r.snap[i]&received == 0 || r.snap[i]&rotten != 0 {
		return false
	}
	r.snap[i] &^= received
	behind := i <= r.applied && r.machine == well
	if behind && m.r.older {
		return true
	}
	r.base, r.given = i, 1
	for j := range r.snap {
		if m.r.forgets && r.snap[j]&agreed == 0 {
			r.snap[j] = 0
		}
	}
	if r.last < i || !m.r.suffix || behind {
		r.last = i
	}
	r.machine, r.applied, r.differs, r.reported = well, i, 0, 0
	if r.snap[i]&wrong != 0 {
		r.differs = 2
	}
	m.report(s, id)
	return true
}

// fails are crashes, starts, and snapshots that rot.
func (m *model) fails(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.up == 0 {
		c := *s
		m.start(&c, id)
		o.emit(&c, opRestart, id, 0)
	} else if s.crashes < m.b.crashes {
		c := *s
		c.crashes++
		d := &c.r[id]
		d.up, d.machine, d.applied, d.differs, d.reported, d.known = 0, well, 0, 0, 0, 0
		o.emit(&c, opCrash, id, 0)
	}
	for i := uint8(1); i <= m.b.log && s.rots < m.b.rots; i++ {
		if r.snap[i] == 0 || r.snap[i]&rotten != 0 {
			continue
		}
		c := *s
		c.rots++
		c.r[id].snap[i] |= rotten
		o.emit(&c, opRot, id, i)
	}
}

// start makes the machine. What the former process had sealed, and a majority had not agreed with, goes.
func (m *model) start(s *state, id int) {
	r := &s.r[id]
	r.up = 1
	reaches := r.base == 0
	for i := max(r.base, 1); i <= r.last; i++ {
		reaches = reaches || r.usable(i)
	}
	for i := r.last + 1; i <= maxLog; i++ {
		if !reaches && m.r.adopts && r.usable(i) {
			r.base, r.last, r.given, reaches = i, i, 1, true
		}
	}
	m.remake(s, id)
	for i := range r.snap {
		r.snap[i] &^= received
		if r.snap[i]&agreed == 0 {
			r.snap[i] = 0
		}
	}
}
