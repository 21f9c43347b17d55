package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// turn writes one batch: what was taken as far as it fits, or nothing but a promise. A batch
// begins with the repeat of the one before. Then it reports whom the sync has made durable.
func (l *Log) turn() {
	l.batch.Reset()
	l.scratch = wire.AppendRepeatRecord(l.scratch[:0], l.repeat.position, l.repeat.count)
	l.batch.Write(l.scratch)
	l.batch.Write(l.repeat.records)
	l.next = repeat{records: l.next.records[:0]}
	if room := l.room(claimState); l.batch.Blocks() > room {
		if err := l.roll(l.batch.Blocks(), false); err != nil {
			l.stop(err)
		}
		return
	}
	bearing := false
	for len(l.taken) > 0 {
		r := l.taken[0]
		if r.err = l.admit(r); r.err == nil {
			if bearing && l.batch.Len() > maxBatchBytes {
				break
			}
			if wire.BlocksFor(l.batch.Len()+r.size) > l.room(r.claim) {
				if !bearing {
					l.makeRoom(r) // the next turn begins with room, or without r
					return
				}
				break
			}
			l.encode(r)
			bearing = true
			r.need = l.written + 1
			if r.two {
				r.need++
			}
		}
		l.waiting = append(l.waiting, r)
		l.taken = slices.Delete(l.taken, 0, 1)
	}
	if l.carryInto() {
		bearing = true
	}
	if !bearing && l.promised && !l.second {
		l.settle() // every request was refused
		return
	}
	l.commit(bearing)
}

// stop ends the log after an error of a write or sync, or waits where there is only no space.
func (l *Log) stop(err error) {
	if errors.Is(err, ErrFull) {
		// Not even a promise fits, and no file can be had: the taken requests are refused, the
		// promise and second batches wait for space.
		for _, r := range l.taken {
			r.err = err
			l.waiting = append(l.waiting, r)
		}
		l.taken = nil
		if l.isClosing() {
			l.promised, l.second = true, false
			for _, r := range l.waiting {
				r.err = err
			}
		}
		l.settle()
		if !l.isClosing() {
			l.park(l.now() + retryAfter)
		}
		return
	}
	l.fail(err)
}

// admit checks every save of r against what the log holds.
func (l *Log) admit(r *request) error {
	for i := range r.saves {
		if s := &r.saves[i]; !s.Destroy {
			checkEntries(s)
		}
	}
	l.requests++
	clear(l.strangers)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range r.saves {
		s := &r.saves[i]
		g := l.groups[s.Group]
		if g == nil {
			g = l.stranger(s.Group)
		}
		if g.seen != l.requests {
			g.seen, g.next = l.requests, g.view()
		}
		var err error
		if g.next, err = g.next.after(s); err != nil {
			return err
		}
	}
	return nil
}

// stranger holds the view of a group of which nothing is saved yet.
func (l *Log) stranger(id raft.GroupID) *group {
	if l.strangers == nil {
		l.strangers = map[raft.GroupID]*group{}
	}
	g := l.strangers[id]
	if g == nil {
		g = newGroup(id, 0)
		l.strangers[id] = g
	}
	return g
}

// current is the segment that is written to.
func (l *Log) current() *segment { return l.chain[len(l.chain)-1] }

// claim is what a request may use of the space that is left (W9).
type claim uint8

const (
	claimState   claim = iota // votes, hard states and compactions: all of it
	claimEmpty                // empty entries: part of the reserve
	claimEntries              // all others: nothing of the reserve
)

func claimOf(entries []raft.Entry) claim {
	switch {
	case len(entries) == 0:
		return claimState
	case OnlyEmpty(entries):
		return claimEmpty
	}
	return claimEntries
}

// OnlyEmpty says whether entries are admitted while others are refused with ErrFull: a leader needs an
// empty one of its term before it can commit, or answer a linearizable read.
func OnlyEmpty(entries []raft.Entry) bool {
	for i := range entries {
		if entries[i].Kind != raft.KindEmpty {
			return false
		}
	}
	return true
}

