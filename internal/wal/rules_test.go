package wal

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/raft"
)

// script is a short fixed run whose entries are known.
type script struct {
	t    *testing.T
	d    *disk
	w    *world
	l    *Log
	rec  *Recovered
	last map[raft.GroupID]raft.Identity

	segment int64 // bytes
}

func newScript(t *testing.T) *script {
	s := &script{t: t, d: newDisk(), last: map[raft.GroupID]raft.Identity{}, segment: 64 << 10}
	s.w = newWorld(s.d, 1)
	return s
}

func (s *script) options() Options {
	return Options{Env: s.w, Dir: "wal", SegmentBytes: s.segment, MaxBytes: 16 * s.segment, Host: 3, Cluster: [16]byte{7}}
}

func (s *script) open() error {
	var err error
	s.l, s.rec, err = Open(s.options())
	return err
}

func (s *script) mustOpen() {
	s.t.Helper()
	if err := s.open(); err != nil {
		s.t.Fatal(err)
	}
}

// restart kills the process and opens the log anew, after a power loss or not.
func (s *script) restart(power bool) error {
	s.w.kill()
	if power {
		s.d.powerLoss(s.w.rng)
	}
	s.w = newWorld(s.d, s.w.rng.Uint64())
	return s.open()
}

// entry is the next entry of group 'g', with the payload given.
func (s *script) entry(g raft.GroupID, data string) GroupSave {
	prev := s.last[g]
	e := makeEntry(g, 9, raft.KindCommands, 1, prev, []byte(data))
	s.last[g] = e.Identity
	return GroupSave{Group: g, Birth: 9, Save: raft.Save{Entries: []raft.Entry{e}}}
}

func hardState(g raft.GroupID, term raft.Term, vote raft.ReplicaID, two bool) GroupSave {
	return GroupSave{Group: g, Birth: 9, Save: raft.Save{Hard: raft.HardState{Term: term, Vote: vote}, HardSet: true, TwoBatch: two}}
}

func (s *script) base(g raft.GroupID, at raft.Identity) GroupSave {
	return GroupSave{Group: g, Birth: 9, Save: raft.Save{Base: &raft.SnapshotMeta{Identity: at, Sum: at.Digest(), Configuration: testConfiguration(1)}}}
}

// save appends and waits for the answer, without moving the clock.
func (s *script) save(saves ...GroupSave) error {
	s.t.Helper()
	answered := false
	var got error
	s.l.Append(saves, func(err error) { answered, got = true, err })
	s.w.settle()
	if !answered {
		s.t.Fatal("append is not answered")
	}
	return got
}

func (s *script) mustSave(saves ...GroupSave) {
	s.t.Helper()
	if err := s.save(saves...); err != nil {
		s.t.Fatal(err)
	}
}

func TestThreeGroupsInOneAppendMakeOneSync(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.w.idle(time.Second)
	before := s.d.syncs
	s.mustSave(s.entry(1, "a"), s.entry(2, "b"), s.entry(3, "c"))
	if n := s.d.syncs - before; n != 1 {
		t.Fatalf("three groups in one append made %d syncs", n)
	}
}

func TestAppendsDuringASyncShareTheNext(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.w.idle(time.Second)
	before, answered := s.d.syncs, 0
	s.l.Append([]GroupSave{s.entry(1, "a")}, func(error) {
		answered++
		for g := range raft.GroupID(10) {
			s.l.Append([]GroupSave{s.entry(g+2, "b")}, func(error) { answered++ })
		}
	})
	s.w.settle()
	if n := s.d.syncs - before; n != 2 || answered != 11 {
		t.Fatalf("%d syncs, %d answers; want 2 and 11", n, answered)
	}
}

func TestTwoBatchSaveIsDoneAfterItsSecondSync(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.w.idle(time.Second)
	before, at := s.d.syncs, 0
	s.l.Append([]GroupSave{hardState(1, 2, 1, true), s.entry(2, "x")}, func(error) { at = s.d.syncs - before })
	s.w.settle()
	if at != 2 {
		t.Fatalf("a vote was reported after %d syncs, want 2", at)
	}
	s.mustSave(hardState(1, 3, 0, false))
	if n := s.d.syncs - before; n != 3 {
		t.Fatalf("a learned term took %d syncs, want 1", n-2)
	}
}

