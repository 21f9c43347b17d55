package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// roll goes on in another segment with room for need blocks. Its head names what remains of the
// chain: the dead segments in front are free once it is durable, not before (W8). The wait for
// that sync is also why every batch promises its own head. ErrFull: there is no segment.
func (l *Log) roll(need int, entries bool) error {
	rest, again := l.remainsIfTight(), l.repeat
	if rest.of != nil {
		again = rest.of.again
	}
	l.seal(false, 0, &again, &rest)
	next, err := l.spare(need, entries)
	if err != nil {
		return err
	}
	l.mu.Lock()
	dead := l.dead()
	keep := l.chain[dead:]
	position := l.current().head + uint64(l.current().blocks)
	if rest.of != nil {
		keep = keep[:len(keep)-1]
	}
	l.seal(false, next.blocks, &again, &rest, keep...)
	l.mu.Unlock()
	s, err := l.begin(next, position)
	if err != nil {
		return err
	}
	s.again = again.clone()
	l.mu.Lock()
	l.settleIn(s, &rest, l.batch.Len())
	for _, d := range l.chain[:dead] {
		l.release(d.file)
	}
	if rest.of != nil {
		l.release(rest.of.file)
	}
	l.chain[len(l.chain)-1].again = repeat{}
	l.chain = append(append([]*segment(nil), keep...), s)
	l.mu.Unlock()
	l.repeat = repeat{position: position, records: l.repeat.records[:0]}
	l.promised = rest.of == nil // what remains is not left to a head that nothing promises
	l.prepare.Wake()
	return nil
}

// seal builds the head of the next segment, of so many blocks, in the batch; named are the
// segments before it, again is the last batch of those, rest what it holds of another instead.
func (l *Log) seal(opening bool, blocks uint32, again *repeat, rest *remains, named ...*segment) {
	h := wire.SegmentHead{Cluster: l.o.Cluster, Host: l.o.Host, Boot: l.boot, Blocks: blocks, Opening: opening}
	for _, s := range named {
		h.Before = append(h.Before, wire.SegmentBefore{
			File: s.number, Life: s.life, Position: s.head, Data: s.data, End: s.end, Blocks: s.blocks,
		})
	}
	for _, id := range sortedGroups(l.groups) {
		h.Groups = append(h.Groups, headOf(l.groups[id]))
	}
	h.Repeat = wire.AppendRepeatRecord(nil, again.position, again.count)
	h.Repeat = append(h.Repeat, again.records...)
	h.Repeat = append(h.Repeat, rest.records...)
	before := len(h.Repeat)
	for _, id := range sortedGroups(l.groups) {
		h.Repeat = l.groups[id].appendFloor(h.Repeat)
	}
	rest.behind = len(h.Repeat) - before
	l.batch.Reset()
	l.scratch = wire.AppendSegmentHead(l.scratch[:0], &h)
	l.batch.Write(l.scratch)
}

// begin writes the sealed head, first at the front, then at the back of f, each synced.
func (l *Log) begin(f file, position uint64) (*segment, error) {
	n := uint64(l.batch.Blocks())
	s := &segment{file: f, life: l.life, head: position, data: position + n, end: position + n, mirror: position + uint64(f.blocks) - n}
	if s.mirror < s.data {
		return nil, fmt.Errorf("write head of %d blocks to %s of %d: %w", n, fileName(f.number), f.blocks, ErrFull)
	}
	buf := l.batch.Seal(wire.BlockHead, l.life, position, position)
	if err := l.writeSync(s, buf, 0); err != nil {
		return nil, fmt.Errorf("write head of %s: %w", fileName(f.number), err)
	}
	buf = l.batch.Seal(wire.BlockMirror, l.life, s.mirror, position)
	if err := l.writeSync(s, buf, s.offset(s.mirror)); err != nil {
		return nil, fmt.Errorf("write mirror of %s: %w", fileName(f.number), err)
	}
	s.filled = max(s.filled, uint32(n))
	l.ids++
	s.id = l.ids
	return s, nil
}

// dead is how many segments at the front of the chain no group needs any more.
func (l *Log) dead() int {
	n := 0
	for n < len(l.chain)-1 && l.chain[n].live == 0 {
		n++
	}
	return n
}

// spare waits for a prepared file that a segment with room for need blocks fits into, and takes
// it. Entries go into the next segment only if yet another one can follow: else no compaction
// could ever free anything. ErrFull: there is none and none can be made now.
func (l *Log) spare(need int, entries bool) (file, error) {
	blocks := 2*uint32(l.batch.Blocks()) + uint32(need) + 2
	if entries {
		blocks += blocks/7 + 1
	}
	for {
		f, err := l.trySpare(blocks, entries)
		if err != errWait {
			l.prepare.Wake() // what is taken, or lacks, is made
			return f, err
		}
		l.prepare.Wake()
		l.park(0)
	}
}

var errWait = errors.New("segment is being prepared")

func (l *Log) trySpare(blocks uint32, entries bool) (file, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fit := -1
	for i := range l.spares {
		if l.spares[i].blocks >= blocks {
			fit = i
		}
	}
	l.wanted, l.rolling = 0, false
	if fit < 0 && blocks > l.segmentBlocks() {
		l.wanted = blocks
	}
	least := 1 // stays for what needs no longer one
	if l.carry.rolls {
		least = 0
	}
	for l.wanted > 0 && !l.mayGrow() && len(l.spares) > least { // make way for the longer one
		l.trash, l.spares = append(l.trash, l.spares[0]), l.spares[1:]
	}
	if entries && !l.admits(blocks) {
		return file{}, l.refuse()
	}
	if fit >= 0 && (!entries || len(l.spares) > 1 || l.dead() > 0) {
		f := l.spares[fit]
		l.spares = append(l.spares[:fit:fit], l.spares[fit+1:]...)
		return f, nil
	}
	if l.trouble == nil && !l.closing && l.mayGrow() {
		l.rolling = true
		return file{}, errWait
	}
	return file{}, l.refuse()
}

// refuse notes that there is no segment, and says why.
func (l *Log) refuse() error {
	if !l.full {
		l.full = true
		l.o.Logger.Warn("log is full", slog.Int64("bytes", l.total), slog.Int64("max", l.o.MaxBytes), slog.Any("err", l.trouble))
	}
	if l.trouble != nil {
		return &FullError{Cause: l.trouble}
	}
	return &FullError{Cause: fmt.Errorf("log holds %d of at most %d bytes", l.total, l.o.MaxBytes)}
}

// FullError is ErrFull with its cause.
type FullError struct{ Cause error }

// Error implements error.
func (e *FullError) Error() string { return ErrFull.Error() + ": " + e.Cause.Error() }

// Is makes it an ErrFull.
func (e *FullError) Is(target error) bool { return target == ErrFull }

// Unwrap returns what the disk said.
func (e *FullError) Unwrap() error { return e.Cause }

func sortedGroups(groups map[raft.GroupID]*group) []raft.GroupID {
	ids := make([]raft.GroupID, 0, len(groups))
	for id := range groups {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
