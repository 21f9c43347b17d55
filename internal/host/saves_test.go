package host

import (
	"fmt"
	"strings"
	"testing"

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

func wantThrough(t *testing.T, q *saveQueue, seq, want uint64) []raft.Message {
	t.Helper()
	after, through := q.done(seq)
	if through != want {
		t.Fatalf("save %d done: durable through %d, want %d", seq, through, want)
	}
	return after
}

func TestSavesThatExtendTheLogAreInFlightTogether(t *testing.T) {
	q := &saveQueue{last: 9, small: 32 << 10}
	q.add(entriesSave(1, 5, 10, 12), nil, 9)
	q.add(entriesSave(2, 5, 13, 13), nil, 9)
	wantHanded(t, q, "1 2")
	wantThrough(t, q, 1, 1)
	wantThrough(t, q, 2, 2)
}

// Two saves are in flight and the disk refuses the first: the second is refused with it (a gap),
// and a third that came between the two refusals goes last.
func TestRefusedSavesGoAgainInOrder(t *testing.T) {
	q := &saveQueue{last: 9, small: 32 << 10}
	q.add(entriesSave(1, 5, 10, 12), nil, 9)
	q.add(entriesSave(2, 5, 13, 13), nil, 9)
	wantHanded(t, q, "1 2")
	q.refuse(1)
	q.add(entriesSave(3, 5, 14, 14), nil, 9)
	wantHanded(t, q, "")
	q.refuse(2)
	wantHanded(t, q, "")
	q.retry(true)
	wantHanded(t, q, "1") // perhaps there is space
	q.refuse(1)
	wantHanded(t, q, "")
	q.retry(true)
	wantHanded(t, q, "1")
	wantThrough(t, q, 1, 1)
	wantHanded(t, q, "2 3")
}

// A refused save of a former leader must not come after the truncation that replaced it: the log
// would lose entries that were acknowledged.
func TestTruncationWaitsForWhatItReplaces(t *testing.T) {
	q := &saveQueue{last: 9, small: 32 << 10}
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
	q := &saveQueue{last: 9, small: 32 << 10}
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
	q := &saveQueue{last: 9, small: 32 << 10}
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
	q := &saveQueue{last: 9, small: 32 << 10}
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
	q := &saveQueue{last: 9, small: 32 << 10}
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

// So does a term beside which they wait: it does not speak for them.
func TestWhatASnapshotReplacesIsNotReportedWithATerm(t *testing.T) {
	q := &saveQueue{last: 4}
	q.add(entriesSave(1, 5, 5, 8), nil, 4)
	wantHanded(t, q, "1")
	q.refuse(1)
	q.add(hardSave(2, 6, 0), nil, 4)
	for range 2 {
		wantHanded(t, q, "2h6")
		q.refuse(2)
	}
	q.add(baseSave(3, 20, true), nil, 4)
	wantHanded(t, q, "2h6 3") // 2 is brought along
	wantThrough(t, q, 2, 0)
	wantThrough(t, q, 3, 3)
}

func TestVotesWithoutRoomWaitForRetry(t *testing.T) {
	q := &saveQueue{last: 9, small: 32 << 10}
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

// A disk stays full for an hour, takes terms and votes as well no more, and others elect: what waits stays short, and
// what a retry writes, few (A9).
func TestSavesThatWaitForAnHourAreFewAndTriedOnce(t *testing.T) {
	q := &saveQueue{last: 9, small: 32 << 10}
	seq, term, last, writes := uint64(0), raft.Term(5), raft.Index(9), 0
	refuseAll := func() {
		for {
			var gone []uint64
			q.next(func(s raft.Save) { gone = append(gone, s.Seq) })
			if len(gone) == 0 {
				return
			}
			writes += len(gone)
			for _, g := range gone {
				q.refuse(g)
			}
		}
	}
	add := func(s raft.Save) {
		q.add(s, []raft.Message{{Type: raft.MsgHeartbeatReply, Term: term}}, 9)
		refuseAll()
	}
	for round := range 5 * 3600 {
		term++
		seq++
		add(hardSave(seq, term, raft.ReplicaID(1+round%3)))
		for range round % 3 { // answers in this term
			seq++
			add(hardSave(seq, term, raft.ReplicaID(1+round%3)))
		}
		switch { // what other leaders have committed without this one
		case round%5 == 1:
			seq, last = seq+1, last+1
			add(emptySave(seq, term, last))
		case round%5 == 3:
			seq, last = seq+1, last+1
			add(entriesSave(seq, term, last, last))
		case round%6000 == 5999: // a candidate gives up what waits
			q.giveUp(10)
			last = 9
		}
		writes = 0
		q.retry(round%2 == 0) // it may look as if there were space
		refuseAll()
		if writes > 4 {
			t.Fatalf("a retry in round %d writes %d saves", round, writes)
		}
		held := 0
		for i := range q.queue {
			held += len(q.queue[i].afterSave)
		}
		if len(q.queue) > 40 || held > 20*maxSpoken {
			t.Fatalf("%d saves wait in round %d, and %d messages", len(q.queue), round, held)
		}
	}
	disk := diskModel{log: make([]raft.Term, 9)}
	if reported := drain(q, &disk, nil, 50, 0); reported != seq || disk.hard.Term != term {
		t.Errorf("with space, reported %d of %d; the disk is in term %d of %d", reported, seq, disk.hard.Term, term)
	}
}

// Terms pass the entries of a disk that stays full; what is done behind them waits to be reported as one.
func TestSavesThatPassForAnHourAreReportedAsOne(t *testing.T) {
	q := &saveQueue{last: 9, small: 32 << 10}
	q.add(entriesSave(1, 5, 10, 10), []raft.Message{ack(10)}, 9)
	wantHanded(t, q, "1")
	q.refuse(1)
	for seq := uint64(2); seq < 10_000; seq++ {
		q.add(hardSave(seq, raft.Term(seq), 1), []raft.Message{{Type: raft.MsgVoteReply}}, 9)
		wantHanded(t, q, fmt.Sprintf("%dh%[1]d!", seq))
		if after, through := q.done(seq); through != 0 || len(after) != 1 {
			t.Fatalf("durable through %d behind entries that wait; %d messages, want 1", through, len(after))
		}
		if len(q.queue) > 3 {
			t.Fatalf("%d saves wait", len(q.queue))
		}
	}
	q.retry(true)
	wantHanded(t, q, "1")
	if after, through := q.done(1); through != 9_999 || len(after) != 1 {
		t.Fatalf("durable through %d, want 9999; %d acknowledgements, want 1", through, len(after))
	}
}

// A log that gives no answer gets no more and more of them.
func TestTermsOnTheirWayAreFew(t *testing.T) {
	q := &saveQueue{last: 9}
	for seq := uint64(1); seq <= 1000; seq++ {
		q.add(hardSave(seq, raft.Term(seq), 0), nil, 9)
		want := ""
		if seq <= maxTerms {
			want = fmt.Sprintf("%dh%[1]d", seq)
		}
		wantHanded(t, q, want)
	}
	if len(q.queue) > maxTerms+1 {
		t.Errorf("%d saves wait", len(q.queue))
	}
	wantThrough(t, q, 1, 1)
	wantHanded(t, q, "1000h1000")
	for seq := uint64(2); seq <= maxTerms; seq++ {
		wantThrough(t, q, seq, seq)
	}
	wantThrough(t, q, 1000, 1000)
}

// What waits for one term and vote leaves with whichever save of it is durable; what waits for an older one, never.
func TestMergedSavesSpeakForTheirTerm(t *testing.T) {
	q := &saveQueue{last: 9, small: 32 << 10}
	told := func(term raft.Term) []raft.Message { return []raft.Message{{Type: raft.MsgVoteReply, Term: term}} }
	fail := func(seq uint64, want string) {
		t.Helper()
		for range 2 {
			wantHanded(t, q, want)
			q.refuse(seq)
		}
		wantHanded(t, q, "")
	}
	q.add(hardSave(1, 6, 2), told(6), 9)
	fail(1, "1h6!")
	q.add(hardSave(2, 7, 2), told(7), 9)
	fail(2, "2h7!")
	same := hardSave(3, 7, 2)
	same.TwoBatch = false // but the vote has not been in two yet
	q.add(same, told(7), 9)
	fail(3, "3h7!")
	q.add(emptySave(4, 7, 10), nil, 9)
	q.add(hardSave(5, 7, 2), told(7), 9) // those before are tried with the entry
	wantHanded(t, q, "4 5h7!")
	if after, through := q.done(5); through != 3 || len(after) != 3 {
		t.Fatalf("durable through %d, %d messages, want 3 and those of term 7: 3", through, len(after))
	}
	for _, m := range wantThrough(t, q, 4, 5) {
		t.Errorf("%v leaves with the entry", m)
	}
	for seq := range uint64(1000) { // a leader's heartbeats are answered in a term that the disk does not take
		q.add(hardSave(6+seq, 8, 0), told(8), 9)
		fail(6+seq, fmt.Sprintf("%dh8", 6+seq))
	}
	q.retry(true)
	wantHanded(t, q, "1005h8")
	if after := wantThrough(t, q, 1005, 1005); len(after) != maxSpoken {
		t.Errorf("%d messages waited, want %d", len(after), maxSpoken)
	}
}

// A full disk has room for empty entries, not for what waits before them: that is given up first.
func TestEmptyEntryGoesOnceWhatWaitsForSpaceIsGivenUp(t *testing.T) {
	q := &saveQueue{last: 9, small: 32 << 10}
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
	q := &saveQueue{last: 9, small: 32 << 10}
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
	q := &saveQueue{last: 9, small: 32 << 10}
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
	q := &saveQueue{last: 9, small: 32 << 10}
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
