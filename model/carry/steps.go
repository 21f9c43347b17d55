package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// Steps.
const (
	opAppend = iota
	opCompact
	opInstall
	opCarry
	opRoll
	opLeaveOut
	opSynced
	opCrash
	opList
)

// Next gives out every step: of the writer, which waits for each of its writes, and crashes.
func (m *model) Next(s *state, out *explore.Out[state]) {
	emit := func(c *state, op, a, b uint8) { out.Step(c, "", explore.Act{Op: op, A: a, B: b}) }
	if s.writing != 0 {
		c := *s
		m.synced(&c)
		emit(&c, opSynced, 0, 0)
	} else {
		if s.down == 0 && s.on.newest().n < m.b.records {
			m.writes(s, emit)
			m.carries(s, emit)
		}
		m.rolls(s, emit)
	}
	for kept := range min(s.writing, 1) + 1 {
		c := *s
		if kept == 1 {
			m.synced(&c)
		}
		m.crash(&c)
		if c != *s {
			emit(&c, opCrash, kept, 0)
		}
	}
}

// batch writes r to the newest segment; the index has it at once, but for what is carried.
func (m *model) batch(s *state, r record) {
	s.writing, s.batch = 1, r
	if r.kind == carried && m.r.synced {
		return
	}
	if r.kind == carried { // nobody waits for it
		r.loose = 1
		t := s.on.newest()
		t.records[t.n] = r
		t.n++
		s.writing, s.batch = 0, record{}
		s.mem.place[r.index] = s.on.n
		return
	}
	s.mem.apply(r, s.on.n, m)
	s.mem.cut()
}

// writes are appends, which may truncate, compactions, and snapshots of the others that replace the log.
func (m *model) writes(s *state, emit func(c *state, op, a, b uint8)) {
	x := &s.mem
	top := x.base.version
	for _, v := range x.version {
		top = max(top, v)
	}
	for i := x.base.index + 1; i <= min(x.last()+1, m.b.log); i++ {
		v := top + 1
		if i == x.last()+1 && top > 0 {
			v = top
		}
		if v <= m.b.versions {
			c := *s
			m.batch(&c, record{kind: entry, index: i, version: v})
			emit(&c, opAppend, i, v)
		}
	}
	for i := x.base.index + 1; i <= x.last(); i++ {
		c := *s
		m.batch(&c, record{kind: base, index: i, version: x.version[i]})
		emit(&c, opCompact, i, 0)
	}
	for i := x.base.index + 1; i <= m.b.log && top < m.b.versions; i++ {
		c := *s
		m.batch(&c, record{kind: anew, index: i, version: top + 1})
		emit(&c, opInstall, i, top+1)
	}
}

// carries takes an entry of the oldest segment that lives to the newest.
func (m *model) carries(s *state, emit func(c *state, op, a, b uint8)) {
	oldest := m.oldest(s)
	if oldest == s.on.n {
		return
	}
	if !m.r.live && s.listed == ([maxLog + 1]uint8{}) {
		c := *s
		for i, p := range s.mem.place {
			if p == oldest {
				c.listed[i] = s.mem.version[i]
			}
		}
		emit(&c, opList, 0, 0)
	}
	for i := uint8(1); i <= maxLog; i++ {
		v := s.mem.version[i]
		switch {
		case !m.r.live && s.listed[i] != 0:
			v = s.listed[i]
		case !m.r.live || s.mem.place[i] != oldest:
			continue
		}
		c := *s
		c.listed[i] = 0
		m.batch(&c, record{kind: carried, index: i, version: v})
		emit(&c, opCarry, i, v)
	}
}

// dead says whether no entry lives in segment k, from 1.
func (x *index) dead(k uint8) bool {
	for _, p := range x.place {
		if p == k {
			return false
		}
	}
	return true
}

// oldest is the first segment, from 1, in which something lives, or the newest.
func (m *model) oldest(s *state) uint8 {
	k := uint8(1)
	for k < s.on.n && s.mem.dead(k) {
		k++
	}
	return k
}

