package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// twin is the naive log: what every group holds after each request, kept whole.
type twin map[raft.GroupID]twinGroup

type twinGroup struct {
	birth     raft.Birth
	destroyed bool
	hard      raft.HardState
	base      raft.Identity
	entries   []raft.Entry // never changed in place
	floor     raft.Index
}

func (g *twinGroup) last() raft.Identity {
	if n := len(g.entries); n > 0 {
		return g.entries[n-1].Identity
	}
	return g.base
}

// apply returns the twin after saves; the receiver stays as it was.
func (t twin) apply(saves []GroupSave) twin {
	next := twin{}
	for id, g := range t {
		next[id] = g
	}
	for i := range saves {
		s := &saves[i]
		g := next[s.Group]
		if g.birth != s.Birth || g.destroyed {
			g = twinGroup{birth: s.Birth}
		}
		if s.Destroy {
			next[s.Group] = twinGroup{birth: s.Birth, destroyed: true}
			continue
		}
		if b := s.Save.Base; b != nil {
			if s.Save.Replaces || b.Index() >= g.last().Index {
				g.entries = nil
			} else {
				g.entries = g.entries[b.Index()-g.base.Index:]
			}
			if s.Save.Replaces {
				g.floor = 0
			}
			g.base = b.Identity
		}
		if e := s.Save.Entries; len(e) > 0 {
			g.entries = append(slices.Clone(g.entries[:e[0].Index-g.base.Index-1]), e...)
		}
		g.floor = max(g.floor, s.Save.Commit)
		if s.Save.HardSet {
			g.hard = s.Save.Hard
		}
		next[s.Group] = g
	}
	return next
}

// differs says how what was recovered differs from the twin; empty: not at all.
func (t twin) differs(rec *Recovered) string {
	if len(t) != len(rec.Groups) {
		return fmt.Sprintf("%d groups, %d recovered", len(t), len(rec.Groups))
	}
	for id, g := range t {
		r := rec.Groups[id]
		if r == nil {
			return fmt.Sprintf("group %d is missing", id)
		}
		if why := g.differs(r); why != "" {
			return fmt.Sprintf("group %d: %s", id, why)
		}
	}
	return ""
}

func (g *twinGroup) differs(r *GroupState) string {
	hard := g.hard
	if t := g.last().Term; hard.Term < t {
		hard = raft.HardState{Term: t}
	}
	switch {
	case r.Birth != g.birth || r.Destroyed != g.destroyed:
		return fmt.Sprintf("birth %d, destroyed %v; recovered %d, %v", g.birth, g.destroyed, r.Birth, r.Destroyed)
	case g.destroyed:
		return ""
	case r.Condition != Normal:
		return fmt.Sprintf("condition %v: %s", r.Condition, r.Why)
	case r.Hard != hard:
		return fmt.Sprintf("hard state %v, recovered %v", hard, r.Hard)
	case max(r.Commit, g.base.Index) != max(g.floor, g.base.Index):
		return fmt.Sprintf("floor %d, recovered %d", g.floor, r.Commit)
	case r.BaseIdentity != g.base:
		return fmt.Sprintf("base %v, recovered %v", g.base.Index, r.BaseIdentity.Index)
	case len(r.Entries) != len(g.entries):
		return fmt.Sprintf("%d entries behind %d, recovered %d", len(g.entries), g.base.Index, len(r.Entries))
	}
	for i := range g.entries {
		if g.entries[i].Sum != r.Entries[i].Sum {
			return fmt.Sprintf("entry %d differs", g.entries[i].Index)
		}
		if d := r.Entries[i].Data; d != nil && string(d) != string(g.entries[i].Data) {
			return fmt.Sprintf("payload of entry %d differs", g.entries[i].Index)
		}
	}
	return ""
}

// load is a source of saves that a raft core could ask for.
type load struct {
	rng   *rand.Rand
	state twin // after everything made so far
	max   int  // of a payload
	seq   uint64
}

func makeEntry(g raft.GroupID, birth raft.Birth, kind raft.Kind, term raft.Term, prev raft.Identity, data []byte) raft.Entry {
	e := raft.Entry{Identity: raft.Identity{
		Group: g, Birth: birth, Kind: kind, Term: term, Index: prev.Index + 1,
		Time: raft.Time(prev.Time) + 5, Length: uint32(len(data)), Payload: wire.PayloadDigest(data),
	}, Data: data}
	if prev.Kind != 0 {
		e.Prev = prev.Digest()
	}
	e.Sum = e.Identity.Digest()
	return e
}

