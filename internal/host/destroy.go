package host

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A group ends in two steps (docs/decisions/0025-groups-end.md): its own log stops its writes, so that
// nothing is acknowledged behind its end, and the registry says that this birth of it is over. Every host
// reads that, ends its replica, and begins none of that birth again, whatever comes late.

// errDestroyed says that the group is no more.
var errDestroyed = errors.New("group was destroyed")

// Destroy ends a group on every host, with its data. Here they have gone when it returns.
func (h *Host) Destroy(ctx context.Context, id raft.GroupID) error {
	if id == systemGroup {
		return notCommitted(fmt.Errorf("%w: group 0 is the engine's own", ErrOptions))
	}
	if err := h.awaitReplica(ctx, systemGroup); err != nil {
		return err
	}
	if err := h.ConfirmNotes(ctx); err != nil { // the registry is read through what was said before
		return notCommitted(err)
	}
	n, ok := h.liveName(id)
	if !ok {
		return notCommitted(fmt.Errorf("%w: group %d", ErrNoGroup, id))
	}
	if err := h.halt(ctx, n); err != nil {
		return fmt.Errorf("stop the writes of group %d: %w", id, err)
	}
	_, err := h.register(ctx, h.patience(ctx), registryCommand{Destroy: &destroyCommand{ID: id, Birth: n.birth}})
	var no *machine.Refusal
	if errors.As(err, &no) {
		return notCommitted(fmt.Errorf("%w: group %d: %s", ErrNoGroup, id, no.Text))
	}
	if err != nil {
		return err
	}
	return h.awaitEnd(ctx, n)
}

// halt stops the group's writes through its own log.
func (h *Host) halt(ctx context.Context, n replicaName) error {
	for until := h.patience(ctx); !h.isGone(n); {
		c, err := h.Configuration(ctx, n.group)
		if err == nil {
			settings := c.Settings
			settings.Halt = raft.HaltEnd
			_, err = h.Reconfigure(ctx, n.group, &Target{
				Index: c.Index, Voters: votersToBe(&c), Learners: learnersOnly(&c), Settings: settings, Birth: n.birth,
			})
		}
		var no *RefusedError
		if err == nil || h.isGone(n) || errors.As(err, &no) && !no.passes {
			return err
		}
		if end := h.pauseUntil(ctx, until, err); end != nil {
			return unknown(end)
		}
	}
	return nil
}

// awaitEnd waits until nothing of the group is left here.
func (h *Host) awaitEnd(ctx context.Context, n replicaName) error {
	w := h.env.NewWaiter()
	for {
		h.watch(w)
		h.mu.Lock()
		g := h.replicas[n.group]
		ended := h.directory.gone[n] && (g == nil || g.birth != n.birth)
		h.mu.Unlock()
		switch {
		case ended:
			return nil
		case h.closed.Load():
			return unknown(ErrClosed)
		case ctx.Err() != nil:
			return unknown(ctx.Err())
		}
		_ = w.Wait(ctx, h.env.Clock().Now()+foundingSlow) //nolint:staticcheck // it looks again
	}
}

// liveName is the group of this id that there is now, as far as this host has read the registry.
func (h *Host) liveName(id raft.GroupID) (replicaName, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.directory.groups[id]
	return replicaName{id, r.Birth}, ok
}

func (h *Host) isGone(n replicaName) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.directory.gone[n]
}

// noReplica says why a call on a group has nobody to go to here.
func (h *Host) noReplica(id raft.GroupID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, live := h.directory.groups[id]; !live && h.directory.over[id] {
		return fmt.Errorf("%w: group %d was destroyed", ErrNoGroup, id)
	}
	return fmt.Errorf("%w: group %d", ErrNoReplica, id)
}

// everyReplica is above every replica id: that it has ended here says that all have.
const everyReplica = raft.ReplicaID(math.MaxUint64)

// groupGone ends what is here of a group that was destroyed. It runs on the lane of group 0.
func (h *Host) groupGone(n replicaName) {
	h.mu.Lock()
	h.directory.gone[n], h.directory.over[n.group] = true, true
	if h.directory.groups[n.group].Birth == n.birth {
		delete(h.directory.groups, n.group)
	}
	h.mu.Unlock()
	h.post(event{kind: evDo, fn: func() {
		if g := h.groups[n.group]; g != nil && g.birth == n.birth {
			g.endFor(errDestroyed)
		}
	}})
	h.sweepGone(n)
}

// sweepGone removes what is left of a destroyed group that no replica could be made of.
func (h *Host) sweepGone(n replicaName) {
	h.mu.Lock()
	_, dormant := h.dormant[n]
	why := h.unrecovered[n]
	left := h.directory.gone[n] && (dormant || why != "") && !h.entering[n.group]
	if left {
		h.entering[n.group] = true
	}
	g := h.replicas[n.group]
	stray := h.directory.gone[n] && !dormant && why == "" && (g == nil || g.birth != n.birth)
	h.mu.Unlock()
	if stray && h.overcome.has(n) {
		h.tasks.run("end", func() { // the replica that left them was taken out of the group before
			if err := h.removeDumps(n); err != nil && !h.closed.Load() {
				h.log.Warn("destroyed group's commands stay", "host", h.ID(), "group", n.group, "err", err, "do", "see the disk; they go at the next start")
			}
		})
	}
	if !left {
		return
	}
	h.tasks.run("end", func() {
		err := h.noteRemoved(n, everyReplica)
		if err == nil {
			err = h.discard(n)
		}
		if err != nil && !h.closed.Load() {
			h.log.Warn("destroyed group's data stay", "host", h.ID(), "group", n.group, "err", err, "do", "see the disk; they go at the next start")
		}
		h.unsetWhy(why)
		h.mu.Lock()
		delete(h.entering, n.group)
		h.mu.Unlock()
		h.wakeWatchers()
	})
}

// askGone lets another host say that the group was destroyed: this one may not hear it from group 0.
func (h *Host) askGone(reply *wire.ChangeReply, n replicaName) bool {
	if reply.State != wire.ChangeGone {
		return false
	}
	h.groupGone(n)
	return true
}

// waitForPlace waits until the replica of a former birth has left its place to the group's present one.
// false: this birth is over too, or the host closes.
func (h *Host) waitForPlace(n replicaName) bool {
	w := h.env.NewWaiter()
	for !h.closed.Load() {
		h.watch(w)
		h.mu.Lock()
		g := h.replicas[n.group]
		free := (g == nil || g.birth == n.birth) && !h.entering[n.group]
		gone := h.directory.gone[n]
		h.mu.Unlock()
		if gone || free {
			return free && !gone
		}
		_ = w.Wait(nil, h.env.Clock().Now()+foundingEvery) //nolint:staticcheck // it looks again
	}
	return false
}

// task runs f, which touches the replica's files; its end waits for that: what it writes would stay behind.
func (g *group) task(name string, f func()) {
	g.work.Add(1)
	g.h.tasks.run(name, func() {
		defer g.work.Add(-1)
		f()
	})
}

// atRest waits until neither the machine nor a task of the replica, which has ended, is at work.
func (g *group) atRest() {
	for !g.h.closed.Load() && (g.lane.isBusy() || g.work.Load() > 0) {
		_ = g.h.pause(nil, foundingEvery/5) //nolint:staticcheck // nobody waits for it but Close
	}
}
