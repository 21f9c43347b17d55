package host

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lockstep-rsm/lockstep/raft"
)

func entriesSave(seq uint64, term raft.Term, first, last raft.Index) raft.Save {
	s := raft.Save{Seq: seq}
	for i := first; i <= last; i++ {
		s.Entries = append(s.Entries, raft.Entry{Identity: raft.Identity{Kind: raft.KindCommands, Term: term, Index: i}})
	}
	return s
}

func emptySave(seq uint64, term raft.Term, index raft.Index) raft.Save {
	s := entriesSave(seq, term, index, index)
	s.Entries[0].Kind = raft.KindEmpty
	return s
}

func ack(index raft.Index) raft.Message {
	return raft.Message{Type: raft.MsgAppendReply, Index: index}
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
	q.refuse(1)
	q.add(entriesSave(3, 5, 14, 14), nil, 9)
	wantHanded(t, q, "")
	q.refuse(2)
	wantHanded(t, q, "")
	q.retry(true)
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
	q.refuse(1)
	wantHanded(t, q, "")
	q.retry(true)
	wantHanded(t, q, "2") // 1 is no more wanted
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
	q.refuse(1)
	wantHanded(t, q, "")
	wantThrough(t, q, 2, 0) // InSaved speaks for 1 too
	q.retry(true)
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
	q.refuse(1)
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

// A snapshot that replaces a log waits neither for entries that a full disk refuses, which it holds, nor for
// space: it is what makes some.
func TestSnapshotPassesWhatWaitsForSpace(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(entriesSave(1, 5, 10, 12), nil, 9)
	q.add(entriesSave(2, 5, 13, 14), nil, 9)
	wantHanded(t, q, "1 2")
	q.refuse(1)
	q.refuse(2)
	wantHanded(t, q, "")
	q.add(baseSave(3, 100, true), nil, 9)
	wantHanded(t, q, "3")
	wantThrough(t, q, 3, 3)
	if q.blocked() {
		t.Fatal("what the snapshot holds still waits")
	}
}

// Entries that a snapshot replaces count as durable with it, and not before, though a term passes in between.
func TestWhatASnapshotReplacesIsReportedWithIt(t *testing.T) {
	q := &saveQueue{last: 4}
	q.add(entriesSave(1, 5, 5, 8), nil, 4)
	wantHanded(t, q, "1")
	q.refuse(1)
	q.add(hardSave(2, 6, 0), nil, 4)
	wantHanded(t, q, "2h6")
	q.add(baseSave(3, 20, true), nil, 4)
	wantHanded(t, q, "3")
	wantThrough(t, q, 2, 0)
	wantThrough(t, q, 3, 3)
}

func TestVotesWithoutRoomWaitForRetry(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(hardSave(1, 6, 0), nil, 9)
	wantHanded(t, q, "1h6")
	q.refuse(1) // in a batch with another group's entries: again at once
	wantHanded(t, q, "1h6")
	q.refuse(1) // on its own: again at once would spin
	wantHanded(t, q, "")
	if !q.blocked() {
		t.Fatal("a term waits, and nothing says so")
	}
	q.retry(true)
	wantHanded(t, q, "1h6")
}

// A full disk has room for empty entries, not for what waits before them: that is given up first.
func TestEmptyEntryGoesOnceWhatWaitsForSpaceIsGivenUp(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(entriesSave(1, 5, 10, 12), []raft.Message{ack(12)}, 9)
	q.add(entriesSave(2, 5, 13, 13), []raft.Message{ack(13)}, 9)
	wantHanded(t, q, "1 2")
	q.refuse(1)
	q.refuse(2)
	q.giveUp(11)
	q.add(emptySave(3, 6, 11), nil, 9)
	wantHanded(t, q, "") // 10 is before it
	q.retry(false)
	wantHanded(t, q, "")
	q.giveUp(10)
	q.add(emptySave(4, 7, 10), nil, 9)
	wantHanded(t, q, "4")
	q.refuse(4) // in a batch with another group's entries: again at once
	wantHanded(t, q, "4")
	q.refuse(4) // once
	wantHanded(t, q, "")
	q.retry(false)
	wantHanded(t, q, "4")
	if after, through := q.done(4); through != 4 || len(after) != 0 {
		t.Fatalf("durable through %d, want 4; acknowledged %v, given up", through, after)
	}
}

// What is on its way to the disk may get there though raft has given it up. Nobody is told.
func TestGivenUpEntriesAreNotAcknowledged(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(entriesSave(1, 5, 10, 10), []raft.Message{ack(10)}, 9)
	q.add(entriesSave(2, 5, 11, 12), []raft.Message{{Type: raft.MsgHeartbeatReply, Index: 9}, ack(12)}, 9)
	wantHanded(t, q, "1 2")
	q.giveUp(11)
	q.add(emptySave(3, 6, 11), nil, 9)
	wantHanded(t, q, "") // it replaces what may be on disk by then
	if after, _ := q.done(1); len(after) != 1 {
		t.Fatalf("%v leave with entry 10, want its acknowledgement", after)
	}
	if after, _ := q.done(2); len(after) != 1 || after[0].Index != 9 {
		t.Fatalf("%v leave with entries that were given up", after)
	}
	wantHanded(t, q, "3")
}

// What was on its way when raft gave it up, and is refused, does not come back to wait: what is before it
// never comes, and a snapshot behind it would wait with it for ever.
func TestGivenUpEntriesThatAreRefusedDoNotWait(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(entriesSave(1, 5, 10, 10), nil, 9)
	q.add(entriesSave(2, 5, 11, 11), nil, 9)
	wantHanded(t, q, "1 2")
	q.refuse(1)
	q.giveUp(10)
	q.refuse(2)
	q.add(baseSave(3, 20, true), nil, 9)
	q.retry(true)
	wantHanded(t, q, "3")
	wantThrough(t, q, 3, 3)
}

// A term that found no room is before entries that did: raft has not heard of these yet and may give
// them up, so nobody is told of them either.
func TestEntriesAreAcknowledgedOnlyWithTheReportOfThem(t *testing.T) {
	q := &saveQueue{last: 9}
	q.add(hardSave(1, 5, 0), nil, 9)
	q.add(entriesSave(2, 5, 10, 10), []raft.Message{ack(10)}, 9)
	wantHanded(t, q, "1h5 2")
	q.refuse(1)
	if after, through := q.done(2); through != 0 || len(after) != 0 {
		t.Fatalf("durable through %d, want 0; %v leave", through, after)
	}
	wantHanded(t, q, "1h5")
	if after, through := q.done(1); through != 2 || len(after) != 1 {
		t.Fatalf("durable through %d, want 2; %d acknowledgements, want 1", through, len(after))
	}
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

// holds says whether the disk has what raft asked for with save seq, but for entries at its end that
// later saves replace: those are taken back where they wait.
func (d *diskModel) holds(at *diskModel, seq uint64, replaced map[uint64]raft.Index) bool {
	least := at.last() + 1
	for k, from := range replaced {
		if k > seq {
			least = min(least, from)
		}
	}
	n := len(d.log)
	return d.base == at.base && n <= len(at.log) && d.last()+1 >= least && slices.Equal(d.log, at.log[:n])
}

// acks are acknowledgements on their way out, by the save that they wait for.
type acks struct {
	of    map[uint64]raft.Index
	never map[uint64]bool // given up
}

func (a *acks) add(s *raft.Save) []raft.Message {
	i := s.Entries[len(s.Entries)-1].Index
	a.of[s.Seq] = i
	return []raft.Message{{Type: raft.MsgAppendReply, Index: i, Round: s.Seq}}
}

func (a *acks) giveUp(i raft.Index) {
	for seq, of := range a.of {
		a.never[seq] = a.never[seq] || of >= i
	}
}

func (a *acks) left(t *rapid.T, ms []raft.Message, through uint64) {
	for _, m := range ms {
		if m.Round > through || a.never[m.Round] {
			t.Fatalf("R7: entry %d of save %d is acknowledged; reported through %d, given up: %v", m.Index, m.Round, through, a.never[m.Round])
		}
		delete(a.of, m.Round)
	}
}

// refusals is a queue between a raft, of which only what it wants is known, and a disk that refuses at random.
type refusals struct {
	t             *rapid.T
	q             saveQueue
	disk, want    diskModel
	states        map[uint64]diskModel
	replaced      map[uint64]raft.Index // by later saves: from where on
	acks          acks
	flying        []raft.Save
	seq, reported uint64
	term          raft.Term
}

func (r *refusals) saved() raft.Index {
	at := r.states[r.reported]
	return min(at.last(), r.want.last())
}

func (r *refusals) add(s raft.Save, afterSave []raft.Message) {
	r.want.write(&s, false)
	r.q.add(s, afterSave, r.saved())
}

func (r *refusals) extend(n int) {
	r.seq++
	s := entriesSave(r.seq, r.term, r.want.last()+1, r.want.last()+raft.Index(n))
	r.add(s, r.acks.add(&s))
}

// truncate is a new term, perhaps with a truncation.
func (r *refusals) truncate() {
	r.term++
	r.seq++
	s := hardSave(r.seq, r.term, raft.ReplicaID(rapid.IntRange(0, 1).Draw(r.t, "vote")))
	if rapid.Bool().Draw(r.t, "truncate") && len(r.want.log) > 0 {
		first := r.want.last() - raft.Index(rapid.IntRange(0, len(r.want.log)-1).Draw(r.t, "back"))
		s.Entries = entriesSave(r.seq, r.term, first, first).Entries
		r.replaced[r.seq] = first
	}
	r.add(s, nil)
}

// campaign gives up what is not saved; perhaps it is won, and an empty entry comes in its place.
func (r *refusals) campaign() {
	r.term++
	r.seq++
	i := r.saved() + 1 + raft.Index(rapid.IntRange(0, 3).Draw(r.t, "given up behind"))
	if i > r.want.base && i <= r.want.last() {
		r.want.log = slices.Clip(r.want.log[:i-r.want.base-1])
		r.q.giveUp(i)
		r.acks.giveUp(i)
		r.replaced[r.seq] = i
	}
	s := hardSave(r.seq, r.term, 1)
	if rapid.Bool().Draw(r.t, "won") {
		s.Entries = emptySave(r.seq, r.term, r.want.last()+1).Entries
	}
	r.add(s, nil)
}

func (r *refusals) answer(full bool) {
	if len(r.flying) == 0 {
		return
	}
	s := r.flying[0]
	r.flying = r.flying[1:]
	if !r.disk.write(&s, full) {
		r.q.refuse(s.Seq)
		return
	}
	at := r.states[s.Seq]
	if (len(s.Entries) > 0 || s.Base != nil) && !r.disk.holds(&at, s.Seq, r.replaced) {
		r.t.Fatalf("save %d makes the disk hold %v, raft asked for %v", s.Seq, r.disk, at)
	}
	after, through := r.q.done(s.Seq)
	r.reported = max(r.reported, through)
	r.acks.left(r.t, after, r.reported)
}

// next is what follows every step: the queue hands out what may go.
func (r *refusals) next() {
	r.states[r.seq] = diskModel{r.want.base, slices.Clone(r.want.log), r.want.hard}
	r.q.next(func(s raft.Save) { r.flying = append(r.flying, s) })
	if at := r.states[r.reported].hard.Term; r.disk.hard.Term < at {
		r.t.Fatalf("disk is in term %d, reported was %d", r.disk.hard.Term, at)
	}
}

// Whatever is refused and given up whenever, what is reported as durable is what raft asked for, and
// nothing that was given up is acknowledged.
func TestDiskHoldsWhatIsReportedUnderAnyRefusals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := refusals{
			t: t, term: 1, states: map[uint64]diskModel{}, replaced: map[uint64]raft.Index{},
			acks: acks{map[uint64]raft.Index{}, map[uint64]bool{}},
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0, 1:
				r.extend(rapid.IntRange(1, 3).Draw(t, "n"))
			case 2:
				r.truncate()
			case 3: // a snapshot
				r.seq++
				r.add(baseSave(r.seq, r.want.last()+raft.Index(rapid.IntRange(0, 2).Draw(t, "ahead")), true), nil)
			case 4: // time to retry
				r.q.retry(rapid.Bool().Draw(t, "space"))
			case 5:
				r.campaign()
			default: // the log answers
				r.answer(rapid.Bool().Draw(t, "full"))
			}
			r.next()
		}
		r.extend(1) // over what was given up and got to the disk all the same
		r.reported = drain(&r.q, &r.disk, r.flying, r.seq, r.reported)
		if r.reported != r.seq || fmt.Sprint(r.disk) != fmt.Sprint(r.want) {
			t.Fatalf("reported %d of %d; disk holds %v, raft asked for %v", r.reported, r.seq, r.disk, r.want)
		}
	})
}

// drain is space coming back: everything gets there.
func drain(q *saveQueue, disk *diskModel, flying []raft.Save, seq, reported uint64) uint64 {
	for range 4 * (int(seq) + 1) {
		q.retry(true)
		q.next(func(s raft.Save) { flying = append(flying, s) })
		for _, s := range flying {
			if !disk.write(&s, false) {
				q.refuse(s.Seq)
			} else if _, through := q.done(s.Seq); through > 0 {
				reported = through
			}
		}
		flying = nil
	}
	return reported
}
