package raft

import "slices"

// entrySize is what an entry without payload costs in memory, for the bounds; about its size.
const entrySize = 112

// size of an entry as the windows and bounds count it.
func (e *Entry) size() int64 { return int64(e.Length) + entrySize }

// entryLog is the part of the log after the last snapshot. Slices of it are handed to the host and
// shared with other turns, so no element is ever written twice: a truncation clips the capacity,
// and dropping payloads copies.
type entryLog struct {
	base    Identity // of the last entry before the log; zero: the log begins at 1
	baseSum Digest
	entries []Entry
	handed  Index // through it, entries were given to a Save
	saved   Index // through it, the log is durable (A8)

	trim      Index // payloads through it may leave memory
	trimBytes int64 // of payloads that may leave and have not
}

func (l *entryLog) first() Index { return l.base.Index + 1 }
func (l *entryLog) last() Index  { return l.base.Index + Index(len(l.entries)) }

// lastIdentity is that of the last entry, or of the base.
func (l *entryLog) lastIdentity() (*Identity, Digest) {
	if n := len(l.entries); n > 0 {
		return &l.entries[n-1].Identity, l.entries[n-1].Sum
	}
	return &l.base, l.baseSum
}

// at returns the entry at i, which the log must hold.
func (l *entryLog) at(i Index) *Entry { return &l.entries[i-l.first()] }

// position returns what is at i: an entry, the base, or nothing.
func (l *entryLog) position(i Index) (Position, Digest, bool) {
	switch {
	case i == l.base.Index:
		return l.base.Position(), l.baseSum, true
	case i > l.base.Index && i <= l.last():
		e := l.at(i)
		return e.Identity.Position(), e.Sum, true
	}
	return Position{}, 0, false
}

// slice returns entries [lo, hi), capped so that nobody appends into the log.
func (l *entryLog) slice(lo, hi Index) []Entry {
	if lo >= hi {
		return nil
	}
	f := l.first()
	return l.entries[lo-f : hi-f : hi-f]
}

// bounded returns entries from lo on that together have at most limit bytes; at least one, if
// there is one before hi.
func (l *entryLog) bounded(lo, hi Index, limit int64) []Entry {
	end := lo
	for size := int64(0); end < hi; end++ {
		size += l.at(end).size()
		if size > limit && end > lo {
			break
		}
	}
	return l.slice(lo, end)
}

// push adds an entry; its Index is last+1.
func (l *entryLog) push(e Entry) { l.entries = append(l.entries, e) }

// truncate forgets the entries from i on. Saved falls in the same Step (R3): what the disk holds
// there is no longer the log.
func (l *entryLog) truncate(i Index) {
	// The capacity is clipped because Ready's slices share the array: the next push must not
	// write where another turn reads (bug 90).
	l.entries = slices.Clip(l.entries[:i-l.first()])
	l.handed = min(l.handed, i-1)
	l.saved = min(l.saved, i-1)
	if l.trim >= i {
		l.trim = i - 1
	}
}

// compact makes the entry at id the base. If the log holds it, what comes after stays, else the
// log is empty. Saved does not rise: that the log begins there is not yet on disk.
func (l *entryLog) compact(id Identity, sum Digest) {
	if _, have, ok := l.position(id.Index); ok && have == sum {
		rest := l.entries[id.Index-l.base.Index:]
		if cap(rest) > 2*len(rest)+64 {
			rest = slices.Clone(rest) // the head of the array would keep its payloads alive
		}
		l.entries = rest
	} else {
		l.entries = nil
		l.handed = id.Index
	}
	l.base, l.baseSum = id, sum
	l.handed = max(l.handed, id.Index)
	if l.trim <= id.Index {
		l.trim, l.trimBytes = id.Index, 0
	}
}

// release lets the payloads through i leave memory. They do so when there are enough of them to
// pay for the copy; configurations stay.
func (l *entryLog) release(i Index) {
	i = min(i, l.handed)
	for l.trim = max(l.trim, l.base.Index); l.trim < i; l.trim++ {
		if e := l.at(l.trim + 1); e.Kind != KindConfiguration {
			l.trimBytes += int64(len(e.Data))
		}
	}
	if l.trimBytes == 0 || 4*l.trimBytes < int64(len(l.entries))*entrySize {
		return
	}
	fresh := slices.Clone(l.entries)
	for k := range fresh {
		if fresh[k].Index > l.trim {
			break
		}
		if fresh[k].Kind != KindConfiguration {
			fresh[k].Data = nil
		}
	}
	l.entries, l.trimBytes = fresh, 0
}
