package wal

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/raft"
)

// made counts the files that are filled with zeroes, and those that are only reserved.
func (s *script) made(f func()) (filled, reserved int) {
	s.d.hook = func(op, name string) fault {
		switch {
		case path.Dir(name) != "wal":
		case op == "allocate":
			filled++
		case op == "reserve":
			reserved++
		}
		return fault{}
	}
	defer func() { s.d.hook = nil }()
	f()
	return filled, reserved
}

// grow appends entries of size bytes until the log has so many segments.
func (s *script) grow(segments, size int) {
	s.t.Helper()
	for s.l.Stats().Segments < segments {
		s.mustSave(s.entry(1, strings.Repeat("x", size)))
		s.w.idle(time.Millisecond)
	}
}

func TestFilesAreFilledForShortBatchesAndReservedForLongOnes(t *testing.T) {
	for _, long := range []bool{false, true} {
		s := newScript(t)
		s.segment = 4 << 20
		s.mustOpen()
		s.w.idle(time.Second)
		size := longBatchBytes / 3
		if long {
			size = longBatchBytes
		}
		filled, reserved := s.made(func() { s.grow(4, size) })
		if long && filled > 0 || !long && reserved > 0 {
			t.Errorf("long batches %v: %d files filled, %d reserved", long, filled, reserved)
		}
		if err := s.restart(true); err != nil {
			t.Fatal(err)
		}
		s.whole()
	}
}

// TestShortBatchesGoOverFilledBlocks ends a load of long batches in a segment that is only reserved: each block of a short
// batch was written before it, and the pieces that are filled stop before the head's mirror.
func TestShortBatchesGoOverFilledBlocks(t *testing.T) {
	for seed := range uint64(2 + thorough(20)) {
		s := newScript(t)
		s.w = newWorld(s.d, seed)
		s.segment = 1 << 20
		s.mustOpen()
		s.w.idle(time.Second)
		s.grow(4, longBatchBytes)
		segments := s.l.Stats().Segments
		s.d.written = map[*inode]map[int64]int{}
		position := s.l.current().end
		for term := raft.Term(2); s.l.Stats().Segments == segments; term++ { // votes go up to the mirror
			s.mustSave(hardState(1, term, 1, false))
			if s.l.Stats().Segments > segments {
				break
			}
			c := s.l.current()
			for p := position; p < c.end; p++ {
				if n := s.d.written[s.d.files["wal/"+fileName(c.number)]][int64(p-c.head)]; n != 2 {
					t.Fatalf("block %d of %d was written %d times, want zeroes and a batch", p-c.head, c.blocks, n)
				}
			}
			position = c.end
		}
		if err := s.restart(seed%2 == 0); err != nil {
			t.Fatal(err)
		}
		s.whole()
		if len(s.rec.Notes) > 0 {
			t.Fatalf("notes %q", s.rec.Notes)
		}
	}
}

// TestReservedFilesAreKnownAfterARestart takes up a file that the life before had only reserved.
func TestReservedFilesAreKnownAfterARestart(t *testing.T) {
	s := newScript(t)
	s.segment = 1 << 20
	s.mustOpen()
	s.w.idle(time.Second)
	s.grow(3, longBatchBytes)
	s.w.idle(time.Second)
	if err := s.restart(false); err != nil {
		t.Fatal(err)
	}
	if c := s.l.current(); c.filled >= c.blocks-1 {
		t.Fatalf("%s counts as filled up to %d of %d", fileName(c.number), c.filled, c.blocks)
	}
	s.d.written = map[*inode]map[int64]int{}
	s.mustSave(s.entry(1, "short"))
	piece := 0
	for _, n := range s.d.written[s.d.files["wal/"+fileName(s.l.current().number)]] {
		piece += n
	}
	if piece < fillBytes/16/env.BlockSize {
		t.Fatalf("a short batch wrote %d blocks, want a piece of zeroes before it", piece)
	}
}
