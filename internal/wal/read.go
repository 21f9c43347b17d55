package wal

import (
	"fmt"
	"slices"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Read fills the payloads of those entries of group in want that are not loaded: by index, and
// verified against Sum. It blocks on the disk. It returns ErrNotHeld where the log does not hold
// that entry (any more, or durably yet), and a *wire.CorruptError where its payload is rotten.
// The payloads are the caller's; some may share memory.
func (l *Log) Read(group raft.GroupID, want []raft.Entry) error {
	for i := range want {
		if want[i].Loaded() {
			continue
		}
		if err := l.readOne(group, &want[i]); err != nil {
			return fmt.Errorf("read entry %d of group %d: %w", want[i].Index, group, err)
		}
	}
	return nil
}

// readOne tries again while the entry moves: a segment may be freed and reused under a read.
func (l *Log) readOne(group raft.GroupID, e *raft.Entry) error {
	for {
		s, p, err := l.find(group, e.Index)
		if err != nil {
			return err
		}
		r, err := readEntry(s, p)
		if err == nil && r.Identity.Digest() == e.Sum && r.Group == group {
			e.Data = r.Data
			return nil
		}
		if _, again, lost := l.find(group, e.Index); lost == nil && again == p {
			if err == nil {
				return ErrNotHeld // another entry has this index
			}
			l.mu.Lock()
			l.damaged = true
			l.mu.Unlock()
			return err
		}
	}
}

// find returns where an entry lies, once it is durable.
func (l *Log) find(group raft.GroupID, index raft.Index) (*segment, place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[group]
	if g == nil {
		return nil, place{}, ErrNotHeld
	}
	p, ok := g.place(index)
	if !ok {
		return nil, p, ErrNotHeld
	}
	s := l.segment(p.segment)
	if s == nil {
		return nil, p, &wire.CorruptError{What: "entry", Expected: "its payload", Found: "a hole since the log was opened"}
	}
	if p.at >= s.address(s.end) && p.at < s.address(s.mirror) {
		return nil, p, ErrNotHeld // not synced yet; what the mirror holds is
	}
	return s, p, nil
}

// readEntry reads and verifies the record at p.
func readEntry(s *segment, p place) (r wire.Record, err error) {
	raw, err := s.read(p.at, p.size)
	if err != nil {
		return r, err
	}
	if r, _, err = wire.DecodeRecord(raw); err != nil {
		return r, s.corrupt(p.at/wire.BlockBodySize, err)
	}
	if _, whole, _ := r.Held(); !whole || len(r.Data) > 0 && wire.PayloadDigest(r.Data) != r.Identity.Payload {
		return r, s.corrupt(p.at/wire.BlockBodySize, &wire.CorruptError{
			What: "entry's payload", Expected: r.Identity.Payload.String(), Found: wire.PayloadDigest(r.Data).String(),
		})
	}
	return r, nil
}

// Stats returns the log's state at this moment. It touches no disk.
func (l *Log) Stats() Stats {
	l.queueing.Lock()
	queued := l.queued
	l.queueing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{
		Bytes: l.total, MaxBytes: l.o.MaxBytes, LiveBytes: l.live,
		Segments: len(l.chain), Spares: len(l.spares), Syncs: l.syncs, Batches: l.batches, LastSync: l.lastSync,
		StalledSince: l.started, QueueBytes: queued, Carried: l.carried,
		Full: l.refuses(), Failed: l.failed != nil, Damaged: l.damaged,
	}
	n := int(min(l.timing, uint64(len(l.timings))))
	if n > 0 {
		sorted := l.timings
		slices.Sort(sorted[:n])
		s.P99Sync = sorted[(n*99+99)/100-1]
	}
	return s
}
