package wal

import (
	"fmt"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// blockState is what a block is, as seen from the segment it lies in.
type blockState uint8

const (
	zero    blockState = iota // never used
	stale                     // whole, of another life or position: left from a former use
	foreign                   // not whole: torn or rotten
	ours
)

// walk goes through the chain, oldest segment first, and hands every batch to the replay. It stops
// at the end of the log: the first bad spot that nothing promised.
func (s *scan) walk() error {
	for _, x := range s.files {
		if !x.kept {
			if err := s.survey(x); err != nil {
				return err
			}
		}
	}
	if s.newest != nil {
		s.synced = s.newest.seg.head // that is why one pass is enough: only the newest has batches above
	}
	for i, x := range s.chain {
		if err := s.survey(x); err != nil {
			return err
		}
		if x.head != nil {
			if err := s.state.head(x, x == s.newest); err != nil {
				return err
			}
		} else {
			s.note("%s: no copy of its head is whole; later heads repeat it", fileName(x.number))
		}
		if x.head != nil {
			if err := s.headRecords(x); err != nil {
				return damage(x.number, 0, fmt.Errorf("%w: %w", ErrDamaged, err))
			}
		}
		if err := s.walkSegment(x, i == len(s.chain)-1); err != nil {
			return err
		}
		s.noteLone(x)
		if s.torn {
			s.chain = s.chain[:i+1]
			return nil
		}
	}
	return nil
}

// headRecords hands the replay what the head of x holds of a segment that it does not name.
func (s *scan) headRecords(x *scanned) error {
	a, err := decodeRepeat(x.head.Repeat)
	if err != nil {
		return err
	}
	x.seg.again = repeat{a.position, uint32(len(a.records)), x.head.Repeat[wire.RecordHeaderSize+12 : a.size]}
	if x == s.newest {
		s.repeat = x.seg.again // the batch before the head keeps its second place while none is behind the head
	}
	rest := x.head.Repeat[a.size:]
	at := uint32(x.headSize - len(rest))
	if x.lone == "first" {
		at += x.seg.address(x.seg.mirror)
	}
	x.seg.bare = true
	for len(rest) > 0 {
		r, tail, err := wire.DecodeRecord(rest)
		if err == nil {
			err = s.state.record(&r, x.seg.head, place{x.seg.id, at, uint32(r.Size)})
		}
		if err != nil {
			return err
		}
		x.seg.bare = x.seg.bare && r.Kind == wire.RecordFloor
		at += uint32(r.Size)
		rest = tail
	}
	return nil
}

// noteLone tells of a head that lost one of its copies. A process that is killed while it begins a segment
// leaves the first copy without the second, and nothing behind it: that is no rot, and in a file that is
// not of the chain no copy matters.
func (s *scan) noteLone(x *scanned) {
	begun := x != s.newest || x.seg.end > x.seg.data
	if x.head != nil && (x.lone == "first" || x.lone == "second" && begun) {
		s.note("%s: the %s copy of its head is unreadable; the other is used", fileName(x.number), x.lone)
	}
}

func (s *scan) walkSegment(x *scanned, last bool) error {
	p := x.seg.data
	limit := x.seg.end
	for p < limit {
		if n := s.batchAt(x, p); n > 0 {
			if err := s.deliver(x, p, n); err != nil {
				return err
			}
			p += n
			continue
		}
		if s.synced <= p {
			return s.finish(x, p, last)
		}
		x.seg.bare = false
		q, err := s.rotten(x, p, limit)
		if err != nil {
			return err
		}
		if q == 0 { // nothing whole behind it
			if last {
				return s.lostTail(x, p)
			}
			q = limit
		}
		p = q
	}
	x.seg.end = p
	return nil
}

// block reads the block at position p of the loaded segment.
func (s *scan) block(x *scanned, p uint64) (b wire.Block, state blockState) {
	n := p - x.seg.head
	if p < x.seg.head || n >= uint64(len(s.blocks)) {
		return b, foreign
	}
	d := &s.blocks[n]
	switch {
	case d.whole && d.Life == x.seg.life && d.Position == p && d.Kind == wire.BlockBatch:
		return d.Block, ours
	case d.whole:
		return b, stale
	case d.zero:
		return b, zero
	}
	return b, foreign
}

// batchAt says how many blocks the whole batch at p has; 0: there is none. Life and position of
// every block must be the expected ones: else a stale frame would come back (W4).
func (s *scan) batchAt(x *scanned, p uint64) uint64 {
	first, state := s.block(x, p)
	if state != ours || first.Part != 0 || p+uint64(first.Count) > x.seg.mirror {
		return 0
	}
	for i := uint16(1); i < first.Count; i++ {
		b, state := s.block(x, p+uint64(i))
		if state != ours || b.Part != i || b.Count != first.Count {
			return 0
		}
	}
	return uint64(first.Count)
}

// deliver hands the records of the batch at p, of n blocks, to the replay.
func (s *scan) deliver(x *scanned, p, n uint64) error {
	rest := s.stream(x, p, n)
	again, err := decodeRepeat(rest)
	if err != nil {
		return damage(x.number, uint32(p-x.seg.head), fmt.Errorf("%w: %w", ErrDamaged, err))
	}
	s.repeat = repeat{position: p}
	at := x.seg.address(p) + uint32(again.size)
	for rest = rest[again.size:]; len(rest) > 0; {
		r, tail, err := wire.DecodeRecord(rest)
		if err == nil {
			err = s.state.record(&r, p, place{x.seg.id, at, uint32(r.Size)})
		}
		if err != nil {
			return damage(x.number, uint32(p-x.seg.head), fmt.Errorf("%w: %w", ErrDamaged, err))
		}
		x.seg.bare = x.seg.bare && restated(&r)
		s.repeat.add(&r, rest[:r.Size])
		at += uint32(r.Size)
		rest = tail
	}
	return nil
}

// restated says whether every later head says what the record does.
func restated(r *wire.Record) bool {
	return r.Kind == wire.RecordHardState || r.Kind == wire.RecordBase && !r.Replaces || r.Kind == wire.RecordFloor
}

// stream joins the bodies of a whole batch. They are valid until the next call.
func (s *scan) stream(x *scanned, p, n uint64) []byte {
	s.joined = s.joined[:0]
	for i := range n {
		b, _ := s.block(x, p+i)
		if n == 1 {
			return b.Body
		}
		s.joined = append(s.joined, b.Body...)
	}
	return s.joined
}

// again is a decoded repeat: the batch at position held these records.
type again struct {
	position uint64
	records  []wire.Record
	offsets  []int // of each in the stream
	size     int   // of it all, in bytes
}

// decodeRepeat reads the repeat that every batch begins with.
func decodeRepeat(p []byte) (a again, err error) {
	r, rest, err := wire.DecodeRecord(p)
	if err != nil {
		return a, err
	}
	if r.Kind != wire.RecordRepeat {
		return a, &wire.CorruptError{What: "batch", Expected: "a repeat", Found: fmt.Sprintf("a record of kind %d", r.Kind)}
	}
	a.position = r.Position
	for range r.Count {
		offset := len(p) - len(rest)
		var one wire.Record
		if one, rest, err = wire.DecodeRecord(rest); err != nil {
			return a, err
		}
		a.records = append(a.records, one)
		a.offsets = append(a.offsets, offset)
	}
	a.size = len(p) - len(rest)
	return a, nil
}

// add notes a record for the repeat of the batch that will follow.
func (r *repeat) add(record *wire.Record, raw []byte) {
	if record.Kind == wire.RecordFloor {
		return
	}
	r.count++
	entry, whole, carried := record.Held()
	if !entry || whole && record.Identity.Kind == raft.KindConfiguration {
		r.records = append(r.records, raw...)
		return
	}
	kind := wire.RecordIdentity
	if carried {
		kind = wire.RecordCarriedIdentity
	}
	r.records = wire.AppendIdentityRecord(r.records, kind, &record.Identity)
}

// rotten deals with a bad spot at p that is promised: what was there is lost from its first place.
// It returns where the next whole batch begins; 0: nowhere in this segment. That batch, or the
// next head, repeats the batch before it: identities without payload, hence holes. What is not
// repeated is unknown.
func (s *scan) rotten(x *scanned, p, limit uint64) (uint64, error) {
	q := p + 1
	for q < limit && s.batchAt(x, q) == 0 {
		q++
	}
	var a again
	var err error
	var home *scanned
	var base uint32 // address of the stream that repeats
	switch {
	case q < limit:
		n := s.batchAt(x, q)
		if a, err = decodeRepeat(s.stream(x, q, n)); err != nil {
			return 0, damage(x.number, uint32(q-x.seg.head), fmt.Errorf("%w: %w", ErrDamaged, err))
		}
		home, base = x, x.seg.address(q)
	default:
		q = 0
		if home = s.after(x); home != nil && home.head != nil {
			if a, err = decodeRepeat(home.head.Repeat); err != nil {
				return 0, damage(home.number, 0, fmt.Errorf("%w: %w", ErrDamaged, err))
			}
		}
	}
	end := q
	if q == 0 {
		end = limit
	}
	if a.position >= p && a.position < end {
		if a.position > p {
			s.lose(x, p, a.position)
		}
		s.note("%s: the batch at %d is rotten; what it held is known from its second place", fileName(x.number), a.position)
		for i := range a.records {
			at := place{}
			if r := &a.records[i]; r.Data != nil && q != 0 {
				at = place{home.seg.id, base + uint32(a.offsets[i]), uint32(r.Size)}
			}
			if err := s.state.record(&a.records[i], a.position, at); err != nil {
				return 0, damage(x.number, uint32(p-x.seg.head), fmt.Errorf("%w: %w", ErrDamaged, err))
			}
		}
	} else if q != 0 || home != nil {
		s.lose(x, p, end)
	}
	return q, nil
}

// after is the segment behind x in the chain; nil: x is the last.
func (s *scan) after(x *scanned) *scanned {
	for i := range s.chain[:len(s.chain)-1] {
		if s.chain[i] == x {
			return s.chain[i+1]
		}
	}
	return nil
}

// lose notes that batches from p to end are rotten in both places.
func (s *scan) lose(x *scanned, p, end uint64) {
	s.note("%s: batches from %d to %d are rotten, and nothing repeats them", fileName(x.number), p, end)
	s.state.unknown(end, Amnesiac, fmt.Sprintf("%s: batches at %d to %d are rotten in both places", fileName(x.number), p, end))
}

// lostTail is a promised batch at p of the last segment, with nothing whole behind it: its second
// place is gone too. The batch that would repeat it was never synced if it is torn: then no vote
// of it was acted on, and only the log's head is uncertain. Else two are rotten.
func (s *scan) lostTail(x *scanned, p uint64) error {
	next := uint64(0)
	for q := p + 1; q < x.seg.mirror && next == 0; q++ {
		if b, state := s.block(x, q); state == ours && b.Part == 0 {
			next = q
		}
	}
	condition := HeadUnknown
	if next > 0 && s.synced > next || s.sameBoot(x) && (next == 0 || !s.cutShort(x, next)) {
		condition = Amnesiac
	}
	s.note("%s: the batch at %d is rotten, and what repeats it is not whole", fileName(x.number), p)
	s.state.unknown(x.seg.mirror, condition, fmt.Sprintf("%s: the batch at %d is rotten, and nothing whole is behind it", fileName(x.number), p))
	x.seg.end, s.torn = p, true
	return nil
}

// sameBoot says whether the operating system still runs under which x was written.
func (s *scan) sameBoot(x *scanned) bool {
	return s.boot != "" && x.head != nil && x.head.Boot == s.boot
}

// finish is the end of the log at p: nothing promises what may have been there. After a power loss
// it is torn, whatever it looks like. Under the same boot id the page cache has survived, so only
// a write cut short may end here: else an acknowledged batch is rotten (W3).
func (s *scan) finish(x *scanned, p uint64, last bool) error {
	x.seg.end, s.torn = p, true
	if !last {
		s.note("%s: the log ends at %d, before the end that the next head names", fileName(x.number), p)
	}
	behind := s.anythingBehind(x, p)
	if s.sameBoot(s.newest) && !s.cutShort(x, p) {
		s.note("%s: the batch at %d was written under this boot and is rotten", fileName(x.number), p)
		s.state.unknown(x.seg.mirror, HeadUnknown, fmt.Sprintf("%s: an unpromised batch at %d is rotten", fileName(x.number), p))
	} else if behind {
		s.note("%s: a batch at %d was never synced and is cut", fileName(x.number), p)
	}
	return nil
}

// anythingBehind says whether the blocks from p on were touched in this life, as far as one sees.
func (s *scan) anythingBehind(x *scanned, p uint64) bool {
	for ; p < x.seg.mirror; p++ {
		if _, state := s.block(x, p); state == ours || state == foreign {
			return true
		}
	}
	return false
}

// cutShort says whether what lies at p is the beginning of one write, and behind it the blocks'
// former content, and nothing of this life after it: a killed process leaves that.
func (s *scan) cutShort(x *scanned, p uint64) bool {
	end := p
	first, state := s.block(x, p)
	if state == foreign || state == ours && (first.Part != 0 || p+uint64(first.Count) > x.seg.mirror) {
		return false
	}
	if state == ours {
		end = p + 1
		for ; end < p+uint64(first.Count); end++ {
			b, state := s.block(x, end)
			if state == foreign {
				return false
			}
			if state != ours {
				break
			}
			if b.Part != uint16(end-p) || b.Count != first.Count {
				return false
			}
		}
	}
	return !s.anythingBehind(x, end)
}