// room is how many blocks a batch may have in the current segment. Entries leave the reserve
// alone, so that votes, hard states and compactions go on while there is no space; empty ones leave
// half of it, and half of the last segment that there is: elections must not use up what votes need.
func (l *Log) room(c claim) int {
	s := l.current()
	limit := s.mirror
	switch {
	case c == claimEntries && l.isOver():
		return 0
	case c == claimEntries:
		limit -= uint64(s.blocks) / 8
	case c == claimEmpty && l.lastSegment():
		limit -= uint64(s.blocks) / 2
	case c == claimEmpty:
		limit -= uint64(s.blocks) / 16
	}
	if limit <= s.end {
		return 0
	}
	return int(limit - s.end)
}

func (l *Log) isOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over()
}

// lastSegment says whether no other can follow the current one now.
func (l *Log) lastSegment() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.spares) == 0 && l.dead() == 0 && (l.trouble != nil || !l.mayGrow())
}

// makeRoom rolls to the next segment for r; while there is none, entries are refused.
func (l *Log) makeRoom(r *request) {
	need := wire.BlocksFor(l.batch.Len() + r.size)
	err := l.roll(need, r.claim == claimEntries)
	if errors.Is(err, ErrFull) && l.mayFree() {
		err = l.roll(1, false) // the next turn has the space of the dead ones
	}
	if err == nil {
		return
	}
	if !errors.Is(err, ErrFull) {
		l.fail(err)
		return
	}
	r.err = err
	l.waiting = append(l.waiting, r)
	l.taken = slices.Delete(l.taken, 0, 1)
	l.settle()
}

// mayFree says whether a segment that is prepared, though too short for what is to be written, can
// free others by its head.
func (l *Log) mayFree() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead() > 0 && (len(l.spares) > 0 || l.trouble == nil && l.mayGrow())
}

// encode writes the records of r into the batch and enters them in the index. Entries are read
// back only once they are durable: see Read.
func (l *Log) encode(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range r.saves {
		s := &r.saves[i]
		l.commands += s.Commands
		g := l.groups[s.Group]
		if g == nil || g.birth != s.Birth || g.destroyed {
			if g != nil {
				l.forget(g)
			}
			g = newGroup(s.Group, s.Birth)
			g.wrote = l.current().id
			l.groups[s.Group] = g
		}
		if s.Destroy {
			l.forget(g)
			*g = group{id: g.id, birth: g.birth, first: 1, destroyed: true, wrote: l.current().id}
			l.scratch = wire.AppendDestroyRecord(l.scratch[:0], g.id, g.birth)
			l.put(l.scratch, l.scratch)
			continue
		}
		l.encodeSave(g, &s.Save)
	}
}

func (l *Log) encodeSave(g *group, s *raft.Save) {
	if b := s.Base; b != nil {
		encoded := wire.AppendConfiguration(nil, &b.Configuration)
		l.scratch = wire.AppendBaseRecord(l.scratch[:0], g.id, g.birth, s.Replaces, &b.Identity, b.Configuration.Index, encoded)
		l.put(l.scratch, l.scratch)
		g.rebase(b, s.Replaces, encoded, l.drop)
		if s.Replaces {
			g.wrote = l.current().id
		}
	}
	if len(s.Entries) > 0 {
		g.truncate(s.Entries[0].Index, l.drop)
	}
	for i := range s.Entries {
		e := &s.Entries[i]
		g.add(e, l.putEntry(wire.RecordEntry, &e.Identity, e.Data))
	}
	if c := min(s.Commit, g.last.Index); c > max(g.floor, g.base.Index) {
		g.floor = c
		l.scratch = g.appendFloor(l.scratch[:0])
		l.batch.Write(l.scratch)
	}
	if s.HardSet {
		g.hard = s.Hard
		l.scratch = wire.AppendHardStateRecord(l.scratch[:0], g.id, g.birth, s.Hard)
		l.put(l.scratch, l.scratch)
	}
}

// put writes one record, and what the next batch repeats of it.
func (l *Log) put(record, again []byte) {
	l.batch.Write(record)
	l.next.records = append(l.next.records, again...)
	l.next.count++
}

