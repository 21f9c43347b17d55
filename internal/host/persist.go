package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// batch is one turn's saves on their way to the disk: all groups of the turn share one write and
// one sync.
type batch struct {
	savers []saver
	saved  func(error) // tells the turn
}

// saver is one group's part of a batch.
type saver struct {
	g   *group
	seq uint64
}

// save puts what raft wants durable into this turn's batch.
func (g *group) save(rd *raft.Ready) {
	if rd.Save.Empty() {
		for i := range rd.AfterSave {
			g.send(&rd.AfterSave[i]) // nothing to wait for
		}
		g.h.memory.ReuseMessages(rd.AfterSave)
		return
	}
	g.cache(rd.Save.Entries)
	g.saves.add(rd.Save, rd.AfterSave, g.r.Saved())
	g.handSaves()
	if g.saves.blocked() {
		g.retryLater() // what was refused may have been given up since, and this waits in its place
	}
}

// handSaves gives the batch every save that may go now.
func (g *group) handSaves() {
	h := g.h
	if g.stopped != nil {
		return
	}
	g.saves.next(func(s raft.Save) {
		h.saves = append(h.saves, wal.GroupSave{Group: g.id, Birth: g.birth, Save: s, Configuration: g.savedConfiguration(&s)})
		h.savers = append(h.savers, saver{g: g, seq: s.Seq})
	})
}

// savedConfiguration is the one that the log must repeat in its heads: the newest, where it changes.
func (g *group) savedConfiguration(s *raft.Save) *raft.Configuration {
	if s.Base != nil {
		return g.r.Configuration()
	}
	for i := range s.Entries {
		if s.Entries[i].Kind == raft.KindConfiguration {
			return g.r.Configuration()
		}
	}
	return nil
}

// persist hands the turn's saves to the log: one batch for all groups, unless that is so long that the
// log may lack one segment for all of it while it has two for its parts.
func (h *Host) persist() {
	if len(h.saves) == 0 {
		return
	}
	saves, savers := h.saves, h.savers
	h.saves, h.savers = h.saves[:0], h.savers[:0] // the log copies saves, and its batches savers
	if cap(saves) > maxKept && cap(saves) > 4*len(saves) {
		h.saves, h.savers = nil, nil
	}
	defer clear(saves)
	defer clear(savers)
	if h.failed != nil {
		return
	}
	for len(saves) > 0 {
		n, bytes := 0, int64(0)
		for n < len(saves) && (n == 0 || bytes+saveBytes(&saves[n]) <= h.opts.WALSegmentBytes/4 && small(&saves[n]) == small(&saves[0])) {
			bytes += saveBytes(&saves[n])
			if h.opts.Observer != nil {
				saves[n].Commands = countCommands(saves[n].Save.Entries)
			}
			n++
		}
		b := h.newBatch()
		b.savers = append(b.savers, savers[:n]...)
		h.wal.Append(saves[:n:n], b.saved)
		saves, savers = saves[n:], savers[n:]
	}
}

// maxSpareBatches is how many batches that are handled are kept for the next ones.
const maxSpareBatches = 4

// newBatch gives an empty batch: one that is handled, or a new one.
func (h *Host) newBatch() *batch {
	if n := len(h.batches); n > 0 {
		b := h.batches[n-1]
		h.batches[n-1], h.batches = nil, h.batches[:n-1]
		return b
	}
	b := &batch{}
	b.saved = func(err error) { h.post(event{kind: evSaved, batch: b, err: err}) }
	return b
}

// reuse keeps a batch that was handled. The log tells each once.
func (h *Host) reuse(b *batch) {
	if cap(b.savers) > maxTouched || len(h.batches) >= maxSpareBatches {
		return
	}
	clear(b.savers)
	b.savers = b.savers[:0]
	h.batches = append(h.batches, b)
}

// small says whether a full log has room for a save: it is not to be refused for the company it is in.
func small(s *wal.GroupSave) bool { return wal.OnlyEmpty(s.Save.Entries) }