func (l *load) bytes(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(l.rng.Uint32())
	}
	return p
}

func (l *load) data() []byte {
	switch l.rng.IntN(10) {
	case 0:
		return l.bytes(l.rng.IntN(l.max))
	case 1:
		return nil
	}
	return l.bytes(l.rng.IntN(200))
}

func testConfiguration(index raft.Index) raft.Configuration {
	return raft.Configuration{
		Index: index, NextReplica: 4, Voters: []raft.Member{{Replica: 1, Host: 1, Incarnation: 11}, {Replica: 2, Host: 2, Incarnation: 12}, {Replica: 3, Host: 3, Incarnation: 13}},
		Settings: raft.Settings{Machine: "counter", Version: 1},
	}
}

// append adds n entries of term behind the entry before.
func (l *load) append(s *GroupSave, prev raft.Identity, term raft.Term, n int) {
	for range n {
		kind, data := raft.KindCommands, l.data()
		if len(data) == 0 {
			kind = raft.KindEmpty
		} else if l.rng.IntN(12) == 0 {
			c := testConfiguration(prev.Index + 1)
			kind, data = raft.KindConfiguration, wire.AppendConfiguration(nil, &c)
		}
		e := makeEntry(s.Group, s.Birth, kind, term, prev, data)
		s.Save.Entries = append(s.Save.Entries, e)
		prev = e.Identity
	}
}

// save makes the next request: one to three groups.
func (l *load) save() []GroupSave {
	var saves []GroupSave
	for _, id := range l.rng.Perm(5)[:1+l.rng.IntN(3)] {
		saves = append(saves, l.group(raft.GroupID(id+1)))
	}
	l.state = l.state.apply(saves)
	return saves
}

func (l *load) group(id raft.GroupID) GroupSave {
	l.seq++
	g := l.state[id]
	if g.birth == 0 || g.destroyed {
		birth := raft.Birth(l.seq) + 1000
		if g.destroyed && l.rng.IntN(2) == 0 {
			birth = g.birth // a replica that is added again
		}
		g = twinGroup{birth: birth}
	}
	s := GroupSave{Group: id, Birth: g.birth, Save: raft.Save{Seq: l.seq}}
	if n := int(g.last().Index - max(g.floor, g.base.Index)); l.rng.IntN(2) == 0 {
		s.Save.Commit = g.last().Index - raft.Index(l.rng.IntN(n+1))
	}
	first := int(max(g.floor, s.Save.Commit, g.base.Index+1) - g.base.Index) // of g.entries, that may be replaced
	term := max(g.hard.Term, g.last().Term, 1)
	switch k := l.rng.IntN(40); {
	case k == 0:
		s.Destroy = true
	case k == 1: // a snapshot replaces the log
		id := makeEntry(s.Group, s.Birth, raft.KindCommands, term, raft.Identity{Index: g.last().Index + 5, Kind: raft.KindEmpty}, []byte("x")).Identity
		s.Save.Base = &raft.SnapshotMeta{Identity: id, Sum: id.Digest(), Configuration: testConfiguration(1)}
		s.Save.Replaces = true
	case k < 7 && len(g.entries) > 3: // compaction
		at := g.entries[l.rng.IntN(len(g.entries))].Identity
		s.Save.Base = &raft.SnapshotMeta{Identity: at, Sum: at.Digest(), Configuration: testConfiguration(1)}
	case k < 12: // a vote
		s.Save.Hard, s.Save.HardSet, s.Save.TwoBatch = raft.HardState{Term: term + 1, Vote: 2}, true, true
	case k < 14:
		s.Save.Hard, s.Save.HardSet = raft.HardState{Term: term + 1}, true
	case k < 18 && len(g.entries) > first: // a new leader's entries replace the end
		cut := first - 1 + l.rng.IntN(len(g.entries)-first)
		s.Save.Hard, s.Save.HardSet = raft.HardState{Term: term + 1}, true
		l.append(&s, g.entries[cut].Identity, term+1, 1+l.rng.IntN(3))
	default:
		l.append(&s, g.last(), term, 1+l.rng.IntN(3))
	}
	return s
}

