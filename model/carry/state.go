package main

const (
	maxLog      = 4
	maxSegments = 5
	maxRecords  = 5
)

// Kinds of records.
const (
	none    = iota
	entry   // appended, in place of all from its index on
	carried // taken here from an older segment
	base    // the log begins behind this index
	anew    // ... and no entry of the former log remains
)

// A record is of an entry, by its index and version, or of where the log begins.
type record struct {
	kind, index, version uint8
	loose                uint8 // believed durable, yet it may vanish: without synced
}

// A segment has a head, which repeats where the log begins, what remains of a segment that it leaves out, and
// records. All of it is durable.
type segment struct {
	base    record
	rest, n uint8 // records: those that remain of another one, in the head, and all
	records [maxRecords]record
	gone    uint8 // used again already: without named
}

// A chain is segments in the order in which they were begun, each of which names those before it.
type chain struct {
	n        uint8
	segments [maxSegments]segment
}

func (c *chain) newest() *segment { return &c.segments[c.n-1] }

// without is the chain but for segment k.
func (c *chain) without(k uint8) chain {
	copy(c.segments[k:], c.segments[k+1:])
	c.n--
	c.segments[c.n] = segment{}
	return *c
}

// An index is the log: where it begins, and the version of each entry behind, and the place of it: a segment of the
// chain, from 1.
type index struct {
	base    record
	version [maxLog + 1]uint8
	place   [maxLog + 1]uint8
	came    uint8 // bit i: entry i was carried to its place
}

// last is the index of the last entry, or of the base.
func (x *index) last() uint8 {
	n := x.base.index
	for n < maxLog && x.version[n+1] != 0 {
		n++
	}
	return n
}

// truncate forgets the entries from i on.
func (x *index) truncate(i uint8) {
	for ; i <= maxLog; i++ {
		x.version[i], x.place[i] = 0, 0
		x.came &^= 1 << i
	}
}

// apply is what a record in segment k, from 1, makes of the log.
func (x *index) apply(r record, k uint8, m *model) {
	switch r.kind {
	case carried:
		if m.r.carried {
			if v := x.version[r.index]; v == 0 || v == r.version {
				x.version[r.index], x.place[r.index] = r.version, k
				x.came |= 1 << r.index
			}
			return
		}
		fallthrough
	case entry:
		x.truncate(r.index)
		x.version[r.index], x.place[r.index] = r.version, k
	case anew:
		x.truncate(1)
		x.base = record{index: r.index, version: r.version}
	case base:
		if r.index > x.base.index {
			x.base = record{index: r.index, version: r.version}
		}
	}
}

// cut forgets what is behind the base's back.
func (x *index) cut() {
	for i := uint8(1); i <= x.base.index; i++ {
		x.version[i], x.place[i] = 0, 0
		x.came &^= 1 << i
	}
}

// replay is the log that an open finds in c. ok: it has no gap.
func (m *model) replay(c *chain, vanish bool) (x index, ok bool) {
	for k := range c.n {
		s := &c.segments[k]
		if s.gone == 1 {
			return x, false
		}
		x.apply(s.base, k+1, m)
		for _, r := range s.records[:s.n] {
			if r.loose == 0 || !vanish {
				x.apply(r, k+1, m)
			}
		}
	}
	x.cut()
	for i := x.last() + 1; i <= maxLog; i++ {
		if x.version[i] != 0 {
			return x, false
		}
	}
	return x, true
}

// state is what is durable, a write on its way, what the running process knows, and what must be found.
type state struct {
	on      chain
	writing uint8 // 0: nothing, 1: a batch of the newest segment, 2: a head
	batch   record
	next    chain // with the head that is on its way
	mem     index // as it will be once the write is durable
	must    index // without the write; places do not count
	down    uint8
	listed  [maxLog + 1]uint8 // versions that were listed to be carried; without live
}

// Init is a log of one segment without entries.
func (m *model) Init() state {
	var s state
	s.on.n = 1
	return s
}

// recovers says what an open would find wrong, whether the write on its way is durable or not.
func (m *model) recovers(s *state) string {
	for _, vanish := range []bool{false, true} {
		if bad := m.finds(&s.on, &s.must, vanish); bad != "" {
			return bad
		}
	}
	if s.writing != 0 {
		c := s.written()
		return m.finds(&c, &s.mem, false)
	}
	return ""
}

// written is the chain once the write on its way is durable.
func (s *state) written() chain {
	if s.writing == 2 {
		return s.next
	}
	c := s.on
	t := c.newest()
	t.records[t.n] = s.batch
	t.n++
	return c
}

func (m *model) finds(c *chain, must *index, vanish bool) string {
	x, ok := m.replay(c, vanish)
	switch {
	case !ok:
		return "GAP: entries between others are not found"
	case x.last() < must.last() || x.base.index < must.base.index:
		return "LOST: an open finds less than was durable"
	case x.base != must.base || x.version != must.version:
		return "RAISED: an open finds entries that were replaced"
	}
	return ""
}

// Encode appends all of the state.
func (m *model) Encode(s *state, b []byte) []byte {
	encode := func(r record) { b = append(b, r.kind|r.loose<<4, r.index|r.version<<4) }
	for _, c := range []*chain{&s.on, &s.next} {
		b = append(b, c.n)
		for _, t := range c.segments[:c.n] {
			encode(t.base)
			b = append(b, t.n|t.gone<<4, t.rest)
			for _, r := range t.records[:t.n] {
				encode(r)
			}
		}
	}
	encode(s.batch)
	for _, x := range []*index{&s.mem, &s.must} {
		encode(x.base)
		b = append(append(append(b, x.version[:]...), x.place[:]...), x.came)
	}
	return append(append(b, s.writing|s.down<<4), s.listed[:]...)
}
