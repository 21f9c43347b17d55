package host

import (
	"errors"
	"fmt"

	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/raft"
)

// reached lists the agreed snapshots here that the log reaches, newest first: those at its base or
// at one of its entries.
func (h *Host) reached(state *wal.GroupState) (metas []raft.SnapshotMeta) {
	for _, header := range h.snaps.List(state.Group, state.Birth) {
		meta := header.Meta
		i := meta.Index()
		behind := int64(i) - int64(state.BaseIdentity.Index)
		switch {
		case !h.snaps.Agreed(state.Group, state.Birth, i), behind < 0:
		case behind == 0 && meta.Sum == state.BaseSum,
			behind > 0 && behind <= int64(len(state.Entries)) && state.Entries[behind-1].Sum == meta.Sum:
			metas = append(metas, meta)
		}
	}
	return metas
}

// restoreNewest makes the machine, from the newest snapshot that can be restored: one that cannot
// is passed over, as the log behind the one before holds the same. nil: from the log alone.
func (g *group) restoreNewest(state *wal.GroupState, conf *raft.Configuration) (*raft.SnapshotMeta, error) {
	meta, bad, err := g.restoreFirst(g.h.reached(state), conf)
	if meta != nil || err != nil {
		return meta, err
	}
	if at := state.BaseIdentity.Index; at > 0 {
		return nil, errors.Join(fmt.Errorf("%w: %w: log begins after %d and no agreed snapshot at or behind it is readable", ErrDir, errNoState, at), bad)
	}
	return nil, g.makeMachine(conf)
}

// restoreFirst makes the machine from the first of these snapshots that can be restored; nil: from none, and bad
// says why.
func (g *group) restoreFirst(metas []raft.SnapshotMeta, conf *raft.Configuration) (meta *raft.SnapshotMeta, bad, err error) {
	for i := range metas {
		g.lane.clear()
		if err := g.makeMachine(conf); err != nil {
			return nil, bad, err
		}
		index := metas[i].Index()
		err := g.lane.loadSnapshot(g, index)
		if err == nil {
			return &metas[i], nil, nil
		}
		bad = errors.Join(bad, err)
		g.h.log.Error("snapshot passed over", "group", g.id, "index", index, "err", err)
	}
	return nil, bad, nil
}

// adoptReceived makes a snapshot from the others the base of a log that reaches none. It was received, and
// the process ended before the log took notice of it, while the ones before made way for it. It is
// agreed, hence committed: what the log has at its index, if another entry, is not.
func (h *Host) adoptReceived(state *wal.GroupState) error {
	if state.BaseIdentity.Index == 0 || len(h.reached(state)) > 0 {
		return nil
	}
	for _, header := range h.snaps.List(state.Group, state.Birth) {
		meta := header.Meta
		if meta.Index() <= state.BaseIdentity.Index || !h.snaps.Agreed(state.Group, state.Birth, meta.Index()) {
			continue
		}
		if err := h.saveNow(wal.GroupSave{Group: state.Group, Birth: state.Birth, Save: raft.Save{Base: &meta, Replaces: true}}); err != nil {
			return fmt.Errorf("adopt snapshot %d: %w", meta.Index(), err)
		}
		h.log.Warn("snapshot adopted", "group", state.Group, "index", meta.Index(), "former", state.BaseIdentity.Index)
		state.BaseIdentity, state.BaseSum, state.BaseConfiguration = meta.Identity, meta.Sum, meta.Configuration
		state.Entries, state.Commit = nil, 0
		return nil
	}
	return nil
}
