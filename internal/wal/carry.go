package wal

import (
	"log/slog"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// minCarryBytes is how much one batch carries forward, beside what was appended. A longer batch
// carries twice its length: where two thirds of a segment are live, freeing one takes that.
const minCarryBytes = 256 << 10

// carrying is the oldest segment's live entries on their way to the newest.
type carrying struct {
	segment uint32 // whose; 0: nothing is being carried
	left    []carriedEntry
	blocked uint32 // the segment without room for the next entry
	rolls   bool   // a segment is being looked for to go on in
	round   carryRound
	moved   []movedEntry
	room    []byte // of the entry read last
}

// mostRoom is how much memory stays with the log to read entries into.
const mostRoom = 64 << 10

// carryRound is one pass over the chain by rolls that only carrying has asked for.
type carryRound struct {
	newest uint32 // the newest segment when it began
	chain  int64  // bytes of the chain then
	live   int64  // of them in use
}

// movedEntry is in the batch being written; the index follows once it is durable.
type movedEntry struct {
	carriedEntry
	from, to place
}

type carriedEntry struct {
	group raft.GroupID
	index raft.Index
}

// maxStale is how many segments may stand before those of former lives are emptied.
const maxStale = 3

// carryDue says whether the oldest segment is to be emptied: when the chain has half of MaxBytes
// and few of its bytes are live, so that a group that sleeps never pins the log; at three quarters,
// also if more are, until Pressed: where most is live, carrying would only copy, and the host has
// to compact.
func (l *Log) carryDue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.chain[min(l.dead(), len(l.chain)-1)]
	if oldest == l.current() || oldest.stuck || l.failed != nil {
		return false
	}
	var chain int64
	for _, s := range l.chain {
		chain += s.bytes()
	}
	// Every start begins a segment: without this, many starts and few writes would make a long chain
	// of nearly empty files, each to be read at the next start.
	stale := len(l.chain) > maxStale && oldest.life != l.life && oldest.liveBytes <= oldest.bytes()/8
	if chain < l.o.MaxBytes/2 && !stale {
		return false
	}
	few := stale || oldest.liveBytes <= oldest.bytes()/2
	press := chain >= l.o.MaxBytes/4*3 && l.live <= chain/8*5
	if !few && !press {
		return false
	}
	if l.carry.segment != oldest.id {
		l.carry.segment, l.carry.left = oldest.id, nil
	}
	if l.carryRoom() < 2 {
		l.carry.blocked = l.current().id
	}
	return l.carry.blocked != l.current().id
}

// carryRoom is how many blocks a carried batch may have: it takes half of the reserve too, as it
// is what makes a segment free.
func (l *Log) carryRoom() int { return l.room(claimState) - int(l.current().blocks)/16 }

// carryRolls says whether carrying has to go on in another segment by itself: entries, which else
// lead there, are refused until it has freed one.
func (l *Log) carryRolls() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble == nil && !l.closing && l.carryWaits() && (len(l.spares) > 0 || l.mayGrow())
}

// carryWaits says whether the log is full, and could be emptied further by what finds no room in the current
// segment. It could not if a whole round, in which nothing came to be dead, has freed nothing: long entries may
// fill a segment each, however often they are carried. But a segment of which nothing lives is free with the one in front
// of it, whatever an earlier round, of a shorter chain, has found. mu is held.
func (l *Log) carryWaits() bool {
	dead := l.dead()
	oldest := l.chain[min(dead, len(l.chain)-1)]
	if !l.full && !l.over() || l.carry.blocked != l.current().id || oldest.id != l.carry.segment || oldest.stuck {
		return false
	}
	if dead+2 < len(l.chain) && l.chain[dead+1].live == 0 {
		return true
	}
	r := &l.carry.round
	return oldest.id <= r.newest || l.chainBytes() < r.chain || l.live < r.live || r.chain == 0
}

func (l *Log) chainBytes() (n int64) {
	for _, s := range l.chain[l.dead():] {
		n += s.bytes()
	}
	return n
}