func TestPromiseFollowsOnceWhenNothingIsQueued(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.w.idle(time.Second)
	before := s.d.syncs
	s.mustSave(s.entry(1, "a"))
	s.w.idle(time.Hour)
	if n := s.d.syncs - before; n != 2 {
		t.Fatalf("one append and an hour of silence made %d syncs, want 2", n)
	}
}

func TestWrittenBlocksAreNeverWrittenAgain(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.w.idle(time.Second)
	s.d.written = map[*inode]map[int64]int{}
	for s.l.Stats().Segments < 4 {
		s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
	}
	for f, blocks := range s.d.written {
		for b, n := range blocks {
			if n > 1 && !slices.Equal(f.seen, f.safe) {
				t.Errorf("block %d was written %d times", b, n)
			}
			if n > 2 { // once by the preparation, once by a batch
				t.Errorf("block %d was written %d times", b, n)
			}
		}
	}
}

// TestStaleFramesAreNotAcceptedBug59 recycles segments within one life and over several, and cuts the
// newest one so that former content lies where its next batch would.
func TestStaleFramesAreNotAcceptedBug59(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	files := 0
	for round := range 400 {
		s.mustSave(s.entry(1, strings.Repeat("x", 2500)))
		if round%10 == 9 {
			s.mustSave(s.base(1, s.last[1]))
		}
		if round%37 == 36 {
			if err := s.restart(round%2 == 0); err != nil {
				t.Fatal(err)
			}
			g := s.rec.Groups[1]
			if g.Condition != Normal || g.BaseIdentity.Index+raft.Index(len(g.Entries)) != s.last[1].Index {
				t.Fatalf("round %d: %v, base %d, %d entries, want through %d", round, g.Condition, g.BaseIdentity.Index, len(g.Entries), s.last[1].Index)
			}
		}
		files = len(s.d.files)
	}
	if files > 8 {
		t.Fatalf("%d files for a log that is always compacted: nothing is recycled", files)
	}
}

func TestTornBatchOfTheSameFileIsNotAcceptedBug58(t *testing.T) {
	for cut := range 4 {
		s := newScript(t)
		s.mustOpen()
		s.mustSave(s.entry(1, "kept"))
		s.w.idle(time.Second)
		s.d.hook = func(op, _ string) fault { return fault{kill: op == "write", short: cut * 4096} }
		s.l.Append([]GroupSave{s.entry(1, strings.Repeat("y", 14000))}, func(error) { t.Error("acknowledged") })
		s.w.settle()
		if !s.w.dead {
			t.Fatal("not killed")
		}
		if err := s.restart(false); err != nil {
			t.Fatal(err)
		}
		g := s.rec.Groups[1]
		if g.Condition != Normal || len(g.Entries) != 1 {
			t.Fatalf("a write cut after %d blocks: %v (%s), %d entries", cut, g.Condition, g.Why, len(g.Entries))
		}
		s.last[1] = g.Entries[0].Identity
		s.mustSave(s.entry(1, "other"))
		if err := s.restart(true); err != nil {
			t.Fatal(err)
		}
		if g := s.rec.Groups[1]; len(g.Entries) != 2 || string(g.Entries[1].Data) != "other" {
			t.Fatalf("after a cut of %d blocks the second entry is not the later one: %+v", cut, g.Entries)
		}
	}
}

func TestFailedSyncLatchesBug60(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		s := newScript(t)
		s.mustOpen()
		s.w.idle(time.Second)
		s.mustSave(s.entry(1, "a"))
		s.w.idle(time.Second)
		failed := false // once: the next one would succeed, and say nothing about the bytes of this one
		s.d.hook = func(o, _ string) fault {
			if o == op && !failed {
				failed = true
				return fault{err: syscall.EIO}
			}
			return fault{}
		}
		lost := s.last[1]
		if err := s.save(s.entry(1, "b")); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s fails: %v", op, err)
		}
		s.d.hook = nil
		if err := s.save(hardState(1, 9, 0, false)); !errors.Is(err, ErrFailed) {
			t.Fatalf("after a failed %s: %v", op, err)
		}
		if !s.l.Stats().Failed {
			t.Fatal("stats do not say failed")
		}
		if err := s.restart(false); err != nil {
			t.Fatal(err)
		}
		if g := s.rec.Groups[1]; len(g.Entries) != 1 || g.Entries[0].Sum != lost.Digest() {
			t.Fatalf("what a failed %s left visible is taken for durable: %d entries", op, len(g.Entries))
		}
	}
}

