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
// Completions are reported in order: InSaved speaks for every save up to its Seq (H9). Acknowledgements of
// log leave with that report and not before, so that raft gives up nothing that was acknowledged (R7).
type saveQueue struct {
	queue []queuedSave
	last  raft.Index // of the log, once all of queue is done
	hard  raft.Save  // the newest that was handed out and sets term and vote
	full  bool       // refused for lack of space: what carries other than empty entries waits for retry
}

type queuedSave struct {
	save      raft.Save
	afterSave []raft.Message
	state     saveState
	carries   bool       // log: entries or a snapshot
	alone     bool       // replaces log
	empty     bool       // carries empty entries alone, or a snapshot: finds room where others find none
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
	n := queuedSave{save: s, afterSave: afterSave, carries: len(s.Entries) > 0}
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
	n.empty = n.carries && wal.OnlyEmpty(s.Entries)
	q.queue = append(q.queue, n)
}

// next hands out the saves that may go now, in order.
func (q *saveQueue) next(give func(raft.Save)) {
	q.takeBack()
	q.bringAlong()
	var waits, going, alone bool // before: a waiting save with log, one on its way, one that goes alone
	two := false                 // before: a vote that is not known to be in two batches yet
	for i := range q.queue {
		n := &q.queue[i]
		if n.state == saveWaits && !n.refused &&
			(!n.carries || (!q.full || n.empty) && !waits && !alone && !(n.alone && going)) {
			n.state = saveGoes
			if n.save.HardSet {
				n.save.TwoBatch = n.save.TwoBatch || two
				q.settleHard(&n.save)
			}
			give(n.save)
		}
		two = two || n.save.HardSet && n.save.TwoBatch && n.state != saveDone
		if n.carries {
			waits = waits || n.state == saveWaits
			going = going || n.state == saveGoes
			alone = alone || n.alone && n.state != saveDone
		}
	}
}

// bringAlong lets what was refused on its own go with the next log that is written: its
// acknowledgement would go out while raft still waits to hear of what is before it.
func (q *saveQueue) bringAlong() {
	log := false
	for i := range q.queue {
		if n := &q.queue[i]; n.carries && n.state == saveWaits {
			log = !q.full || n.empty && !n.refused
			break // what is behind it waits for it
		}
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
	n.empty = wal.OnlyEmpty(n.save.Entries)
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

// idle says whether a save is nothing but a term or vote that waits since there was no space for it.
func (n *queuedSave) idle() bool {
	return n.state == saveWaits && n.refused && !n.carries && n.save.Base == nil && n.save.HardSet
}

// supersede counts those that wait before a durable term and vote as done with. What they would
// have said is of the past.
func (q *saveQueue) supersede(i int) {
	for k := range i {
		if w := &q.queue[k]; w.idle() {
			w.afterSave, w.state = nil, saveDone
		}
	}
}

// settleHard keeps an older term from following a newer one that has passed it.
func (q *saveQueue) settleHard(s *raft.Save) {
	if q.hard.Seq > s.Seq {
		s.Hard, s.TwoBatch = q.hard.Hard, s.TwoBatch || q.hard.TwoBatch
		return
	}
	q.hard = raft.Save{Seq: s.Seq, Hard: s.Hard, TwoBatch: s.TwoBatch}
}

// done takes the messages that waited for a durable save, or for those before it, and says through which
// Seq all are durable; 0: no further than before.
func (q *saveQueue) done(seq uint64) (afterSave []raft.Message, through uint64) {
	for i := range q.queue {
		if n := &q.queue[i]; n.save.Seq == seq {
			n.state = saveDone
			if len(n.save.Entries) > 0 {
				n.until = 0 // nothing was taken back
			}
			if !n.carries {
				afterSave, n.afterSave = n.afterSave, nil
			}
			if n.save.HardSet {
				q.supersede(i)
			}
		}
	}
	k := 0
	for k < len(q.queue) && q.queue[k].state == saveDone && q.isDone(q.queue[k].until) {
		through = q.queue[k].save.Seq
		if afterSave == nil {
			afterSave = q.queue[k].afterSave
		} else {
			afterSave = append(afterSave, q.queue[k].afterSave...)
		}
		k++
	}
	n := copy(q.queue, q.queue[k:])
	clear(q.queue[n:])
	q.queue = q.queue[:n]
	return afterSave, through
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
			q.full = q.full || n.carries
			if n.unwanted > 0 {
				n.cut(n.unwanted)
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

// retry lets everything that was refused go again; without space, what needs none for entries.
func (q *saveQueue) retry(space bool) {
	q.full = q.full && !space
	for i := range q.queue {
		q.queue[i].refused, q.queue[i].again = false, false
	}
}
