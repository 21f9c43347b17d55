package host

import (
	"cmp"
	"slices"

	"github.com/lockstep-rsm/lockstep/raft"
)

// What waits for a disk that is full, perhaps for hours, is merged where it stands side by side. A save that is merged is
// reported with the one behind it, which is later than alone, and never sooner than it is durable itself.

const (
	// maxLoose is how many saves with log wait as they came.
	maxLoose = 16
	// mergedShare is of a segment of the log what a merged save may be: raft's own may be a quarter, and one that no
	// segment takes would never be written.
	mergedShare = 8
	// maxSpoken bounds the messages that wait for one save.
	maxSpoken = 64
)

// merge makes one of neighbours, and says which of the terms and votes that wait is the newest; -1: none does.
func (q *saveQueue) merge() (newest int) {
	last := q.newestIdle()
	log := int64(0)
	if q.full && len(q.queue) > int(cmp.Or(q.loose, maxLoose)) {
		log = q.small
	}
	var moved []raft.Message // that wait for the newest term, and were before it
	two := false             // some of them for a vote
	newest = -1
	k := 0
	for i := range q.queue {
		n := q.queue[i]
		for ; k > 0 && q.queue[k-1].mergesWith(&n, log, last.save.Seq); k-- {
			p := &q.queue[k-1]
			if n.take(p); p.idle() && !n.idle() && p.hard == last.hard {
				moved, two = join(moved, p.afterSave), two || p.save.TwoBatch
			}
		}
		if n.idle() && n.save.Seq == last.save.Seq {
			newest, n.afterSave = k, spoken(moved, n.afterSave)
			n.save.TwoBatch = n.save.TwoBatch || two
		}
		q.queue[k] = n
		k++
	}
	clear(q.queue[k:])
	q.queue = q.queue[:k]
	return newest
}

// newestIdle is the newest save that is nothing but a term or vote that waits; one of Seq 0: there is none.
func (q *saveQueue) newestIdle() (last queuedSave) {
	for i := range q.queue {
		if q.queue[i].idle() {
			last = q.queue[i]
		}
	}
	return last
}

// mergesWith says whether the save right behind n can stand for both, be it one with log, of so many bytes. Last is the
// Seq of the newest term that waits.
func (n *queuedSave) mergesWith(next *queuedSave, bytes int64, last uint64) bool {
	log := bytes > 0 && next.state == saveWaits && next.carries && next.save.Base == nil
	switch {
	case n.until > 0 || next.until > 0:
		return false
	case n.state == saveDone: // and only its report is missing
		return !n.carries && len(n.afterSave) == 0
	case n.idle():
		return next.idle() || log && n.save.Seq < last // that goes for it
	}
	return log && n.extendedBy(next) && n.bytes+next.bytes <= bytes
}

// extendedBy says whether next's entries follow n's, and both can be in one save: none of a term that would pass a later
// one, and no empty entries that would wait for others. If next replaces log, that was behind n's and waited as well.
func (n *queuedSave) extendedBy(next *queuedSave) bool {
	k := len(n.save.Entries)
	return n.state == saveWaits && k > 0 && n.save.Base == nil && next.save.Entries[0].Index == n.save.Entries[k-1].Index+1 &&
		(!n.save.HardSet || next.save.HardSet) && (!n.empty || next.empty)
}

// take makes n stand for p as well, which is right before it. What p would have said is of the past if it is about an
// older term.
func (n *queuedSave) take(p *queuedSave) {
	n.owes = max(n.owes, p.owes)
	switch {
	case p.state == saveDone:
	case p.idle() && !n.idle():
		n.owes = max(n.owes, p.save.Seq)
	case p.idle():
		n.save.TwoBatch = n.save.TwoBatch || p.save.TwoBatch
		if p.hard == n.hard {
			n.afterSave = spoken(p.afterSave, n.afterSave)
		}
	default:
		n.save.TwoBatch = n.save.TwoBatch || p.save.TwoBatch
		if !p.save.HardSet || p.hard == n.hard {
			n.afterSave = spoken(p.afterSave, n.afterSave)
		}
		es := p.save.Entries
		if !p.merged {
			es = slices.Clip(es) // others read what is behind
		}
		n.save.Entries, n.merged = append(es, n.save.Entries...), true
		n.alone, n.empty, n.bytes = p.alone || n.alone, n.empty && p.empty, n.bytes+p.bytes
	}
}

// spoken is join, cut to the last ones: those of one save say more and more of the same.
func spoken(a, b []raft.Message) []raft.Message {
	all := join(a, b)
	return slices.Delete(all, 0, max(0, len(all)-maxSpoken))
}