// rollToCarry goes on in a segment that holds all that lives in the oldest one: that is freed then, whatever
// the length of its entries.
func (l *Log) rollToCarry() {
	l.mu.Lock()
	oldest := l.segment(l.carry.segment)
	bytes := oldest.liveBytes + int64(oldest.live*2*wire.EntryRecordSize(0)) // each is repeated, beside the last batch
	need := wire.BlocksFor(int(bytes)) + 2*int(bytes/minCarryBytes+1)
	if r := &l.carry.round; oldest.id > r.newest {
		*r = carryRound{l.current().id, l.chainBytes(), l.live}
	}
	l.mu.Unlock()
	l.carry.rolls = true
	err := l.roll(need+need/15+1, false)
	l.carry.rolls = false
	if err != nil {
		l.stop(err)
	}
}

// collect lists the live entries of the segment being carried.
func (l *Log) collect() {
	l.carry.left = nil
	for _, id := range sortedGroups(l.groups) {
		g := l.groups[id]
		for i, p := range g.places {
			if p.segment == l.carry.segment {
				l.carry.left = append(l.carry.left, carriedEntry{id, g.first + raft.Index(i)})
			}
		}
	}
}

// carryInto writes the next live entries of the oldest segment into the batch, identity untouched.
// The old segment is freed by a later head, after this batch's sync.
func (l *Log) carryInto() bool {
	if !l.carryDue() {
		return false
	}
	l.mu.Lock()
	if len(l.carry.left) == 0 {
		l.collect()
	}
	s := l.segment(l.carry.segment)
	l.mu.Unlock()
	done, bytes, most := false, 0, max(minCarryBytes, 2*l.batch.Len())
	for len(l.carry.left) > 0 && bytes < most {
		c := l.carry.left[0]
		l.mu.Lock()
		var p place
		held := false
		if g := l.groups[c.group]; g != nil {
			p, held = g.place(c.index)
		}
		l.mu.Unlock()
		if held && p.segment == s.id {
			if wire.BlocksFor(l.batch.Len()+int(p.size)) > l.carryRoom() {
				l.mu.Lock()
				l.carry.blocked = l.current().id
				l.mu.Unlock()
				break
			}
			if err := l.carryOne(s, c, p); err != nil {
				l.mu.Lock()
				s.stuck, l.damaged = true, true
				l.mu.Unlock()
				l.o.Logger.Error("entry cannot be carried forward", slog.Uint64("group", uint64(c.group)),
					slog.Uint64("index", uint64(c.index)), slog.Any("err", err))
				break
			}
			bytes += int(p.size)
			done = true
		}
		l.carry.left = l.carry.left[1:]
	}
	return done
}

func (l *Log) carryOne(s *segment, c carriedEntry, p place) error {
	raw, err := l.readBack(s, p)
	if err != nil {
		return err
	}
	r, _, err := wire.DecodeRecord(raw)
	if err != nil {
		return s.corrupt(p.at/wire.BlockBodySize, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	to := l.putEntry(wire.RecordCarried, &r.Identity, r.Data)
	l.carry.moved = append(l.carry.moved, movedEntry{c, p, to})
	return nil
}

// readBack reads for the writer, which writes nothing meanwhile: a read that does not end is a stall. What it
// gives is valid until the next one.
func (l *Log) readBack(s *segment, p place) ([]byte, error) {
	l.mu.Lock()
	l.started = max(l.now(), 1)
	l.mu.Unlock()
	if cap(l.carry.room) > mostRoom {
		l.carry.room = nil
	}
	raw, err := s.readInto(&l.carry.room, p.at, p.size)
	l.mu.Lock()
	l.started = 0
	l.mu.Unlock()
	return raw, err
}

// moveCarried enters in the index what the batch just synced has carried.
func (l *Log) moveCarried() {
	for _, m := range l.carry.moved {
		l.drop(m.from)
		g := l.groups[m.group]
		g.places[m.index-g.first], g.wrote = m.to, m.to.segment
		l.carried++
	}
	l.carry.moved = l.carry.moved[:0]
	if l.dead() > 0 {
		l.prepare.Wake() // another file may be made now
	}
}
