package wal

import (
	"slices"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// rotten opens a copy of the disk with a byte of one block flipped.
func (s *script) rotten(name string, block int) *Recovered {
	s.t.Helper()
	d := s.d.clone()
	d.flip(name, block*env.BlockSize+977)
	w := newWorld(d, 5)
	o := s.options()
	o.Env = w
	_, rec, err := Open(o)
	if err != nil {
		s.t.Fatalf("%s, block %d: %v", name, block, err)
	}
	w.kill()
	return rec
}

// lives starts the log again and again; each life but the last one writes the saves given.
func (s *script) lives(each ...func() []GroupSave) {
	s.t.Helper()
	for n, saves := range each {
		if err := s.restart(n%2 == 0); err != nil {
			s.t.Fatal(err)
		}
		if list := saves(); list != nil {
			s.mustSave(list...)
		}
	}
	if err := s.restart(true); err != nil {
		s.t.Fatal(err)
	}
}

// TestLeftOutHeadPassesItsRepeatOn ends a life with a batch that the next head repeats, and leaves that
// head out, once and several times: whatever block of the first life is rotten, its entry is a hole.
func TestLeftOutHeadPassesItsRepeatOn(t *testing.T) {
	entry := func(s *script) func() []GroupSave {
		return func() []GroupSave { return []GroupSave{s.entry(2, "little")} }
	}
	vote := func(*script) func() []GroupSave {
		return func() []GroupSave { return []GroupSave{hardState(2, 7, 1, true)} }
	}
	for name, each := range map[string][]func(*script) func() []GroupSave{
		"what remains": {entry}, "what remains, often": {entry, entry, entry}, "a vote": {vote}, "a vote, often": {vote, vote},
		"a vote and what remains": {vote, entry}, "what remains and a vote": {entry, vote},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			s.mustOpen()
			for range 3 {
				s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
			}
			var saves []func() []GroupSave
			for _, one := range each {
				saves = append(saves, one(s))
			}
			s.lives(saves...)
			s.whole()
			if n := s.l.Stats().Segments; n != 2 {
				t.Fatalf("%d segments, want the first and the newest", n)
			}
			s.w.kill()
			for block := 1; block <= 3; block++ {
				g := s.rotten("wal/00000001.wal", block).Groups[1]
				if g.Condition != Holes || len(g.Entries) != 3 || !slices.Equal(g.Holes, []raft.Index{raft.Index(block)}) {
					t.Errorf("block %d: %v (%s), %d entries, holes %v", block, g.Condition, g.Why, len(g.Entries), g.Holes)
				}
			}
		})
	}
}

// TestTightRollPassesItsRepeatOn has votes take turns between two segments, behind one that is full. The
// first of them begins in the same life, or in the next.
func TestTightRollPassesItsRepeatOn(t *testing.T) {
	for _, start := range []bool{false, true} {
		s := newScript(t)
		s.mustOpen()
		s.fill(func() GroupSave { return s.entry(1, strings.Repeat("x", 3000)) })
		if start {
			if err := s.restart(true); err != nil {
				t.Fatal(err)
			}
			s.mustSave(hardState(1, 4, 1, false))
		}
		n := len(s.l.chain)
		first, again := s.l.current(), s.l.current().again.clone()
		for term, rolls := raft.Term(5), 0; rolls < 3; term++ {
			s.mustSave(hardState(1, term, 1, false))
			if s.l.current() == first {
				continue
			}
			first = s.l.current()
			if rolls++; rolls == 1 && !start {
				again = first.again.clone()
			}
		}
		if len(s.l.chain) > n+1 || again.count == 0 {
			t.Fatalf("start %v: %d segments, %d at first; the first head repeats %d records", start, len(s.l.chain), n, again.count)
		}
		got := first.again
		if got.position != again.position || got.count != again.count || !slices.Equal(got.records, again.records) {
			t.Errorf("start %v: the newest head repeats %d records of %d, the first one behind the full segment %d of %d",
				start, got.count, got.position, again.count, again.position)
		}
	}
}

