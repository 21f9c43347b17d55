package host

import (
	"slices"
	"testing"

	"github.com/lockstep-rsm/lockstep/raft"
)

// waited is a queue in which everything has waited for a full disk, and that merges as soon as it can.
func waited(t *testing.T, saves ...raft.Save) *saveQueue {
	t.Helper()
	q := &saveQueue{last: 9, loose: 1, small: 32 << 10}
	for _, s := range saves {
		var told []raft.Message
		if s.HardSet {
			told = append(told, raft.Message{Type: raft.MsgVoteReply, Term: s.Hard.Term})
		}
		if k := len(s.Entries); k > 0 {
			told = append(told, ack(s.Entries[k-1].Index))
		}
		q.add(s, told, 9)
		for {
			var gone []uint64
			q.next(func(s raft.Save) { gone = append(gone, s.Seq) })
			for _, seq := range gone {
				q.refuse(seq)
			}
			if len(gone) == 0 {
				break
			}
		}
	}
	return q
}

// Entries that follow each other wait as one save; its acknowledgements leave with it, and what is behind in the slice that
// the first came in belongs to others.
func TestEntriesThatWaitAreMerged(t *testing.T) {
	log := entriesSave(0, 5, 10, 13).Entries
	first, others := raft.Save{Seq: 1, Entries: log[:2]}, slices.Clone(log[2:])
	q := waited(t, first, entriesSave(2, 6, 12, 12), entriesSave(3, 6, 13, 14))
	if !slices.EqualFunc(log[2:], others, func(a, b raft.Entry) bool { return a.Term == b.Term }) {
		t.Error("the entries of others were written over")
	}
	q.retry(true)
	wantHanded(t, q, "3")
	if n := q.queue[0].save.Entries; len(n) != 5 || n[0].Index != 10 || n[4].Index != 14 || n[2].Term != 6 {
		t.Errorf("it has %v", n)
	}
	if after := wantThrough(t, q, 3, 3); len(after) != 3 {
		t.Errorf("%v leave, want three acknowledgements", after)
	}
}

// For a leader's empty entry a full disk has room: it is not to wait with what comes behind.
func TestEmptyEntriesAreNotMergedWithWhatNeedsSpace(t *testing.T) {
	q := waited(t, emptySave(1, 5, 10), emptySave(2, 6, 11), entriesSave(3, 6, 12, 12), entriesSave(4, 6, 13, 13))
	q.retry(false)
	wantHanded(t, q, "2")
	wantThrough(t, q, 2, 2)
	wantHanded(t, q, "")
	q.retry(true)
	wantHanded(t, q, "4")
	wantThrough(t, q, 4, 4)
}

// What replaces log goes alone with what was merged into it, too.
func TestMergedTruncationGoesAlone(t *testing.T) {
	q := &saveQueue{last: 9, loose: 1, small: 32 << 10}
	q.add(entriesSave(1, 5, 10, 10), nil, 9)
	wantHanded(t, q, "1")
	wantThrough(t, q, 1, 1)
	q.add(entriesSave(2, 6, 10, 10), nil, 10) // in place of 1's
	wantHanded(t, q, "2")
	q.refuse(2)
	q.add(entriesSave(3, 6, 11, 11), nil, 9)
	wantHanded(t, q, "")
	q.add(emptySave(4, 7, 12), nil, 9)
	wantHanded(t, q, "")
	q.full = false // as if other entries had gone
	q.add(entriesSave(5, 7, 13, 13), nil, 9)
	wantHanded(t, q, "4")
	wantHanded(t, q, "")
	wantThrough(t, q, 4, 4)
	wantHanded(t, q, "5")
}

// A term that waited between entries is not reported with them before one is durable that came later; what waited for
// the same leaves with that.
func TestEntriesAreReportedWithTheTermsBetweenThem(t *testing.T) {
	q := waited(t, entriesSave(1, 5, 10, 10), hardSave(2, 6, 0), entriesSave(3, 6, 11, 11), hardSave(4, 7, 0),
		entriesSave(5, 7, 12, 12), hardSave(6, 7, 0))
	if len(q.queue) != 2 {
		t.Fatalf("%d saves wait, want entries and a term", len(q.queue))
	}
	q.retry(true)
	wantHanded(t, q, "5 6h7")
	if after := wantThrough(t, q, 5, 0); len(after) != 0 {
		t.Errorf("%v leave, though no term is durable", after)
	}
	after := wantThrough(t, q, 6, 6)
	votes := 0
	for _, m := range after {
		if m.Type == raft.MsgVoteReply && m.Term != 7 {
			t.Errorf("%v of a term that has passed", m)
		} else if m.Type == raft.MsgVoteReply {
			votes++
		}
	}
	if votes != 2 || len(after) != 5 {
		t.Errorf("%v leave, want three acknowledgements, and both answers of term 7", after)
	}
}

// A vote that waited before entries leaves with a later save of the same term, which is in two batches then though it was
// no vote's.
func TestVoteThatWaitsBeforeEntriesIsInTwoBatches(t *testing.T) {
	same := hardSave(4, 6, 2)
	same.TwoBatch = false
	q := waited(t, entriesSave(1, 5, 10, 10), hardSave(2, 6, 2), entriesSave(3, 6, 11, 11), same)
	q.retry(true)
	wantHanded(t, q, "3 4h6!")
	if after := wantThrough(t, q, 4, 0); len(after) != 2 {
		t.Errorf("%v leave, want both answers of term 6", after)
	}
}