// TestEveryOperationFailing fails the k-th write, create, sync, remove or sync of the directory of
// a short run, for every k: what was acknowledged is there after the next open.
func TestEveryOperationFailing(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for _, odd := range []int{0, 1} {
			for k := 1; ; k++ {
				power := k%2 == odd
				if cause == syscall.ENOSPC && power || passOver(k) {
					continue
				}
				s := newSession(t, 77)
				hit := false
				s.d.hook = func(string, string) fault {
					if s.d.ops != k {
						return fault{}
					}
					hit = true
					return fault{err: cause, short: 4096}
				}
				if s.open() {
					for range 30 {
						s.submit()
						s.w.settle()
						if s.failed {
							break
						}
					}
				}
				s.restart(power)
				if !s.open() {
					t.Fatalf("operation %d failing: second open failed", k)
				}
				if !hit {
					break
				}
			}
		}
	}
}

func TestPowerLossKeepsWhatWasAcknowledgedBug28(t *testing.T) {
	for seed := range thorough(60) {
		s := newSession(t, uint64(1000+seed))
		if !s.open() {
			t.Fatal("open")
		}
		for range 30 {
			s.submit()
			if s.load.rng.IntN(2) == 0 {
				s.w.settle()
			}
		}
		for range s.load.rng.IntN(3) {
			s.w.step()
		}
		s.restart(true)
		if !s.open() {
			t.Fatal("open")
		}
	}
}

func TestNoSpaceRefusesEntriesAndClearsByItself(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.w.idle(time.Second)
	s.d.free = 0
	var err error
	saved := 0
	for err == nil {
		before := s.last[1]
		if err = s.save(s.entry(1, strings.Repeat("x", 3000))); err != nil {
			s.last[1] = before
			break
		}
		if saved++; saved > 1000 {
			t.Fatal("never full")
		}
	}
	if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) || !s.l.Stats().Full {
		t.Fatalf("full log: %v, stats %+v", err, s.l.Stats())
	}
	for term := range raft.Term(10) {
		s.mustSave(hardState(1, term+2, 1, term%2 == 0))
	}
	s.mustSave(s.base(2, makeEntry(2, 9, raft.KindCommands, 1, raft.Identity{Index: 4, Kind: 1}, []byte("z")).Identity))
	s.d.free = 4 << 20
	s.w.idle(5 * time.Second)
	if s.l.Stats().Full {
		t.Fatal("space is back for 5 s, and the log is still full")
	}
	s.mustSave(s.entry(1, "again"))
	if err := s.restart(true); err != nil {
		t.Fatal(err)
	}
	if g := s.rec.Groups[1]; g.Condition != Normal || len(g.Entries) != saved+1 || g.Hard.Term != 11 {
		t.Fatalf("recovered %v, %d entries of %d, term %d", g.Condition, len(g.Entries), saved+1, g.Hard.Term)
	}
}

