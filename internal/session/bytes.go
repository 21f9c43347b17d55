package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// tableVersion 1: the first. docs/formats/sessions.md.
const tableVersion = 1

// ErrCorrupt is what every error of UnmarshalBinary is.
var ErrCorrupt = errors.New("table of sessions is damaged")

// AppendBinary appends the table as a snapshot holds it, between two entries. An empty table is no bytes.
func (t *Table) AppendBinary(b []byte) ([]byte, error) {
	if t.Digest() == 0 {
		return b, nil
	}
	b = append(b, tableVersion)
	b = binary.AppendUvarint(b, uint64(t.next))
	b = binary.AppendUvarint(b, uint64(t.since))
	b = binary.AppendUvarint(b, uint64(len(t.sessions)))
	for e := t.uses.first; e != nil; e = e.after {
		s := e.of
		b = binary.AppendUvarint(b, uint64(s.id))
		b = append(b, s.token[:]...)
		b = binary.AppendUvarint(b, uint64(s.used))
		b = binary.AppendUvarint(b, uint64(s.last.Index))
		b = binary.AppendUvarint(b, uint64(s.last.Ordinal))
		b = binary.AppendUvarint(b, s.low)
		b = append(b, byte(len(s.results)))
		for _, r := range s.results {
			b = append(b, byte(r.seq-s.low))
			b = r.append(b)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(t.drawn)))
	for _, token := range t.drawn {
		b = append(b, token[:]...)
		b = t.tokens[token].append(b)
	}
	return b, nil
}

func (r *result) append(b []byte) []byte {
	b = append(b, byte(r.state))
	b = binary.AppendUvarint(b, uint64(r.at.Index))
	b = binary.AppendUvarint(b, uint64(r.at.Ordinal))
	if r.state == stored {
		b = binary.AppendUvarint(b, uint64(len(r.data)))
		b = append(b, r.data...)
	}
	return b
}

// UnmarshalBinary replaces the table by one that AppendBinary gave. On an ErrCorrupt the table is as it
// was. Nothing in it aliases p.
func (t *Table) UnmarshalBinary(p []byte) error {
	var n Table
	if len(p) > 0 {
		d := decoder{p: p}
		d.table(&n)
		if d.err == nil && d.off < len(p) {
			d.fail("has more bytes behind its end")
		}
		if d.err == nil && n.Digest() == 0 {
			d.fail("is empty, and not without bytes")
		}
		if d.err != nil {
			return d.err
		}
	}
	n.counts = t.counts
	*t = n
	return nil
}

// decoder reads a table from its front. The first error stays.
type decoder struct {
	p   []byte
	off int
	err error
}

func (d *decoder) fail(why string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w at offset %d: it %s", ErrCorrupt, d.off, why)
	}
}

// number reads a number of at most most, in its shortest form.
func (d *decoder) number(most uint64) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.p[d.off:])
	if n <= 0 || n > 1 && d.p[d.off+n-1] == 0 || v > most {
		d.fail(fmt.Sprintf("has no number of at most %d", most))
		return 0
	}
	d.off += n
	return v
}

// bytes reads n bytes without copying.
func (d *decoder) bytes(n uint64) []byte {
	if d.err != nil || n > uint64(len(d.p)-d.off) {
		d.fail(fmt.Sprintf("lacks %d bytes", n))
		return nil
	}
	d.off += int(n)
	return d.p[d.off-int(n) : d.off]
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

const (
	mostTime = 1<<63 - 1
	mostU32  = 1<<32 - 1
)

func (d *decoder) place() Place {
	return Place{Index: Index(d.number(1<<64 - 1)), Ordinal: uint32(d.number(mostU32))}
}

func (d *decoder) table(t *Table) {
	if d.byte() != tableVersion {
		d.fail("has another version")
	}
	t.next = ID(d.number(1<<64 - 1))
	t.since = Time(d.number(mostTime))
	var ran []*result
	for range d.number(MostSessions) {
		s := d.session(t)
		if d.err != nil {
			return
		}
		ran = append(ran, s.results...)
		t.insert(s)
	}
	for range d.number(MostTokens) {
		r := &result{token: Token(append(make([]byte, 0, 16), d.bytes(16)...)[:16])}
		d.result(r, fenced)
		if n := len(t.drawn); n > 0 && string(r.token[:]) <= string(t.drawn[n-1][:]) {
			d.fail("has tokens out of order")
		}
		if r.token.Drawn() < t.since {
			d.fail("has a token that is forgotten")
		}
		if d.err != nil {
			return
		}
		t.drawn = append(t.drawn, r.token)
		t.remember(r)
		ran = append(ran, r)
	}
	slices.SortStableFunc(ran, func(a, b *result) int {
		switch {
		case a.at.before(b.at):
			return -1
		case b.at.before(a.at):
			return 1
		}
		return 0
	})
	for _, r := range ran {
		if r.owner != 0 {
			t.sum ^= r.digest()
		}
		if r.state == stored {
			t.keep(r)
		}
	}
}

// session reads one that was used after those that t has.
func (d *decoder) session(t *Table) *session {
	s := &session{id: ID(d.number(uint64(t.next)))}
	copy(s.token[:], d.bytes(16))
	s.used = Time(d.number(mostTime))
	s.last = d.place()
	s.low = d.number(1<<64 - 1)
	last := &session{}
	if t.uses.last != nil {
		last = t.uses.last.of
	}
	switch {
	case s.id == 0 || t.sessions[s.id] != nil || t.names[s.token] != nil:
		d.fail("has a session twice")
	case s.used < last.used || last.id != 0 && !last.last.before(s.last):
		d.fail("has sessions out of order")
	case s.low < 1:
		d.fail("has a session that begins before 1")
	}
	for range d.number(Window) {
		r := &result{owner: s.id, seq: s.low + d.number(Window-1)}
		d.result(r, lost)
		if n := len(s.results); n > 0 && r.seq <= s.results[n-1].seq || r.seq < s.low {
			d.fail("has results out of order")
		}
		if d.err != nil {
			return s
		}
		s.results = append(s.results, r)
	}
	return s
}

// result reads what is known of one command: a state from stored to most.
func (d *decoder) result(r *result, most state) {
	if r.state = state(d.byte()); r.state < stored || r.state > most {
		d.fail("has a result of an unknown state")
	}
	r.at = d.place()
	if r.state != stored {
		return
	}
	r.data = append([]byte{}, d.bytes(d.number(MostResultBytes))...)
}