// putEntry writes an entry and says where it will lie. The next batch repeats its identity;
// configurations whole, so that one rotten block never hides who belongs to a group.
func (l *Log) putEntry(kind wire.RecordKind, id *raft.Identity, data []byte) place {
	s := l.current()
	p := place{s.id, s.address(s.end) + uint32(l.batch.Len()), uint32(wire.EntryRecordSize(len(data)))}
	l.scratch = wire.AppendEntryHeader(l.scratch[:0], kind, id)
	l.batch.Write(l.scratch)
	l.batch.Write(data)
	if id.Kind == raft.KindConfiguration {
		l.next.records = append(append(l.next.records, l.scratch...), data...)
	} else {
		l.next.records = wire.AppendIdentityRecord(l.next.records, kind+2, id)
	}
	l.next.count++
	s.live++
	s.liveBytes += int64(p.size)
	l.live += int64(p.size)
	return p
}

// drop says that the entry at p is in no log any more.
func (l *Log) drop(p place) {
	s := l.segment(p.segment)
	if s == nil {
		return // a hole
	}
	s.live--
	s.liveBytes -= int64(p.size)
	l.live -= int64(p.size)
	if s.live < 0 {
		panic(fmt.Sprintf("W8: segment %d has %d live entries", s.number, s.live))
	}
}

func (l *Log) forget(g *group) { g.truncate(0, l.drop) }

// segment finds a segment of the chain by its id; nil: there is none.
func (l *Log) segment(id uint32) *segment {
	for i := len(l.chain) - 1; i >= 0; i-- {
		if l.chain[i].id == id {
			return l.chain[i]
		}
	}
	return nil
}

// commit makes the batch durable: one write of fresh blocks, one sync. Writes of one life are
// issued one by one, each after the sync of the former, so everything below its position is
// durable: that is its promise.
func (l *Log) commit(bearing bool) {
	s := l.current()
	position := s.end
	if err := l.fill(s, l.batch.Blocks()); err != nil {
		l.fail(err)
		return
	}
	buf := l.batch.Seal(wire.BlockBatch, l.life, position, position)
	if err := l.writeSync(s, buf, s.offset(position)); err != nil {
		l.fail(fmt.Errorf("write batch at %d of %s: %w", s.offset(position), fileName(s.number), err))
		return
	}
	l.next.position = position
	l.repeat, l.next = l.next, l.repeat
	l.written++
	l.promised = !bearing
	l.second = false
	l.idleAt = l.now() + promiseDelay
	l.mu.Lock()
	s.end += uint64(len(buf) / wire.BlockSize)
	s.filled = max(s.filled, uint32(s.end-s.head))
	s.batches++
	l.batches++
	l.moveCarried()
	half := s.end-s.head > uint64(s.blocks)/2
	l.mu.Unlock()
	if half {
		l.prepare.Wake()
	}
	l.settle()
}

// writeSync writes and syncs, and tells whoever wants to know.
func (l *Log) writeSync(s *segment, buf []byte, offset int64) error {
	err := l.timed(s, buf, offset)
	if err == nil && l.o.Synced != nil {
		l.o.Synced(Sync{Took: l.lastSync, Bytes: len(buf), Commands: l.commands})
		l.commands = 0
	}
	return err
}

// timed writes and syncs, and keeps the time.
func (l *Log) timed(s *segment, buf []byte, offset int64) error {
	start := l.now()
	l.mu.Lock()
	l.started = max(start, 1)
	l.mu.Unlock()
	err := s.f.WriteSync(buf, offset)
	took := l.now() - start
	l.mu.Lock()
	l.started = 0
	l.syncs++
	l.lastSync = took
	l.timings[l.timing%uint64(len(l.timings))] = took
	l.timing++
	l.mu.Unlock()
	return err
}

// settle reports, in order, all that is durable or refused.
func (l *Log) settle() {
	n := 0
	for n < len(l.waiting) {
		r := l.waiting[n]
		if r.err == nil && r.need > l.written {
			l.second = true
			break
		}
		n++
		l.report(r)
	}
	l.waiting = slices.Delete(l.waiting, 0, n)
}

// forgive notes that space has come back.
func (l *Log) forgive() {
	l.mu.Lock()
	was := l.full
	l.full = was && !l.admits(0)
	was = was && !l.full
	l.mu.Unlock()
	if was {
		l.o.Logger.Info("log has space again", slog.String("dir", l.o.Dir))
	}
}