// TestLifeThatOnlyVotedStaysBetweenOthers: the head of a segment without log is the second place of the
// batch before it, also where a segment with log follows.
func TestLifeThatOnlyVotedStaysBetweenOthers(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	for range 3 {
		s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
	}
	if err := s.restart(true); err != nil {
		t.Fatal(err)
	}
	for term, first := raft.Term(5), s.l.current(); s.l.current() == first; term++ {
		s.mustSave(hardState(1, term, 1, true))
	}
	s.mustSave(s.entry(2, strings.Repeat("y", 3000)))
	if err := s.restart(true); err != nil {
		t.Fatal(err)
	}
	s.w.kill()
	for block := 1; block <= 3; block++ {
		g := s.rotten("wal/00000001.wal", block).Groups[1]
		if g.Condition != Holes || len(g.Entries) != 3 || !slices.Equal(g.Holes, []raft.Index{raft.Index(block)}) {
			t.Errorf("block %d: %v (%s), %d entries, holes %v", block, g.Condition, g.Why, len(g.Entries), g.Holes)
		}
	}
}

// TestDestroyedReplicaStaysWithoutEntries begins a replica anew without entries. Both places of the batch
// that says so are rotten: the newest head says that it has none.
func TestDestroyedReplicaStaysWithoutEntries(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
	s.mustSave(s.entry(3, strings.Repeat("old", 1000)))
	s.mustSave(GroupSave{Group: 3, Birth: 9, Destroy: true}, hardState(3, 5, 1, false))
	delete(s.last, 3)
	s.mustSave(s.entry(2, "behind it"))
	s.lives(func() []GroupSave { return nil })
	s.w.kill()
	s.d.flip("wal/00000001.wal", 3*env.BlockSize+977)
	s.d.flip("wal/00000001.wal", 4*env.BlockSize+977)
	s.w = newWorld(s.d, 5)
	s.mustOpen()
	if g := s.rec.Groups[3]; len(g.Entries) != 0 || g.Hard != (raft.HardState{Term: 5, Vote: 1}) {
		t.Fatalf("%v, %d entries, %+v", g.Condition, len(g.Entries), g.Hard)
	}
}

// TestRemainsAreReadFromTheMirror rots the first copy of a head that holds what remains of another
// segment. The next head restates it, in two copies.
func TestRemainsAreReadFromTheMirror(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
	s.lives(func() []GroupSave { return []GroupSave{s.entry(2, "little")} })
	name := fileName(s.l.current().number)
	s.mustSave(s.entry(3, strings.Repeat("y", 3000)))
	s.w.kill()
	s.d.flip("wal/"+name, 977)
	for start := range 3 {
		s.w = newWorld(s.d, 7)
		s.mustOpen()
		s.whole()
		g := s.rec.Groups[2]
		want := g.Entries[:1]
		if want[0].Data = nil; s.l.Read(2, want) != nil || string(want[0].Data) != "little" {
			t.Fatalf("start %d: read %q, %v; notes %q", start, want[0].Data, s.l.Read(2, want), s.rec.Notes)
		}
		if start > 0 && len(s.rec.Notes) > 0 {
			t.Errorf("start %d still relies on one copy: %q", start, s.rec.Notes)
		}
		s.w.kill()
	}
}

// TestHeadWithRemainsIsPromised: what remains of a life is not left to a head whose loss nothing tells of.
func TestHeadWithRemainsIsPromised(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
	s.lives(func() []GroupSave { return []GroupSave{s.entry(2, "little")} })
	c := s.l.current()
	if err := s.l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := wire.DecodeBlock(s.d.files["wal/"+fileName(c.number)].seen[c.offset(c.data):][:env.BlockSize])
	if err != nil || b.Synced <= c.head {
		t.Fatalf("no batch promises the head at %d: %+v, %v", c.head, b, err)
	}
}