// rolls begins another segment, with a head that names what remains of the chain: of the segments in which
// nothing of this log lives any part may stay, for others live there.
func (m *model) rolls(s *state, emit func(c *state, op, a, b uint8)) {
	for freed := range uint8(1) << (s.on.n - 1) { // bit k-1: segment k
		keep, mem := s.on, s.mem
		ok := !m.r.front || freed&(freed+1) == 0
		for k := keep.n - 1; k > 0; k-- {
			if freed>>(k-1)&1 == 1 {
				ok = ok && s.mem.dead(k)
				keep.without(k - 1)
				mem.removed(k)
			}
		}
		if ok {
			m.roll(s, &keep, &mem, freed, emit)
		}
	}
}

// roll begins another segment behind keep, of which mem is the index, or behind all of keep but one segment.
func (m *model) roll(s *state, keep *chain, mem *index, freed uint8, emit func(c *state, op, a, b uint8)) {
	if keep.n < m.b.segments {
		c := *s
		c.mem = *mem
		m.head(&c, *keep)
		emit(&c, opRoll, freed, 0)
	}
	for k := keep.n; k > 0 && (k == keep.n || !m.r.newest); k-- {
		t := segment{}
		if !m.remains(&t, mem, k) {
			continue
		}
		c, rest := *s, *keep
		c.mem = *mem
		c.mem.removed(k)
		rest.without(k - 1)
		for i, p := range mem.place {
			if p == k {
				c.mem.place[i] = rest.n + 1
			}
		}
		m.head(&c, rest, t.records[:t.n]...)
		emit(&c, opLeaveOut, freed, k)
	}
}

// removed is that segment k, from 1, is no more in the chain.
func (x *index) removed(k uint8) {
	for i, p := range x.place {
		if p > k {
			x.place[i]--
		}
	}
}

// remains states again what segment k, from 1, holds. false: it is too much.
func (m *model) remains(t *segment, x *index, k uint8) bool {
	add := func(r record) {
		if t.n < maxRecords {
			t.records[t.n] = r
		}
		t.n++
	}
	all := true
	for i := uint8(1); i <= maxLog; i++ {
		all = all && (x.version[i] == 0 || x.place[i] == k)
	}
	if all && m.r.whole {
		add(record{kind: anew, index: x.base.index, version: x.base.version})
	}
	for i := uint8(1); i <= maxLog; i++ {
		if x.place[i] != k {
			continue
		}
		r := record{kind: entry, index: i, version: x.version[i]}
		if !m.r.appended || x.came>>i&1 == 1 && !all {
			r.kind = carried
		}
		add(r)
	}
	return t.n < m.b.records
}

// head writes the head of the next segment behind keep.
func (m *model) head(s *state, keep chain, rest ...record) {
	t := segment{n: uint8(len(rest)), rest: uint8(len(rest))}
	copy(t.records[:], rest)
	if m.r.base {
		t.base = record{kind: base, index: s.mem.base.index, version: s.mem.base.version}
	}
	if !m.r.named && keep.n < s.on.n {
		s.on.segments[0].gone = 1
	}
	keep.segments[keep.n] = t
	keep.n++
	s.next, s.writing = keep, 2
}

// synced makes the write durable.
func (m *model) synced(s *state) {
	s.on = s.written()
	if s.writing == 2 {
		s.down = 0
	} else if s.batch.kind == carried {
		s.mem.place[s.batch.index] = s.on.n
		s.mem.came |= 1 << s.batch.index
	}
	s.must = s.mem
	s.must.place, s.must.came = [maxLog + 1]uint8{}, 0
	s.writing, s.batch, s.next = 0, record{}, chain{}
}

// crash loses the write on its way, and what only memory has. An open begins a segment.
func (m *model) crash(s *state) {
	s.mem, _ = m.replay(&s.on, false)
	s.writing, s.batch, s.next = 0, record{}, chain{}
	s.listed = [maxLog + 1]uint8{}
	s.down = 1
}
