package wal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/raft"
)

// each life of a log that starts again and again writes one of these.
var littles = []struct {
	name string
	save func(s *script, n int) []GroupSave
}{
	{"nothing", func(*script, int) []GroupSave { return nil }},
	{"a vote", func(_ *script, n int) []GroupSave { return []GroupSave{hardState(1, raft.Term(n+5), 1, true)} }},
	{"an empty entry", func(s *script, _ int) []GroupSave { return []GroupSave{s.empty(1)} }},
	{"a truncation", func(s *script, _ int) []GroupSave { return []GroupSave{s.again(1)} }},
	{"a compaction, and an empty entry", func(s *script, _ int) []GroupSave {
		return []GroupSave{s.base(2, s.last[2]), s.empty(2)}
	}},
	{"a beginning anew without entries", func(s *script, n int) []GroupSave {
		s.last[3] = raft.Identity{}
		return []GroupSave{{Group: 3, Birth: 9, Destroy: true}, hardState(3, raft.Term(n+5), 1, true)}
	}},
	{"a beginning anew", func(s *script, _ int) []GroupSave {
		s.last[3] = raft.Identity{}
		return []GroupSave{{Group: 3, Birth: 9, Destroy: true}, s.empty(3)}
	}},
}

// TestStartsTakeNoSpace starts a log that is full for clients, and one that is not, many times, with little
// written in each life: what remains of a life goes into the next one's head, so that neither the files
// nor the segments become more, and nothing is lost.
func TestStartsTakeNoSpace(t *testing.T) {
	for _, little := range littles {
		for _, full := range []bool{false, true} {
			t.Run(fmt.Sprint(little.name, ", full ", full), func(t *testing.T) {
				s := newScript(t)
				s.mustOpen()
				s.mustSave(s.empty(1), s.empty(2), s.empty(3))
				if full {
					s.fill(func() GroupSave { return s.entry(1, strings.Repeat("x", 3000)) })
				}
				segments := s.l.Stats().Segments
				for n := range max(20, thorough(60)) {
					if saves := little.save(s, n); saves != nil {
						s.mustSave(saves...)
					}
					if st := s.l.Stats(); st.Segments > segments+maxStale+1 || st.Bytes > s.l.o.MaxBytes {
						t.Fatalf("life %d: %d segments, %d at first; %d bytes of at most %d", n, st.Segments, segments, st.Bytes, s.l.o.MaxBytes)
					}
					if err := s.restart(n%2 == 0); err != nil {
						t.Fatalf("start %d: %v", n, err)
					}
					s.whole()
				}
				s.mustSave(s.base(1, s.last[1]))
				s.mustSave(s.entry(1, "again"))
			})
		}
	}
}

// whole compares what was recovered with what was saved last.
func (s *script) whole() {
	s.t.Helper()
	for id, last := range s.last {
		g := s.rec.Groups[id]
		if g == nil && last.Index == 0 {
			continue
		}
		if g == nil || g.Condition != Normal {
			s.t.Fatalf("group %d: %+v; notes %q", id, g, s.rec.Notes)
		}
		got := g.BaseIdentity
		if n := len(g.Entries); n > 0 {
			got = g.Entries[n-1].Identity
		}
		if got != last {
			s.t.Fatalf("group %d ends at %d of term %d, want %d of term %d; notes %q", id, got.Index, got.Term, last.Index, last.Term, s.rec.Notes)
		}
	}
}

// again replaces a group's last entry.
func (s *script) again(g raft.GroupID) GroupSave {
	r := s.rec.Groups[g]
	if r == nil {
		return s.empty(g)
	}
	before := r.BaseIdentity
	if n := len(r.Entries); n > 1 {
		before = r.Entries[n-2].Identity
	}
	e := makeEntry(g, 9, raft.KindEmpty, s.last[g].Term+1, before, nil)
	s.last[g] = e.Identity
	return GroupSave{Group: g, Birth: 9, Save: raft.Save{Entries: []raft.Entry{e}}}
}

// TestVotesNeverEndTheirRoom votes on a full log for longer than any segment holds.
func TestVotesNeverEndTheirRoom(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	n := s.fill(func() GroupSave { return s.entry(1, strings.Repeat("x", 3000)) })
	for term := range raft.Term(300) {
		s.mustSave(hardState(1, term+5, 1, true))
		if b := s.l.Stats().Bytes; b > s.l.o.MaxBytes {
			t.Fatalf("vote %d: %d bytes of at most %d", term, b, s.l.o.MaxBytes)
		}
	}
	if err := s.restart(true); err != nil {
		t.Fatal(err)
	}
	if g := s.rec.Groups[1]; len(g.Entries) != n || g.Hard.Term != 304 {
		t.Fatalf("recovered %d entries of %d, term %d", len(g.Entries), n, g.Hard.Term)
	}
	s.mustSave(s.base(1, s.last[1]))
	s.mustSave(s.entry(1, "again"))
}
