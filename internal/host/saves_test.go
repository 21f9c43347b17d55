package host

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lockstep-rsm/lockstep/raft"
)

func entriesSave(seq uint64, term raft.Term, first, last raft.Index) raft.Save {
	s := raft.Save{Seq: seq}
	for i := first; i <= last; i++ {
		s.Entries = append(s.Entries, raft.Entry{Identity: raft.Identity{Term: term, Index: i}})
	}
	return s
}

func hardSave(seq uint64, term raft.Term, vote raft.ReplicaID) raft.Save {
	return raft.Save{Seq: seq, Hard: raft.HardState{Term: term, Vote: vote}, HardSet: true, TwoBatch: vote != 0}
}

func baseSave(seq uint64, index raft.Index, replaces bool) raft.Save {
	return raft.Save{Seq: seq, Base: &raft.SnapshotMeta{Identity: raft.Identity{Index: index}}, Replaces: replaces}
}

// handed lists the saves that go now, as the log will be asked for them.
func handed(q *saveQueue) string {
	var out []string
	q.next(func(s raft.Save) {
		t := fmt.Sprint(s.Seq)
		if s.HardSet {
			t += fmt.Sprintf("h%d", s.Hard.Term)
		}
		if s.TwoBatch {
			t += "!"
		}
		out = append(out, t)
	})
	return strings.Join(out, " ")
}

func wantHanded(t *testing.T, q *saveQueue, want string) {
	t.Helper()
	if got := handed(q); got != want {
		t.Fatalf("handed %q, want %q", got, want)
	}
}

func wantThrough(t *testing.T, q *saveQueue, seq, want uint64) {
	t.Helper()
	if _, through := q.done(seq); through != want {
		t.Fatalf("save %d done: durable through %d, want %d", seq, through, want)
	}
}

func TestSavesThatExtendTheLogAreInFlightTogether(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(entriesSave(1, 5, 10, 12), nil, 9)
	q.add(entriesSave(2, 5, 13, 13), nil, 9)
	wantHanded(t, q, "1 2")
	wantThrough(t, q, 1, 1)
	wantThrough(t, q, 2, 2)
}

// Two saves are in flight and the disk refuses the first: the second is refused with it (a gap),
// and a third that came between the two refusals goes last.
func TestRefusedSavesGoAgainInOrder(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(entriesSave(1, 5, 10, 12), nil, 9)
	q.add(entriesSave(2, 5, 13, 13), nil, 9)
	wantHanded(t, q, "1 2")
	q.refuse(1, false)
	q.add(entriesSave(3, 5, 14, 14), nil, 9)
	wantHanded(t, q, "")
	q.refuse(2, false)
	wantHanded(t, q, "")
	q.retry()
	wantHanded(t, q, "1 2 3")
}

// A refused save of a former leader must not come after the truncation that replaced it: the log
// would lose entries that were acknowledged.
func TestTruncationWaitsForWhatItReplaces(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(entriesSave(1, 5, 10, 12), nil, 9)
	wantHanded(t, q, "1")
	q.add(entriesSave(2, 6, 10, 10), nil, 9)
	q.add(entriesSave(3, 6, 11, 11), nil, 9)
	wantHanded(t, q, "")
	q.refuse(1, false)
	wantHanded(t, q, "")
	q.retry()
	wantHanded(t, q, "1")
	wantThrough(t, q, 1, 1)
	wantHanded(t, q, "2")
	// Were 2 refused, 3 would continue what 2 was to replace.
	wantHanded(t, q, "")
	wantThrough(t, q, 2, 2)
	wantHanded(t, q, "3")
}

func TestTermsPassWhatWaitsAndAreNeverFollowedByOlderOnes(t *testing.T) {
	q := &saveQueue{last: 9}
	s := entriesSave(1, 5, 10, 10)
	s.Hard, s.HardSet, s.TwoBatch = raft.HardState{Term: 5, Vote: 2}, true, true
	q.add(s, []raft.Message{{Type: raft.MsgVoteReply}}, 9)
	wantHanded(t, q, "1h5!")
	q.add(hardSave(2, 6, 0), nil, 9) // while 1 is in flight
	wantHanded(t, q, "2h6!")         // 1 may be refused, and the vote with it
	q.refuse(1, false)
	wantHanded(t, q, "")
	wantThrough(t, q, 2, 0) // InSaved speaks for 1 too
	q.retry()
	wantHanded(t, q, "1h6!") // not the older term
	after, through := q.done(1)
	if through != 2 || len(after) != 1 {
		t.Fatalf("durable through %d, want 2; %d messages, want 1", through, len(after))
	}
}

func TestCompactionPassesWhatWaitsForSpace(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(entriesSave(1, 5, 10, 12), nil, 9)
	wantHanded(t, q, "1")
	q.refuse(1, false)
	q.add(baseSave(2, 8, false), nil, 9)
	wantHanded(t, q, "2")
	if !q.blocked() {
		t.Fatal("entries wait, and nothing says so")
	}
}

