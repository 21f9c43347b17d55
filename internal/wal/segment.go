package wal

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
)

const suffix = ".wal"

// fileName is the name of the segment file of that number, without its directory.
func fileName(number uint64) string { return fmt.Sprintf("%08d", number) + suffix }

func fileNumber(name string) (number uint64, ok bool) {
	digits, found := strings.CutSuffix(name, suffix)
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, found && err == nil && number > 0 && fileName(number) == name
}

// file is one segment file, whether it is in use or prepared.
type file struct {
	number uint64
	f      env.File
	blocks uint32
	dirty  bool   // holds blocks that are neither zero nor whole: not for reuse (W4)
	filled uint32 // so many blocks from the first on were written before; others may be reserved only
}

func (f *file) bytes() int64 { return int64(f.blocks) * wire.BlockSize }

// segment is a file in the chain. Positions count blocks over all lives: the block at position p
// is number p-head of the file.
type segment struct {
	file
	id     uint32 // of this open, ascending along the chain
	life   uint64
	head   uint64 // position
	data   uint64 // of the first batch
	end    uint64 // behind the last batch
	mirror uint64 // of the head's mirror: batches end below it

	batches uint64

	bare      bool  // found without log: every later head repeats all that it holds
	live      int   // entries that are in some group's log
	liveBytes int64 // of their records
	stuck     bool  // rot in it keeps it from being carried forward

	// again is what its head repeats: the last batch of the segment before, of which that is the second
	// place until a batch follows. Only the newest one's is kept.
	again repeat
}

func (s *segment) offset(position uint64) int64 { return int64(position-s.head) * wire.BlockSize }

// place says where an entry's record lies: in which segment (0: nowhere, the payload is rotten),
// and at which byte of the bodies of its blocks, counted from the segment's first.
type place struct {
	segment uint32
	at      uint32
	size    uint32
}

// address is the byte of the bodies at which the block at position begins.
func (s *segment) address(position uint64) uint32 {
	return uint32(position-s.head) * wire.BlockBodySize
}

// read returns size bytes of bodies from at on, each block verified. They hold at most twice
// their memory: what is read is kept, and most entries are far shorter than the block in which they lie.
func (s *segment) read(at, size uint32) ([]byte, error) {
	var room []byte
	out, err := s.readInto(&room, at, size)
	if cap(room) > 2*len(out) {
		out = bytes.Clone(out)
	}
	return out, err
}

// readInto is read into memory that the caller uses again, and that grows if need be.
func (s *segment) readInto(room *[]byte, at, size uint32) ([]byte, error) {
	first := at / wire.BlockBodySize
	last := (at + max(size, 1) - 1) / wire.BlockBodySize
	*room = slices.Grow((*room)[:0], int(last-first+1)*wire.BlockSize)
	raw := (*room)[:int(last-first+1)*wire.BlockSize]
	if _, err := s.f.ReadAt(raw, int64(first)*wire.BlockSize); err != nil {
		return nil, fmt.Errorf("read segment %s at block %d: %w", fileName(s.number), first, err)
	}
	out := raw[:0] // bodies move down over the headers before them
	for n := first; n <= last; n++ {
		start := int(n-first) * wire.BlockSize
		b, err := wire.DecodeBlock(raw[start:])
		if err == nil && (b.Life != s.life || b.Position != s.head+uint64(n)) {
			err = &wire.CorruptError{
				What: "block's life and position", Offset: 16,
				Expected: fmt.Sprintf("%#x, %d", s.life, s.head+uint64(n)),
				Found:    fmt.Sprintf("%#x, %d", b.Life, b.Position),
			}
		}
		if err != nil {
			return nil, s.corrupt(n, err)
		}
		out = append(out, b.Body...)
	}
	skip := int(at % wire.BlockBodySize)
	if len(out) < skip+int(size) {
		return nil, s.corrupt(last, &wire.CorruptError{
			What: "record", Offset: skip, Expected: fmt.Sprintf("%d bytes", size), Found: fmt.Sprintf("%d bytes", len(out)-skip),
		})
	}
	return out[skip : skip+int(size) : skip+int(size)], nil
}

// corrupt names the file of what a decoder found at block n.
func (s *segment) corrupt(n uint32, err error) error {
	return damage(s.number, n, err)
}

func damage(number uint64, n uint32, err error) error {
	if c, ok := err.(*wire.CorruptError); ok {
		e := *c
		e.What = fileName(number) + ": " + e.What
		e.Offset += int(n) * wire.BlockSize
		return &e
	}
	return fmt.Errorf("%s, block %d: %w", fileName(number), n, err)
}
