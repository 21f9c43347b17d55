package wal

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/raft"
)

// Full, the log takes empty entries, so that a new leader can commit, and not so many that votes find
// no room any more.
func TestEmptyEntriesLeaveVotesTheirPart(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.w.idle(time.Second)
	s.d.free = 0
	saved := s.fill(func() GroupSave { return s.entry(1, strings.Repeat("x", 3000)) })
	empty := s.fill(func() GroupSave { return s.empty(1) })
	if empty < 3 {
		t.Fatalf("a full log has taken %d empty entries", empty)
	}
	saved += empty
	for term := range raft.Term(3) {
		s.mustSave(hardState(1, term+2, 1, term%2 == 0))
	}
	s.d.free = 1 << 20 // a start takes a segment
	if err := s.restart(true); err != nil {
		t.Fatal(err)
	}
	if g := s.rec.Groups[1]; g.Condition != Normal || len(g.Entries) != saved || g.Hard.Term != 4 {
		t.Fatalf("recovered %v, %d entries of %d, term %d", g.Condition, len(g.Entries), saved, g.Hard.Term)
	}
}

// TestFullLogIsCarriedOnFromAFullSegment compacts a full log whose every segment holds a little of a group
// that sleeps. The newest one has no room to carry that, and nobody writes: it clears by itself.
func TestFullLogIsCarriedOnFromAFullSegment(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.fill(func() GroupSave {
		s.mustSave(s.empty(2))
		return s.entry(1, strings.Repeat("x", 3000))
	})
	for term := raft.Term(2); s.l.room(claimState) != 2; term++ {
		s.mustSave(hardState(2, term, 1, false))
	}
	s.mustSave(s.base(1, s.last[1]))
	s.w.idle(10 * time.Second)
	if s.l.Full() {
		t.Fatalf("still full: %+v", s.l.Stats())
	}
	s.mustSave(s.entry(1, "again"))
}

// TestFullLogIsCarriedOnWithLongEntries compacts a full log of which a third stays: entries of a group that sleeps, some
// as long as a segment or longer. No segment that is left below MaxBytes holds what lives in the oldest one.
func TestFullLogIsCarriedOnWithLongEntries(t *testing.T) {
	for _, size := range []int{15_000, 20_000, 28_000, 32_000, 45_000, 62_000, 100_000, 200_000} {
		for _, beside := range []bool{false, true} {
			t.Run(fmt.Sprint(size, " bytes, two beside each other ", beside), func(t *testing.T) {
				s := newScript(t)
				s.mustOpen()
				long := 0
				s.fill(func() GroupSave {
					if st := s.l.Stats(); int64(long) < st.Bytes/3 && long < int(s.l.o.MaxBytes/3) {
						for n := 0; n == 0 || beside && n < 2; n++ {
							before := s.last[2]
							if err := s.save(s.entry(2, strings.Repeat("l", size))); err != nil {
								s.last[2] = before
							} else {
								long += size
							}
						}
					}
					return s.entry(1, strings.Repeat("x", 3000))
				})
				for term := raft.Term(2); s.l.room(claimState) > 2; term++ {
					s.mustSave(hardState(2, term, 1, false))
				}
				s.mustSave(s.base(1, s.last[1]))
				s.w.idle(30 * time.Second)
				if s.l.Full() {
					dumpChain(t, s.l)
					t.Fatalf("still full: %+v", s.l.Stats())
				}
				s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
				if b := s.l.Stats().Bytes; b > s.l.o.MaxBytes+2*max(s.l.o.SegmentBytes, 2*int64(size)) {
					t.Errorf("log has %d bytes of at most %d", b, s.l.o.MaxBytes)
				}
				before := s.l.Stats().Carried
				s.w.idle(30 * time.Second)
				if n := s.l.Stats().Carried - before; n > 100 {
					t.Errorf("%d entries are carried while nothing happens", n)
				}
				if err := s.restart(true); err != nil {
					t.Fatal(err)
				}
				s.whole()
			})
		}
	}
}

func dumpChain(t *testing.T, l *Log) {
	for _, s := range l.chain {
		t.Logf("segment %d of %d blocks, %d used: %d live, %d bytes", s.id, s.blocks, s.end-s.head, s.live, s.liveBytes)
	}
	t.Logf("spares %d, wanted %d, %+v", len(l.spares), l.wanted, l.carry)
}

// TestCarryingRollsBehindADeadSegment has a full log whose newest segment has no room to carry into, with
// none or one in front that is dead already: no entry comes that would lead to another one.
func TestCarryingRollsBehindADeadSegment(t *testing.T) {
	for _, dead := range []bool{false, true} {
		l := &Log{o: Options{SegmentBytes: 64 << 10, MaxBytes: 256 << 10}, full: true, spares: []file{{blocks: 16}}}
		for id := range uint32(4) {
			l.chain = append(l.chain, &segment{file: file{blocks: 16}, id: id + 1, data: 1, end: 15, mirror: 15, live: 1, liveBytes: 68})
		}
		if dead {
			l.chain[0].live, l.chain[0].liveBytes = 0, 0
		}
		if l.carryDue() {
			t.Fatalf("dead %v: it carries into a segment without room", dead)
		}
		if want := l.chain[l.dead()].id; l.carry.segment != want || !l.carryRolls() {
			t.Errorf("dead %v: %+v is carried, want segment %d; rolls %v", dead, l.carry, want, l.carryRolls())
		}
	}
}

// TestCarryingGoesOnInFrontOfADeadSegment has an earlier round, of a shorter chain, that has freed nothing: what is
// dead behind the oldest segment would be free with it.
func TestCarryingGoesOnInFrontOfADeadSegment(t *testing.T) {
	for _, dead := range []bool{false, true} {
		l := &Log{o: Options{SegmentBytes: 64 << 10, MaxBytes: 256 << 10}, full: true, spares: []file{{blocks: 16}}, live: 4 * 68}
		l.carry.round = carryRound{newest: 0, chain: 2 * 16 * 4096, live: 3 * 68}
		for id := range uint32(4) {
			l.chain = append(l.chain, &segment{file: file{blocks: 16}, id: id + 1, data: 1, end: 15, mirror: 15, live: 1, liveBytes: 68})
		}
		if dead {
			l.chain[1].live, l.chain[1].liveBytes = 0, 0
		}
		if l.carryDue(); l.carryRolls() != dead {
			t.Errorf("the segment behind the oldest is dead %v: rolls %v", dead, l.carryRolls())
		}
	}
}

// fill saves until the log is full, and says how many saves it took.
func (s *script) fill(next func() GroupSave) (n int) {
	for ; n < 1000; n++ {
		before := s.last[1]
		if err := s.save(next()); err != nil {
			if !errors.Is(err, ErrFull) {
				s.t.Fatal(err)
			}
			s.last[1] = before
			return n
		}
	}
	s.t.Fatal("never full")
	return n
}

// empty is the next entry of a group, an empty one.
func (s *script) empty(g raft.GroupID) GroupSave {
	e := makeEntry(g, 9, raft.KindEmpty, 1, s.last[g], nil)
	s.last[g] = e.Identity
	return GroupSave{Group: g, Birth: 9, Save: raft.Save{Entries: []raft.Entry{e}}}
}