// session drives one log against the twin, over any number of lives.
type session struct {
	t      *testing.T
	d      *disk
	w      *world
	l      *Log
	o      Options
	load   *load
	states []twin // after 0, 1, 2 ... requests that were submitted since the last open
	acked  int    // of them reported durable
	failed bool
}

func newSession(t *testing.T, seed uint64) *session {
	s := &session{t: t, d: newDisk(), o: Options{Dir: "wal", SegmentBytes: 64 << 10, MaxBytes: 1 << 20, Host: 3, Cluster: [16]byte{7}}}
	s.load = &load{rng: rand.New(rand.NewPCG(seed, 2)), state: twin{}, max: 9000}
	s.states = []twin{{}}
	s.w = newWorld(s.d, seed)
	return s
}

// open opens the log and finds which of the submitted requests are there: a prefix that has all
// acknowledged ones.
func (s *session) open() bool {
	s.t.Helper()
	s.o.Env = s.w
	var rec *Recovered
	var err error
	if !s.w.alive(func() { s.l, rec, err = Open(s.o) }) || err != nil {
		s.failed = err != nil
		return false
	}
	s.match(rec)
	return true
}

func (s *session) match(rec *Recovered) {
	s.t.Helper()
	why := ""
	for n := len(s.states) - 1; n >= s.acked; n-- {
		if why = s.states[n].differs(rec); why == "" {
			s.load.state = s.states[n]
			s.states, s.acked = []twin{s.states[n]}, 0
			s.readAll(rec)
			return
		}
	}
	dump(s.t, s.d)
	s.t.Fatalf("none of the %d states from the %d acknowledged on was recovered; the last compared: %s\nnotes: %q", len(s.states), s.acked, why, rec.Notes)
}

func (s *session) readAll(rec *Recovered) {
	for id, g := range rec.Groups {
		want := slices.Clone(g.Entries)
		for i := range want {
			want[i].Data = nil
		}
		if err := s.l.Read(id, want); err != nil {
			s.t.Fatalf("read back: %v", err)
		}
		for i := range want {
			if string(want[i].Data) != string(s.load.state[id].entries[i].Data) {
				s.t.Fatalf("group %d: payload of entry %d differs", id, want[i].Index)
			}
		}
	}
}

// submit appends one request.
func (s *session) submit() {
	saves := s.load.save()
	n := len(s.states)
	s.states = append(s.states, s.load.state)
	s.l.Append(saves, func(err error) {
		switch {
		case err == nil:
			if s.acked != n-1 {
				s.t.Fatalf("request %d is reported behind request %d", n, s.acked)
			}
			s.acked = n
		case errors.Is(err, ErrFailed) || errors.Is(err, ErrClosed) || errors.Is(err, ErrFull):
			s.failed = true
		default:
			s.t.Fatalf("append: %v", err)
		}
	})
}

// restart starts another process on what the old one left.
func (s *session) restart(power bool) {
	s.w.kill()
	if power {
		s.d.powerLoss(s.load.rng)
	}
	s.w = newWorld(s.d, s.load.rng.Uint64())
	s.failed = false
}

// TestRandomCrashesAgainstTwinBug54 kills and cuts power at random operations; what is recovered is
// always what some prefix of the requests left, with all acknowledged ones.
func TestRandomCrashesAgainstTwinBug54(t *testing.T) {
	seeds := thorough(100)
	for seed := range seeds {
		s := newSession(t, uint64(seed))
		rng := s.load.rng
		for range 6 {
			if rng.IntN(2) == 0 {
				at := 1 + rng.IntN(120)
				s.d.ops = 0
				s.d.hook = func(op, _ string) fault {
					return fault{kill: s.d.ops == at, short: rng.IntN(5) * 4096}
				}
			}
			if s.open() {
				for range rng.IntN(60) {
					if s.w.dead || s.failed {
						break
					}
					s.submit()
					switch rng.IntN(4) {
					case 0:
						s.w.settle()
					case 1:
						s.w.idle(promiseDelay * 2)
					}
				}
			} else if s.failed {
				t.Fatalf("seed %d: open: failed", seed)
			}
			s.restart(rng.IntN(2) == 0)
		}
		if !s.open() {
			t.Fatalf("seed %d: last open failed", seed)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
