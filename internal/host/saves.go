package host

import (
	"slices"

	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/raft"
)

// saveQueue orders one group's saves on their way to the log, which may refuse any of them for lack
// of space while others are on their way. What the log holds must be a prefix of what raft asked
// for, whatever is refused:
//
//   - saves that carry log go in their order, and none goes while an earlier one waits;
//   - one that replaces log, by a truncation or a snapshot, goes alone: had what is before it been
//     refused, or were it refused itself, the log would take what comes after for a continuation;
//   - terms, votes and compactions pass those that wait, or a full disk would never clear. What then
//     comes later writes the newer term again, never an older one;
//   - empty entries and snapshots, for which a full disk has room, wait only for what is before them. So
//     what waits and is no more wanted, since a later truncation or snapshot replaces it or raft has
//     given it up, is taken back. What an acknowledgement of it would say is of the past, and never leaves.
//
// However long a disk stays full, what waits stays short, and to try it again costs a bounded number of writes (A9): it
// is merged (merge), of terms and votes the newest goes for all, and of what carries log the first, until the disk has
// taken entries again.
//
// Completions are reported in order: InSaved speaks for every save up to its Seq (H9). Acknowledgements of
// log leave with that report and not before, so that raft gives up nothing that was acknowledged (R7).
type saveQueue struct {
	queue []queuedSave
	last  raft.Index // of the log, once all of queue is done
	hard  handedHard // the newest that was handed out and sets term and vote
	full  bool       // refused for lack of space: what carries other than empty entries waits for retry
	loose uint8      // of so many saves no log is merged; 0: maxLoose
	space bool       // perhaps there is some again: the first that waits goes, to see

	small    int64  // bytes of entries that one save may have once it is merged
	hardDone uint64 // Seq of the newest save whose term and vote are durable: those of older ones are of the past
}

// handedHard is a term and vote that goes to the disk.
type handedHard struct {
	seq      uint64
	is       raft.HardState
	twoBatch bool
}

type queuedSave struct {
	save      raft.Save
	hard      raft.HardState // that was asked for, and of which afterSave speaks; save may write a newer one
	afterSave []raft.Message
	state     saveState
	carries   bool       // log: entries or a snapshot
	alone     bool       // replaces log
	empty     bool       // carries empty entries alone, or a snapshot: finds room where others find none
	bytes     int64      // of its entries
	merged    bool       // its entries are its own
	owes      uint64     // if not 0: a term of that save waited before it, and is to be durable before it is reported
	until     uint64     // if not 0: what was taken back of it is replaced by the snapshot of that save
	unwanted  raft.Index // if not 0: its entries from here on do not go again, should they be refused
	again     bool       // has been refused, and gone again at once
	refused   bool       // waits for retry even if it needs no space for entries
}

type saveState uint8

const (
	saveWaits saveState = iota
	saveGoes
	saveDone
)

// add puts a save at the end. Saved is what raft knows to be durable.
func (q *saveQueue) add(s raft.Save, afterSave []raft.Message, saved raft.Index) {
	n := queuedSave{save: s, hard: s.Hard, afterSave: afterSave, carries: len(s.Entries) > 0}
	if s.Base != nil && (s.Replaces || s.Base.Index() > saved) {
		n.carries, n.alone = true, true
		q.last = max(q.last, s.Base.Index())
		if s.Replaces {
			q.last = s.Base.Index()
		}
	}
	if k := len(s.Entries); k > 0 {
		n.alone = n.alone || s.Entries[0].Index != q.last+1
		q.last = s.Entries[k-1].Index
	}
	n.weigh()
	q.queue = append(q.queue, n)
}

// weigh looks at its entries.
func (n *queuedSave) weigh() {
	n.empty, n.bytes = n.carries && wal.OnlyEmpty(n.save.Entries), 0
	for i := range n.save.Entries {
		n.bytes += int64(n.save.Entries[i].Length) + entryOverhead
	}
}

