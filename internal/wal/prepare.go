package wal

import (
	"fmt"
	"log/slog"
	"path"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
)

const (
	// retryAfter is when a failed preparation is tried again.
	retryAfter = time.Second
	// maxSpares is how many freed files are kept for reuse; more are removed, for the disk's sake.
	maxSpares = 4
)

func (l *Log) segmentBlocks() uint32 { return uint32(l.o.SegmentBytes / wire.BlockSize) }

// mayGrow says whether MaxBytes admits another file. Dead segments without any spare may pass it
// by one: they are freed by the very segment that is made. So may what is carried, of which the oldest
// one is freed in turn.
func (l *Log) mayGrow() bool {
	size := int64(max(l.segmentBlocks(), l.wanted)) * wire.BlockSize
	return l.kept()+size <= l.o.MaxBytes || len(l.spares) == 0 && (l.dead() > 0 || l.carryWaits())
}

// allotment is how many segments below MaxBytes entries leave to what makes the log shorter: the segment
// that each start begins, votes, hard states, compactions, empty entries, and what is carried forward.
const allotment = 2

// admits says whether entries may go into another segment of so many blocks. Longer ones than usual
// leave less to the rest.
func (l *Log) admits(blocks uint32) bool {
	n := int64(max(l.segmentBlocks(), blocks)) * wire.BlockSize
	for _, s := range l.chain[l.dead():] {
		n += s.bytes()
	}
	return n <= l.o.MaxBytes-allotment*l.o.SegmentBytes
}

// over says whether the chain has taken of what entries leave alone.
func (l *Log) over() bool {
	var n int64
	for _, s := range l.chain[l.dead():] {
		n += s.bytes()
	}
	return n > l.o.MaxBytes-allotment*l.o.SegmentBytes
}

// smallBytes is how much a segment may hold that makes way for the next one: little, unless a chain of
// so many segments has taken of what entries leave alone.
func (l *Log) smallBytes(segments int) int64 {
	if int64(segments)*l.o.SegmentBytes > l.o.MaxBytes-allotment*l.o.SegmentBytes {
		return l.o.SegmentBytes / 8
	}
	return l.o.SegmentBytes / 64
}

// remainsIfTight is remainsOf where space is what lacks: while there is enough, nothing is copied.
func (l *Log) remainsIfTight() (r remains) {
	l.mu.Lock()
	tight := l.full || l.over()
	l.mu.Unlock()
	if tight {
		r = l.remainsOf(l.o.SegmentBytes / 8)
	}
	return r
}

// kept is the bytes of all files but those that are about to be removed: the preparer does that
// before it makes any.
func (l *Log) kept() int64 {
	n := l.total
	for i := range l.trash {
		n -= l.trash[i].bytes()
	}
	return n
}

// prepares is the preparer's task: it makes files before they are needed, and removes those that are
// too many.
func (l *Log) prepares() {
	for {
		what, f := l.chore()
		switch what {
		case choreEnd:
			l.end()
			return
		case choreRemove:
			l.remove(f)
		case choreMake:
			l.makeSpare()
			l.wake.Wake()
		case choreRetry:
			_ = l.prepare.Wait(nil, l.retryAt)
		case choreNone:
			_ = l.prepare.Wait(nil, 0)
		}
	}
}

type chore uint8

const (
	choreNone chore = iota
	choreEnd
	choreRemove
	choreMake
	choreRetry
)

// chore picks what the preparer does next.
func (l *Log) chore() (chore, file) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing && l.tasks < 2 {
		return choreEnd, file{}
	}
	if n := len(l.trash); n > 0 {
		f := l.trash[n-1]
		l.trash = l.trash[:n-1]
		return choreRemove, f
	}
	target := 1
	if s := l.current(); (l.rolling || l.full || s.end-s.head > uint64(s.blocks)/2) && l.dead() == 0 {
		target = 2
	}
	short := len(l.spares) < target || l.wanted > 0
	switch {
	case !short || l.failed != nil || l.closing && l.wanted == 0:
		return choreNone, file{}
	case l.trouble != nil && l.now() < l.retryAt:
		return choreRetry, file{}
	case !l.mayGrow():
		return choreNone, file{}
	}
	return choreMake, file{}
}

// makeSpare creates one spare file.
func (l *Log) makeSpare() {
	l.mu.Lock()
	l.number++
	f := file{number: l.number, blocks: max(l.segmentBlocks(), l.wanted)}
	fill := l.fillsSpare()
	l.mu.Unlock()
	err := l.create(&f, fill)
	l.mu.Lock()
	l.trouble = err
	l.retryAt = l.now() + retryAfter
	if err == nil {
		l.spares = append(l.spares, f)
		l.total += f.bytes()
		if f.blocks >= l.wanted {
			l.wanted = 0
		}
	}
	l.mu.Unlock()
	if err != nil {
		l.o.Logger.Warn("segment cannot be prepared", slog.Any("err", err))
		return
	}
	l.forgive()
}

// create makes the file durable; zeroes are read from every block, whether they were written or not.
// What is left of a failed attempt is removed, as it holds space that others need.
func (l *Log) create(f *file, fill bool) (err error) {
	fs := l.o.Env.FS()
	name := path.Join(l.o.Dir, fileName(f.number))
	mode := env.Read | env.Write | env.Create
	if l.o.Direct {
		mode |= env.Direct
	}
	if f.f, err = fs.Open(name, mode); err == nil {
		if fill {
			err, f.filled = f.f.Allocate(f.bytes()), f.blocks
		} else {
			err, f.filled = f.f.Reserve(f.bytes()), 0
		}
		if err == nil {
			err = f.f.Sync()
		}
		if err == nil {
			err = fs.SyncDir(l.o.Dir)
		}
		if err == nil {
			return nil
		}
		_ = f.f.Close()
		_ = fs.Remove(name) // or the next open does it
	}
	return fmt.Errorf("prepare segment %s: %w", fileName(f.number), err)
}

// release takes a file that nothing names any more: for reuse, or to be removed.
func (l *Log) release(f file) {
	over := len(l.spares) > 0 && l.kept() > l.o.MaxBytes
	if f.dirty || f.blocks != l.segmentBlocks() || len(l.spares) >= maxSpares || over {
		l.trash = append(l.trash, f)
		return
	}
	l.spares = append(l.spares, f)
	l.full = l.full && !l.admits(0)
}

func (l *Log) remove(f file) {
	if f.f != nil {
		_ = f.f.Close()
	}
	name := path.Join(l.o.Dir, fileName(f.number))
	if err := l.o.Env.FS().Remove(name); err != nil {
		// It stays until the next open: its head is older than any that counts.
		l.o.Logger.Warn("segment cannot be removed", slog.String("file", name), slog.Any("err", err))
		return
	}
	l.mu.Lock()
	l.total -= f.bytes()
	l.trouble = nil // its space may be what was lacking
	l.full = l.full && !l.admits(0)
	l.mu.Unlock()
}