// saveBytes is about what a save takes of the log.
func saveBytes(s *wal.GroupSave) (n int64) {
	for i := range s.Save.Entries {
		n += int64(s.Save.Entries[i].Length) + entryOverhead
	}
	return n
}

// countCommands of clients in entries that are about to be saved: their payloads are loaded.
func countCommands(entries []raft.Entry) (n int) {
	for i := range entries {
		if entries[i].Kind != raft.KindCommands {
			continue
		}
		for it := wire.DecodePayload(entries[i].Data); it.Next(); {
			n++
		}
	}
	return n
}

// handleSaved releases what waited for the disk, or learns that the disk is full, or failed.
func (h *Host) handleSaved(b *batch, err error) {
	h.expectPressure()
	switch {
	case err == nil:
		now := h.env.Clock().Now()
		for i := range b.savers {
			b.savers[i].g.linger.saved = now
			b.savers[i].saved()
			h.obeyMany()
		}
	case errors.Is(err, wal.ErrFull), errors.Is(err, wal.ErrGap): // a gap: what is before it waits for space
		for i := range b.savers {
			b.savers[i].full()
		}
	case h.closed.Load():
	default:
		h.fail(err)
	}
}

// saved sends what waited (H8), and tells raft.
func (s *saver) saved() {
	g := s.g
	afterSave, through := g.saves.done(s.seq)
	if g.stopped != nil {
		return // it votes and acknowledges no more: nobody could tell that it did (H8)
	}
	if through < s.seq {
		g.step(raft.Input{Kind: raft.InHardSaved, Seq: s.seq}) // it passed entries that wait for space
	}
	for i := range afterSave {
		g.send(&afterSave[i])
	}
	g.h.memory.ReuseMessages(afterSave)
	if through > 0 {
		g.step(raft.Input{Kind: raft.InSaved, Seq: through})
		g.trim()
	}
	g.handSaves() // what waited for this one
}

// full keeps a save that found no space. One that needs none for entries may have been refused in the
// company of others, and goes again at once: votes go on while a disk is full (H15).
func (s *saver) full() {
	g := s.g
	g.saves.refuse(s.seq)
	if g.saves.writing() {
		g.step(raft.Input{Kind: raft.InStorageFull, Bound: g.h.wal.Pressed()})
	}
	g.handSaves()
	g.touch()
	if g.saves.blocked() {
		g.retryLater()
	}
}

// fail latches a failed log: a failed sync leaves unknown bytes, so nothing is written, voted,
// acknowledged or served from here on until the process starts anew (H16).
func (h *Host) fail(err error) {
	if h.failed != nil {
		return
	}
	h.failed = fmt.Errorf("%w: %w", ErrLog, err)
	h.log.Error("log failed", "host", h.identity.is.Host, "err", err, "do", "see the disk, then restart lockstep")
	h.observe(env.Event{Kind: env.LogFailed, Text: err.Error()})
	for _, g := range h.order {
		g.stop(h.failed)
	}
}

// retryEvery is how often refused saves are tried again: space is used within a moment of its return.
const retryEvery = 200 * time.Millisecond

func (g *group) retryLater() {
	if g.retryAt == 0 {
		g.retryAt = g.h.env.Clock().Now() + retryEvery
		g.arm()
	}
}

// retrySaves gives what a full disk refused to the log again.
func (g *group) retrySaves() {
	g.retryAt = 0
	if g.stopped != nil || !g.saves.blocked() {
		return
	}
	full := g.h.wal.Full()
	if full {
		g.relieve()
		if g.saves.writing() {
			g.step(raft.Input{Kind: raft.InStorageFull, Bound: g.h.wal.Pressed()})
		}
	}
	g.saves.retry(!full)
	g.handSaves()
	g.touch()
	if g.saves.blocked() {
		g.retryLater()
	}
}
