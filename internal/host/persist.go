package host

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/raft"
)

// batch is one turn's saves on their way to the disk: all groups of the turn share one write and
// one sync.
type batch struct{ savers []saver }

// saver is one group's part of a batch: what it may say once the batch is durable.
type saver struct {
	g         *group
	save      raft.Save
	afterSave []raft.Message
}

// save puts what raft wants durable into this turn's batch.
func (g *group) save(rd *raft.Ready) {
	if rd.Save.Empty() {
		for i := range rd.AfterSave {
			g.send(&rd.AfterSave[i]) // nothing to wait for
		}
		return
	}
	g.cache(rd.Save.Entries)
	g.queueSave(rd.Save, rd.AfterSave)
}

// queueSave gives a save its place in the order of completions, and hands it on.
func (g *group) queueSave(s raft.Save, afterSave []raft.Message) {
	g.pending = append(g.pending, s.Seq)
	if s.HardSet {
		// An older hard state must not come after this one, and need not come at all: whatever
		// waits for it is as well served by the newer.
		for i := range g.unsaved {
			g.unsaved[i].save.HardSet = false
		}
	}
	if len(g.unsaved) > 0 && (len(s.Entries) > 0 || s.Base != nil) {
		g.unsaved = append(g.unsaved, unsaved{save: s, afterSave: afterSave})
		return
	}
	g.handSave(s, afterSave)
}

func (g *group) handSave(s raft.Save, afterSave []raft.Message) {
	h := g.h
	h.saves = append(h.saves, wal.GroupSave{Group: g.id, Birth: g.birth, Save: s, Configuration: g.savedConfiguration(&s)})
	h.savers = append(h.savers, saver{g: g, save: s, afterSave: afterSave})
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

// persist hands the turn's saves to the log: one batch for all groups.
func (h *Host) persist() {
	if len(h.saves) == 0 {
		return
	}
	saves, b := h.saves, &batch{savers: h.savers}
	h.saves, h.savers = nil, nil
	if h.failed != nil {
		return
	}
	h.wal.Append(saves, func(err error) { h.post(event{kind: evSaved, batch: b, err: err}) })
}

// handleSaved releases what waited for the disk, or learns that the disk is full, or failed.
func (h *Host) handleSaved(b *batch, err error) {
	switch {
	case err == nil:
		for i := range b.savers {
			b.savers[i].saved()
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

// saved sends what waited. A save that passed others, which wait for space, is not reported to raft
// before them: InSaved speaks for every save up to its Seq.
func (s *saver) saved() {
	g := s.g
	for i := range s.afterSave {
		g.send(&s.afterSave[i])
	}
	if i := slices.Index(g.pending, s.save.Seq); i >= 0 {
		g.pending = slices.Delete(g.pending, i, i+1)
	}
	through := max(g.reported, s.save.Seq)
	if len(g.pending) > 0 {
		through = min(through, g.pending[0]-1)
	}
	if through > g.reported || len(g.pending) == 0 {
		g.reported = max(g.reported, through)
		g.step(raft.Input{Kind: raft.InSaved, Seq: through})
	}
}

// full keeps a save that found no space. One without entries has only been refused in their
// company, and goes again at once: votes go on while a disk is full.
func (s *saver) full() {
	if len(s.save.Entries) == 0 {
		s.g.handSave(s.save, s.afterSave)
		return
	}
	s.g.unsaved = append(s.g.unsaved, unsaved{save: s.save, afterSave: s.afterSave})
	s.g.retryLater()
}

// fail latches a failed log: a failed sync leaves unknown bytes, so nothing is written, voted,
// acknowledged or served from here on until the process starts anew.
func (h *Host) fail(err error) {
	if h.failed != nil {
		return
	}
	h.failed = fmt.Errorf("%w: %w", ErrLog, err)
	h.log.Error("log failed", "host", h.identity.is.Host, "err", err, "do", "see the disk, then restart lockstep")
	for _, g := range h.order {
		g.stop(h.failed)
	}
}

// unsaved is a save that a full disk refused; it waits for space, in order.
type unsaved struct {
	save      raft.Save
	afterSave []raft.Message
}

// retryEvery is how often refused saves are tried again: space is used within a moment of its return.
const retryEvery = 200 * time.Millisecond

func (g *group) retryLater() {
	g.retryAt = g.h.env.Clock().Now() + retryEvery
	g.arm()
}

// retrySaves gives the waiting saves to the log again, all in one batch and in order.
func (g *group) retrySaves() {
	g.retryAt = 0
	if len(g.unsaved) == 0 || g.stopped != nil || g.h.wal.Full() {
		if len(g.unsaved) > 0 && g.stopped == nil {
			g.retryLater()
		}
		return
	}
	waiting := g.unsaved
	g.unsaved = nil
	for _, u := range waiting {
		g.handSave(u.save, u.afterSave)
	}
	g.touch()
}