func TestSnapshotThatReplacesTheLogGoesAlone(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(entriesSave(1, 5, 10, 12), nil, 9)
	wantHanded(t, q, "1")
	q.add(baseSave(2, 100, true), nil, 9)
	q.add(entriesSave(3, 6, 101, 101), nil, 9)
	wantHanded(t, q, "")
	wantThrough(t, q, 1, 1)
	wantHanded(t, q, "2")
	wantThrough(t, q, 2, 2)
	wantHanded(t, q, "3")
	wantThrough(t, q, 3, 3)
	if q.blocked() {
		t.Fatal("nothing waits")
	}
}

func TestVotesWithoutRoomWaitForRetry(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(hardSave(1, 6, 0), nil, 9)
	wantHanded(t, q, "1h6")
	q.refuse(1, false) // in a batch with another group's entries: again at once
	wantHanded(t, q, "1h6")
	q.refuse(1, true) // on its own: again at once would spin
	wantHanded(t, q, "")
	if !q.blocked() {
		t.Fatal("a term waits, and nothing says so")
	}
	q.retry()
	wantHanded(t, q, "1h6")
}

// diskModel is a log that refuses at random, as internal/wal does: entries without space, and
// entries that leave a gap; it does not notice a continuation of what should have been replaced.
type diskModel struct {
	base raft.Index
	log  []raft.Term // of the entries behind base
	hard raft.HardState
}

func (d *diskModel) last() raft.Index { return d.base + raft.Index(len(d.log)) }

func (d *diskModel) write(s *raft.Save, full bool) bool {
	if len(s.Entries) > 0 && (full || s.Entries[0].Index > d.last()+1 || s.Entries[0].Index <= d.base) {
		return false
	}
	if b := s.Base; b != nil {
		switch i := b.Index(); {
		case s.Replaces || i > d.last():
			d.base, d.log = i, nil
		case i > d.base:
			d.base, d.log = i, d.log[i-d.base:]
		}
	}
	for _, e := range s.Entries {
		d.log = append(d.log[:e.Index-d.base-1:e.Index-d.base-1], e.Term)
	}
	if s.HardSet {
		d.hard = s.Hard
	}
	return true
}

// Whatever is refused whenever, what is reported as durable is what raft asked for.
func TestDiskHoldsWhatIsReportedUnderAnyRefusals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q saveQueue
		var disk, want diskModel
		states := map[uint64]diskModel{}
		var flying []raft.Save
		var seq, reported uint64
		var term raft.Term = 1
		saved := func() raft.Index { at := states[reported]; return min(at.last(), want.last()) }
		pump := func() { q.next(func(s raft.Save) { flying = append(flying, s) }) }
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0, 1: // extend
				seq++
				s := entriesSave(seq, term, want.last()+1, want.last()+raft.Index(rapid.IntRange(1, 3).Draw(t, "n")))
				want.write(&s, false)
				q.add(s, nil, saved())
			case 2: // a new term, perhaps with a truncation
				term++
				seq++
				s := hardSave(seq, term, raft.ReplicaID(rapid.IntRange(0, 1).Draw(t, "vote")))
				if rapid.Bool().Draw(t, "truncate") && len(want.log) > 0 {
					first := want.last() - raft.Index(rapid.IntRange(0, len(want.log)-1).Draw(t, "back"))
					s.Entries = entriesSave(seq, term, first, first).Entries
				}
				want.write(&s, false)
				q.add(s, nil, saved())
			case 3: // a snapshot
				seq++
				s := baseSave(seq, want.last()+raft.Index(rapid.IntRange(0, 2).Draw(t, "ahead")), true)
				want.write(&s, false)
				q.add(s, nil, saved())
			case 4: // time to retry
				q.retry()
			default: // the log answers
				if len(flying) > 0 {
					s := flying[0]
					flying = flying[1:]
					if disk.write(&s, rapid.Bool().Draw(t, "full")) {
						at := states[s.Seq]
						if (len(s.Entries) > 0 || s.Base != nil) && fmt.Sprint(at.base, at.log) != fmt.Sprint(disk.base, disk.log) {
							t.Fatalf("save %d makes the disk hold %v, raft asked for %v", s.Seq, disk, at)
						}
						if _, through := q.done(s.Seq); through > 0 {
							reported = through
						}
					} else {
						q.refuse(s.Seq, len(s.Entries) == 0)
					}
				}
			}
			states[seq] = diskModel{want.base, append([]raft.Term(nil), want.log...), want.hard}
			pump()
			if disk.hard.Term < states[reported].hard.Term {
				t.Fatalf("disk is in term %d, reported was %d", disk.hard.Term, states[reported].hard.Term)
			}
		}
		reported = drain(&q, &disk, flying, seq, reported)
		if reported != seq || fmt.Sprint(disk) != fmt.Sprint(want) {
			t.Fatalf("reported %d of %d; disk holds %v, raft asked for %v", reported, seq, disk, want)
		}
	})
}

// drain is space coming back: everything gets there.
func drain(q *saveQueue, disk *diskModel, flying []raft.Save, seq, reported uint64) uint64 {
	for range 4 * (int(seq) + 1) {
		q.retry()
		q.next(func(s raft.Save) { flying = append(flying, s) })
		for _, s := range flying {
			if !disk.write(&s, false) {
				q.refuse(s.Seq, len(s.Entries) == 0)
			} else if _, through := q.done(s.Seq); through > 0 {
				reported = through
			}
		}
		flying = nil
	}
	return reported
}
