package wal

import (
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// remains is what is left of the newest segment when the next one begins, restated in the next one's
// head, which then does not name it any more, and holds the batch that its head has repeated (W6). Every start begins a segment: without this, each life
// would take one for the little that it wrote, and votes on a full log would use up what is kept for
// them (W9).
//
// Only the newest can be left out so: nothing behind it was written on top of what it holds.
type remains struct {
	of      *segment // nil: it stays
	records []byte
	behind  int          // bytes of the head behind the records
	moved   []movedEntry // to is counted from the first of records, until begin
}

// remainsOf lists what the newest segment holds, if it is worth leaving it out: at most most bytes.
// It reads, so it parks; nobody but the writer changes what it looks at.
func (l *Log) remainsOf(most int64) (r remains) {
	s := l.current()
	if s.f == nil || s.liveBytes > most {
		return r
	}
	for _, g := range l.groups {
		if g.condition != Normal || len(g.holes) > 0 {
			return r // what is known of it hangs on where it lies
		}
	}
	for _, id := range sortedGroups(l.groups) {
		if g := l.groups[id]; g.wrote == s.id && !g.destroyed && !r.add(l, s, g) {
			return remains{}
		}
	}
	r.of = s
	return r
}

// add restates what s holds of a group. What it appended is the end of the group's log, and goes as what
// it was. If the log lies in s as a whole, the former one may have been replaced there: then it is
// replaced once more.
func (r *remains) add(l *Log, s *segment, g *group) bool {
	whole := true
	for _, p := range g.places {
		whole = whole && p.segment == s.id
	}
	switch {
	case whole && g.base.Index > 0:
		r.records = wire.AppendBaseRecord(r.records, g.id, g.birth, true, &g.base, g.baseConfigured, g.baseConfiguration)
	case whole:
		r.records = wire.AppendDestroyRecord(r.records, g.id, g.birth)
		r.records = wire.AppendHardStateRecord(r.records, g.id, g.birth, g.hard)
	}
	for i, p := range g.places {
		if p.segment != s.id {
			continue
		}
		raw, err := l.readBack(s, p)
		if err != nil {
			return false
		}
		if whole {
			raw[0] = byte(wire.RecordEntry)
		}
		to := place{at: uint32(len(r.records)), size: p.size}
		r.records = append(r.records, raw...)
		r.moved = append(r.moved, movedEntry{carriedEntry{g.id, g.first + raft.Index(i)}, p, to})
	}
	return true
}

// settleIn enters in the index that the head of s, durable by now, holds what remains. Its stream
// has size bytes.
func (l *Log) settleIn(s *segment, r *remains, size int) {
	from := uint32(size - r.behind - len(r.records))
	for _, m := range r.moved {
		m.to.segment, m.to.at = s.id, m.to.at+from
		l.drop(m.from)
		g := l.groups[m.group]
		g.places[m.index-g.first] = m.to
		s.live++
		s.liveBytes += int64(m.to.size)
		l.live += int64(m.to.size)
	}
	for _, g := range l.groups {
		if r.of != nil && g.wrote == r.of.id {
			g.wrote = s.id
		}
	}
}
