package host

import "github.com/lockstep-rsm/lockstep/raft"

// saveQueue orders one group's saves on their way to the log, which may refuse any of them for lack
// of space while others are on their way. What the log holds must be a prefix of what raft asked
// for, whatever is refused:
//
//   - saves that carry log go in their order, and none goes while an earlier one waits;
//   - one that replaces log, by a truncation or a snapshot, goes alone: had what is before it been
//     refused, or were it refused itself, the log would take what comes after for a continuation;
//   - terms, votes and compactions pass those that wait, or a full disk would never clear. What then
//     comes later writes the newer term again, never an older one.
//
// Completions are reported in order: InSaved speaks for every save up to its Seq (H9).
type saveQueue struct {
	queue []queuedSave
	last  raft.Index // of the log, once all of queue is done
	hard  raft.Save  // the newest that was handed out and sets term and vote
	full  bool       // refused for lack of space: what carries log waits for retry
}

type queuedSave struct {
	save      raft.Save
	afterSave []raft.Message
	state     saveState
	carries   bool // log: entries or a snapshot
	alone     bool // replaces log
	refused   bool // on its own: waits for retry even if it carries no log
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
	q.queue = append(q.queue, n)
}

// next hands out the saves that may go now, in order.
func (q *saveQueue) next(give func(raft.Save)) {
	q.bringAlong()
	var waits, going, alone bool // before: a waiting save with log, one on its way, one that goes alone
	two := false                 // before: a vote that is not known to be in two batches yet
	for i := range q.queue {
		n := &q.queue[i]
		if n.state == saveWaits && !n.refused &&
			(!n.carries || !q.full && !waits && !alone && !(n.alone && going)) {
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
		log = log || q.queue[i].carries && q.queue[i].state == saveWaits && !q.full
	}
	for i := range q.queue {
		q.queue[i].refused = q.queue[i].refused && !log
	}
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

// done takes a durable save's messages, and says through which Seq all are durable; 0: no further
// than before.
func (q *saveQueue) done(seq uint64) (afterSave []raft.Message, through uint64) {
	for i := range q.queue {
		if n := &q.queue[i]; n.save.Seq == seq {
			afterSave, n.afterSave, n.state = n.afterSave, nil, saveDone
			if n.save.HardSet {
				q.supersede(i)
			}
		}
	}
	k := 0
	for k < len(q.queue) && q.queue[k].state == saveDone {
		through = q.queue[k].save.Seq
		k++
	}
	n := copy(q.queue, q.queue[k:])
	clear(q.queue[n:])
	q.queue = q.queue[:n]
	return afterSave, through
}

// refuse takes back a save that found no space. Alone: nothing with it carried log, so that there
// is no room even for votes.
func (q *saveQueue) refuse(seq uint64, alone bool) {
	for i := range q.queue {
		if n := &q.queue[i]; n.save.Seq == seq && n.state == saveGoes {
			n.state = saveWaits
			n.refused = alone && !n.carries
			q.full = q.full || n.carries
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

// retry lets everything that was refused go again.
func (q *saveQueue) retry() {
	q.full = false
	for i := range q.queue {
		q.queue[i].refused = false
	}
}