func TestFullByMaxBytesClearsByCompaction(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	var err error
	for err == nil {
		before := s.last[1]
		if err = s.save(s.entry(1, strings.Repeat("x", 3000))); err != nil {
			s.last[1] = before
		}
		if b := s.l.Stats().Bytes; b > 1<<20 {
			t.Fatalf("log has %d bytes", b)
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	s.mustSave(s.base(1, s.last[1]))
	s.mustSave(s.entry(1, "again"))
	s.w.idle(time.Second)
	if st := s.l.Stats(); st.Full || st.Bytes > 1<<20 {
		t.Fatalf("after a compaction: %+v", st)
	}
}

// TestColdGroupNeverPinsTheLog keeps MaxBytes though group 2 sleeps on three entries forever.
func TestColdGroupNeverPinsTheLog(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	var cold []raft.Entry
	for _, data := range []string{"one", "two", strings.Repeat("three", 900)} {
		save := s.entry(2, data)
		cold = append(cold, save.Save.Entries...)
		s.mustSave(save)
	}
	s.mustSave(hardState(2, 4, 2, true))
	for round := range 1500 {
		s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
		if round%20 == 19 {
			s.mustSave(s.base(1, s.last[1]))
		}
		if b := s.l.Stats().Bytes; b > 1<<20 {
			t.Fatalf("round %d: log has %d bytes", round, b)
		}
	}
	if s.l.Stats().Carried == 0 {
		t.Fatal("nothing was carried forward")
	}
	check := func() {
		t.Helper()
		want := slices.Clone(cold)
		for i := range want {
			want[i].Data = nil
		}
		if err := s.l.Read(2, want); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if string(want[i].Data) != string(cold[i].Data) {
				t.Fatalf("payload of entry %d differs", want[i].Index)
			}
		}
	}
	check()
	if err := s.restart(true); err != nil {
		t.Fatal(err)
	}
	if g := s.rec.Groups[2]; g.Condition != Normal || len(g.Entries) != 3 || g.Hard != (raft.HardState{Term: 4, Vote: 2}) {
		t.Fatalf("cold group: %+v", g)
	}
	check()
}

func TestRestartsDoNotPileUp(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	for round := range 60 {
		s.mustSave(s.entry(1, "a"))
		s.w.idle(time.Second)
		if err := s.restart(round%2 == 0); err != nil {
			t.Fatal(err)
		}
		if b := s.l.Stats().Bytes; b > 1<<20 {
			t.Fatalf("restart %d: log has %d bytes", round, b)
		}
	}
	if g := s.rec.Groups[1]; len(g.Entries) != 60 || g.Condition != Normal {
		t.Fatalf("%d entries, %v", len(g.Entries), g.Condition)
	}
}

func TestEntryLongerThanASegment(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	long := strings.Repeat("long", 60<<10)
	s.mustSave(s.entry(1, "a"))
	s.mustSave(s.entry(1, long))
	s.mustSave(s.entry(1, "b"))
	if err := s.restart(true); err != nil {
		t.Fatal(err)
	}
	if g := s.rec.Groups[1]; len(g.Entries) != 3 || string(g.Entries[1].Data) != long {
		t.Fatalf("%d entries", len(g.Entries))
	}
}

func TestGapIsRefusedBug55(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.entry(1, "lost")
	if err := s.save(s.entry(1, "second")); !errors.Is(err, ErrGap) {
		t.Fatal(err)
	}
}

func TestForeignSegmentIsRefused(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.w.kill()
	s.w = newWorld(s.d, 2)
	o := s.options()
	o.Host = 4
	if _, _, err := Open(o); !errors.Is(err, ErrForeign) {
		t.Fatal(err)
	}
}

func TestCloseSavesWhatIsQueued(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	saved := 0
	for range 20 {
		s.l.Append([]GroupSave{s.entry(1, "a")}, func(err error) {
			if err == nil {
				saved++
			}
		})
	}
	if err := s.l.Close(); err != nil || saved != 20 {
		t.Fatalf("close: %v, %d of 20 saved", err, saved)
	}
	var late error
	s.l.Append([]GroupSave{s.entry(1, "late")}, func(err error) { late = err })
	s.w.settle()
	if !errors.Is(late, ErrClosed) {
		t.Fatalf("append after close: %v", late)
	}
	if err := s.restart(true); err != nil || len(s.rec.Groups[1].Entries) != 20 || len(s.rec.Notes) != 0 {
		t.Fatalf("reopen: %v, %q", err, s.rec.Notes)
	}
}

func TestReadOfAnEntryThatIsNotHeld(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	save := s.entry(1, "a")
	want := slices.Clone(save.Save.Entries)
	want[0].Data = nil
	if err := s.l.Read(1, want); !errors.Is(err, ErrNotHeld) {
		t.Fatalf("before the append: %v", err)
	}
	s.mustSave(save)
	want[0].Sum++
	if err := s.l.Read(1, want); !errors.Is(err, ErrNotHeld) {
		t.Fatalf("another entry of this index: %v", err)
	}
}
