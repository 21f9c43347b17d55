package wal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/raft"
)

// TestLongEntryWhileLittleOfASegmentIsUsed needs the next segment before the preparer saw a reason
// to make the one behind it.
func TestLongEntryWhileLittleOfASegmentIsUsed(t *testing.T) {
	for used := range 8 {
		for blocks := 5; blocks < 40; blocks++ {
			if passOver(used + blocks) {
				continue
			}
			s := newScript(t)
			s.mustOpen()
			s.w.idle(time.Second)
			for range used {
				s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
			}
			s.mustSave(s.entry(1, strings.Repeat("y", blocks*4000)))
		}
	}
}

// TestReplicaComesBackUnderTheSameBirth removes a replica of a group and makes it anew, as a host
// that is removed from a group and added again does.
func TestReplicaComesBackUnderTheSameBirth(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.mustSave(s.entry(1, "old"), hardState(1, 4, 2, true))
	s.mustSave(GroupSave{Group: 1, Birth: 9, Destroy: true})
	s.last[1] = raft.Identity{}
	s.mustSave(s.entry(1, "new"), hardState(1, 2, 1, true))
	for range 2 {
		if err := s.restart(true); err != nil {
			t.Fatal(err)
		}
		g := s.rec.Groups[1]
		if g.Destroyed || len(g.Entries) != 1 || string(g.Entries[0].Data) != "new" || g.Hard != (raft.HardState{Term: 2, Vote: 1}) {
			t.Fatalf("recovered %+v", g)
		}
	}
}

// TestCarryingKeepsUp has a group that holds much and sleeps, beside one that writes and compacts:
// there is always space, so nothing may be refused.
func TestCarryingKeepsUp(t *testing.T) {
	for _, share := range []int64{20, 45} {
		s := newScript(t)
		s.mustOpen()
		hot := 0
		write := func() {
			s.mustSave(s.entry(1, strings.Repeat("x", 9000)))
			if hot++; hot%5 == 4 {
				s.mustSave(s.base(1, s.last[1]))
			}
		}
		for s.l.Stats().LiveBytes < s.l.o.MaxBytes*share/100 {
			s.mustSave(s.entry(2, strings.Repeat("c", 5000)))
			write() // so that the sleeper's entries are everywhere
		}
		for range 100 + thorough(300) {
			before := s.last[1]
			if err := s.save(s.entry(1, strings.Repeat("x", 9000))); err != nil {
				t.Fatalf("%d%% live: %v; %+v, %v", share, err, s.l.Stats(), before.Index)
			}
			if hot++; hot%5 == 4 {
				s.mustSave(s.base(1, s.last[1]))
			}
			if b := s.l.Stats().Bytes; b > s.l.o.MaxBytes {
				t.Fatalf("log has %d bytes", b)
			}
		}
	}
}

// TestRestartsOfAFullLogStayWithinMaxBytes restarts a log that nobody compacts, as a host does that
// crashes again and again: each life learns a term.
func TestRestartsOfAFullLogStayWithinMaxBytes(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	for {
		before := s.last[1]
		err := s.save(s.entry(1, strings.Repeat("x", 3000)))
		if errors.Is(err, ErrFull) {
			s.last[1] = before
			break
		}
	}
	for round := range 40 {
		if err := s.restart(round%2 == 0); err != nil {
			t.Fatal(err)
		}
		s.mustSave(hardState(1, raft.Term(round+5), 1, true))
		if b := s.l.Stats().Bytes; b > s.l.o.MaxBytes+s.l.o.SegmentBytes {
			t.Fatalf("restart %d: %d bytes of at most %d, %d segments", round, b, s.l.o.MaxBytes, s.l.Stats().Segments)
		}
	}
	s.mustSave(s.base(1, s.last[1]))
	s.mustSave(s.entry(1, "again"))
}

func TestMissingSegmentDoesNotBreakClose(t *testing.T) {
	s, _ := written(t, true)
	delete(s.d.files, "wal/00000003.wal")
	s.w = newWorld(s.d, 5)
	s.mustOpen()
	if err := s.l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOpenReadsEverySegmentOnce allows for the heads and the payloads that Open hands out.
func TestOpenReadsEverySegmentOnce(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	for range 150 {
		s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
	}
	s.w.kill()
	var size int64
	for _, f := range s.d.files {
		size += int64(len(f.seen))
	}
	s.w = newWorld(s.d, 3)
	s.d.read = 0
	o := s.options()
	o.LoadBytes = 1
	if _, _, err := Open(o); err != nil {
		t.Fatal(err)
	}
	if s.d.read > size*13/10 {
		t.Errorf("open read %d bytes of files that have %d", s.d.read, size)
	}
}

// A log that is full though little of its segment is used finds the space that comes back: nobody writes
// entries meanwhile, and one spare is there.
func TestFullLogLooksForSpaceThoughItsSegmentIsEmpty(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.mustSave(s.entry(1, strings.Repeat("x", int(s.l.o.SegmentBytes)*35/100)))
	s.w.idle(time.Second)
	s.d.free = 0
	before := s.last[1]
	long := strings.Repeat("x", int(s.l.o.SegmentBytes)*55/100)
	if err := s.save(s.entry(1, long)); !errors.Is(err, ErrFull) {
		t.Fatalf("a long entry without space for its segment: %v", err)
	}
	s.last[1] = before
	s.d.free = 4 << 20
	s.w.idle(5 * time.Second)
	if s.l.Full() {
		t.Fatalf("space is back for 5 s, and the log is still full: %+v", s.l.Stats())
	}
	s.mustSave(s.entry(1, long))
}