// next hands out the saves that may go now, in order.
func (q *saveQueue) next(give func(raft.Save)) {
	q.takeBack()
	q.bringAlong()
	newest := q.merge()
	var before ahead
	two := false // before: a vote that is not known to be in two batches yet
	for i := range q.queue {
		n := &q.queue[i]
		if n.state == saveWaits && !n.refused && (i == newest && before.terms < maxTerms || !n.idle()) && q.mayGo(n, before) {
			n.state = saveGoes
			if n.save.HardSet {
				n.save.TwoBatch = n.save.TwoBatch || two
				q.settleHard(&n.save)
			}
			give(n.save)
		}
		two = two || n.save.HardSet && n.save.TwoBatch && n.state != saveDone
		before.pass(n)
	}
}

// maxTerms bounds the terms and votes that are on their way: a log that holds one back, since its second batch finds no
// room, holds back all.
const maxTerms = 8

// ahead is what stands before a save: one with log that waits, one on its way, one that goes alone; so many terms and
// votes on their way.
type ahead struct {
	waits, goes, alone bool
	terms              int
}

func (a *ahead) pass(n *queuedSave) {
	if n.carries {
		a.waits = a.waits || n.state == saveWaits
		a.goes = a.goes || n.state == saveGoes
		a.alone = a.alone || n.alone && n.state != saveDone
	} else if n.state == saveGoes {
		a.terms++
	}
}

// mayGo says whether a save need not wait for others, nor for space.
func (q *saveQueue) mayGo(n *queuedSave, before ahead) bool {
	if !n.carries {
		return true
	}
	return (!q.full || (n.empty || q.space) && !before.goes) && !before.waits && !before.alone && !(n.alone && before.goes)
}

// bringAlong lets what was refused on its own go with the next log that is written: its
// acknowledgement would go out while raft still waits to hear of what is before it.
func (q *saveQueue) bringAlong() {
	log := false
	var before ahead
	for i := range q.queue {
		n := &q.queue[i]
		if n.carries && n.state == saveWaits {
			log = !n.refused && q.mayGo(n, before)
			break // what is behind it waits for it
		}
		before.pass(n)
	}
	for i := range q.queue {
		q.queue[i].refused = q.queue[i].refused && !log
	}
}

// takeBack cuts from saves that wait what later truncations or snapshots replace. Of what it truncated raft
// awaits nothing (R3), but what a snapshot covers it counts as durable with the save that brought it.
func (q *saveQueue) takeBack() {
	from, snapshot := ^raft.Index(0), uint64(0)
	for i := len(q.queue) - 1; i >= 0; i-- {
		n := &q.queue[i]
		if snapshot > 0 && n.state != saveDone && len(n.save.Entries) > 0 {
			n.until = snapshot
		}
		n.cut(from)
		if len(n.save.Entries) > 0 {
			from = min(from, n.save.Entries[0].Index)
		}
		if n.save.Base != nil && n.save.Replaces {
			from, snapshot = 1, n.save.Seq // in place of all that is before it
		}
	}
}

// giveUp takes back the entries from i on where they wait, and what would acknowledge them wherever
// they are: on their way to the disk, too.
func (q *saveQueue) giveUp(i raft.Index) {
	for k := range q.queue {
		q.queue[k].silence(i)
		q.queue[k].cut(i)
	}
}

// cut takes the entries from i on out of a save that waits, or will wait again. One of which nothing is
// left claims no entry any more: raft lowered what it stands for when it truncated (R3).
func (n *queuedSave) cut(i raft.Index) {
	es := n.save.Entries
	if n.state == saveDone || len(es) == 0 || es[len(es)-1].Index < i {
		return
	}
	if n.state == saveGoes {
		if n.unwanted == 0 || i < n.unwanted {
			n.unwanted = i
		}
		return
	}
	n.silence(i)
	keep := 0
	for keep < len(es) && es[keep].Index < i {
		keep++
	}
	n.save.Entries = es[:keep:keep]
	n.weigh()
	if keep > 0 || n.save.Base != nil {
		return
	}
	n.carries, n.alone, n.empty = false, false, false
	if !n.save.HardSet {
		n.afterSave, n.state = nil, saveDone
	}
}

