package wal

import (
	"fmt"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
)

// A block that was never written costs the sync over it a change of the file system's metadata, which a
// short batch feels; zeroes written before its first use double what the disk has to take, which long
// batches feel. So a file is filled with zeroes while batches are short and nobody waits for it, and else
// only reserved. A short batch that meets reserved blocks has a piece of them filled first.

const (
	// longBatchBytes is from when on a batch goes over reserved blocks as they are.
	longBatchBytes = 128 << 10
	// fillBytes is such a piece: one short batch in so many waits for it that the slowest hundredth does not.
	fillBytes = 1 << 20
)

// long says whether the segment's batches so far were, on the whole.
func (s *segment) long() bool {
	return s.batches > 0 && (s.end-s.data)*wire.BlockSize/s.batches >= longBatchBytes
}

// fillsSpare says whether the next file is filled with zeroes. mu is held.
func (l *Log) fillsSpare() bool { return !l.rolling && l.wanted == 0 && !l.current().long() }

// fill writes zeroes over reserved blocks from those on that a short batch of so many blocks will take.
// Behind the end of the log nothing counts yet; the mirror of the head does.
func (l *Log) fill(s *segment, blocks int) error {
	from, end := s.head+uint64(s.filled), s.end+uint64(blocks)
	if end <= from || blocks*wire.BlockSize >= longBatchBytes {
		return nil
	}
	piece := max(min(fillBytes, l.o.SegmentBytes/16)/wire.BlockSize, 1)
	to := min(max(end, from+uint64(piece)), s.mirror)
	if n := int(to-from) * wire.BlockSize; len(l.zeroes) < n {
		l.zeroes = env.Aligned(n)
	}
	if err := l.timed(s, l.zeroes[:int(to-from)*wire.BlockSize], s.offset(from)); err != nil {
		return fmt.Errorf("fill %s from %d on: %w", fileName(s.number), s.offset(from), err)
	}
	s.filled = uint32(to - s.head)
	return nil
}
