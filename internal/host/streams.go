package host

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// needsSnapshot sends one to a follower that is behind the log, or whose log is full; that one will do with a newer one.
func (g *group) needsSnapshot(to raft.ReplicaID) {
	if g.ahead(to) {
		g.sendSnapshot(to)
		return
	}
	g.snapshots.since = max(g.snapshots.since, 1)
	g.wantSnapshot()
	g.h.post(event{kind: evSent, g: g, replica: to, err: errNoSnapshot})
}

// sendSnapshot streams the newest agreed snapshot to another replica.
func (g *group) sendSnapshot(to raft.ReplicaID) {
	host := memberHost(g.r.Configuration(), to)
	if g.snapshots.sending == nil {
		g.snapshots.sending = make(map[raft.ReplicaID]bool)
	}
	if host == 0 || g.h.net.Load() == nil || g.snapshots.newest == nil || g.snapshots.sending[to] {
		if !g.snapshots.sending[to] {
			g.h.post(event{kind: evSent, g: g, replica: to, err: errNoSnapshot})
		}
		return
	}
	index := g.snapshots.newest.Identity.Index
	g.snapshots.sending[to] = true
	g.task("send snapshot", func() {
		err := g.streamSnapshot(host, index)
		if err != nil && !g.h.closed.Load() {
			g.h.log.Warn("snapshot not sent", "group", g.id, "to", host, "index", index, "err", err)
		}
		g.h.post(event{kind: evDo, fn: func() {
			delete(g.snapshots.sending, to)
			g.replaceLost()
		}})
		g.h.post(event{kind: evSent, g: g, replica: to, err: err})
	})
}

// ahead says whether the newest snapshot has more than a follower is known to hold.
func (g *group) ahead(to raft.ReplicaID) bool {
	for m, match := range g.r.Followers() {
		if n := g.snapshots.newest; m.Replica == to {
			return n != nil && n.Index() > match
		}
	}
	return true
}

// usable says whether a snapshot is here, agreed, and not found damaged since.
func (g *group) usable(s *raft.SnapshotMeta) bool {
	return s != nil && g.h.snaps.Agreed(g.id, g.birth, s.Index())
}

// replaceLost looks whether the newest snapshot has been found damaged. The one before serves as long as
// the log begins there, and another is made: who is behind the log would wait for ever.
func (g *group) replaceLost() {
	s := &g.snapshots
	if g.stopped != nil || s.newest == nil || g.usable(s.newest) {
		return
	}
	first := g.r.Status().First
	for _, h := range g.h.snaps.List(g.id, g.birth) {
		if i := h.Meta.Index(); i+1 >= first && i < s.newest.Index() && g.usable(&h.Meta) {
			s.newest = &h.Meta
			break
		}
	}
	s.since = max(s.since, 1) // there is something to make a snapshot of, though nobody writes
	g.wantSnapshot()
}

var errNoSnapshot = errors.New("no agreed snapshot to send")

func (g *group) streamSnapshot(host raft.HostID, index raft.Index) error {
	r, err := g.h.snaps.Open(g.id, g.birth, index)
	if err != nil {
		return err
	}
	header := r.Header()
	if err := r.Close(); err != nil {
		return err
	}
	return g.h.net.Load().SendSnapshot(context.Background(), host, header, func(offset int64, w io.Writer) error {
		return g.h.snaps.Send(w, g.id, g.birth, index, offset)
	})
}

// receiveSnapshot takes a stream for a replica here: verified, sealed, then given to raft.
func (h *Host) receiveSnapshot(header wire.SnapshotHeader, resume func(int64) error, r io.Reader) error {
	id := &header.Meta.Identity
	g := h.receiver(id)
	if g == nil {
		return fmt.Errorf("%w: group %d of birth %016x", ErrNoReplica, id.Group, uint64(id.Birth))
	}
	defer g.work.Add(-1)
	if uint64(id.Index) <= g.lane.applied.Load() && !g.needs.Load() {
		// The sender does not know what we hold, as after a crash between install and answer, and
		// would offer it for ever: raft tells it.
		h.post(event{kind: evInstalled, g: g, meta: &header.Meta})
		return fmt.Errorf("replica has applied %d already", g.lane.applied.Load())
	}
	if err := h.knows(&header.Meta.Configuration); err != nil {
		return err
	}
	offset := h.snaps.Offset(id.Group, id.Birth, id.Index)
	if err := resume(offset); err != nil {
		return err
	}
	got, err := h.snaps.Receive(r, id.Group, id.Birth, id.Index, offset)
	if err != nil {
		return err
	}
	meta := got.Meta
	h.post(event{kind: evInstalled, g: g, meta: &meta})
	return nil
}

// receiver is the replica that a snapshot is for, if there is one; its end waits for the stream.
func (h *Host) receiver(id *raft.Identity) *group {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.replicas[id.Group]
	if g == nil || g.birth != id.Birth {
		return nil
	}
	if g.work.Add(1); g.ended.Load() { // it may have looked for work already
		g.work.Add(-1)
		return nil
	}
	return g
}