// silence drops acknowledgements of the entries from i on.
func (n *queuedSave) silence(i raft.Index) {
	n.afterSave = slices.DeleteFunc(n.afterSave, func(m raft.Message) bool {
		return m.Type == raft.MsgAppendReply && m.Index >= i
	})
}

// idle says whether a save is nothing but a term or vote that waits.
func (n *queuedSave) idle() bool {
	return n.state == saveWaits && !n.carries && n.save.Base == nil && n.save.HardSet
}

// supersede counts those that wait before a durable term and vote as done with. What they would
// have said is of the past, but for those that asked for the same.
func (q *saveQueue) supersede(i int) (afterSave []raft.Message) {
	for k := range i {
		if w := &q.queue[k]; w.idle() {
			if w.hard == q.queue[i].hard {
				afterSave = append(afterSave, w.afterSave...)
			}
			w.afterSave, w.state = nil, saveDone
		}
	}
	return afterSave
}

// settleHard keeps an older term from following a newer one that has passed it.
func (q *saveQueue) settleHard(s *raft.Save) {
	if q.hard.seq > s.Seq {
		s.Hard, s.TwoBatch = q.hard.is, s.TwoBatch || q.hard.twoBatch
		return
	}
	q.hard = handedHard{s.Seq, s.Hard, s.TwoBatch}
}

// done takes the messages that waited for a durable save, or for those before it, and says through which
// Seq all are durable; 0: no further than before.
func (q *saveQueue) done(seq uint64) (afterSave []raft.Message, through uint64) {
	for i := range q.queue {
		if n := &q.queue[i]; n.save.Seq == seq {
			n.state = saveDone
			if len(n.save.Entries) > 0 {
				n.until = 0 // nothing was taken back
				q.full = q.full && n.empty
			}
			if n.save.HardSet {
				q.hardDone = max(q.hardDone, seq)
				afterSave = q.supersede(i)
			}
			if !n.carries {
				afterSave, n.afterSave = join(afterSave, n.afterSave), nil
			}
		}
	}
	k := 0
	for k < len(q.queue) && q.queue[k].state == saveDone && q.queue[k].owes <= q.hardDone && q.isDone(q.queue[k].until) {
		through = q.queue[k].save.Seq
		afterSave = join(afterSave, q.queue[k].afterSave)
		k++
	}
	n := copy(q.queue, q.queue[k:])
	clear(q.queue[n:])
	q.queue = q.queue[:n]
	return afterSave, through
}

// join is a with b behind it; both are used up.
func join(a, b []raft.Message) []raft.Message {
	if len(a) == 0 {
		return b
	}
	return append(a, b...)
}

// isDone says whether a save is done, or none: 0.
func (q *saveQueue) isDone(seq uint64) bool {
	return seq == 0 || !slices.ContainsFunc(q.queue, func(n queuedSave) bool { return n.save.Seq == seq && n.state != saveDone })
}

// refuse takes back a save that found no space. Where it needs no space for entries it may have been
// refused for those of others, and goes again at once; but only once, for no company may have it go
// round and round: then it waits for retry.
func (q *saveQueue) refuse(seq uint64) {
	for i := range q.queue {
		if n := &q.queue[i]; n.save.Seq == seq && n.state == saveGoes {
			n.state = saveWaits
			n.refused, n.again = n.again, true
			if n.carries {
				q.full, q.space = true, false
			}
			if n.unwanted > 0 {
				n.cut(n.unwanted)
				n.unwanted = 0
			}
		}
	}
}

// blocked says whether something waits for retry.
func (q *saveQueue) blocked() bool {
	for i := range q.queue {
		if n := &q.queue[i]; n.state == saveWaits && (n.refused || n.carries && q.full) {
			return true
		}
	}
	return false
}

// writing says whether log is on its way to the disk, or waits for space there.
func (q *saveQueue) writing() bool {
	for i := range q.queue {
		if q.queue[i].carries && q.queue[i].state != saveDone {
			return true
		}
	}
	return false
}

// retry lets what was refused go again; without space, what needs none for entries.
func (q *saveQueue) retry(space bool) {
	q.space = space
	for i := range q.queue {
		q.queue[i].refused, q.queue[i].again = false, false
	}
}
