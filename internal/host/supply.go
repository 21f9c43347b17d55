package host

import (
	"context"
	"errors"
	"slices"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A replica that has no state to make its machine of asks the others for a snapshot. Any of them that
// has an agreed one streams it; where that is too old, it wants another.

// askForSnapshot asks one of the others, another one each time.
func (g *group) askForSnapshot() {
	b := &g.rebuild
	hosts := slices.DeleteFunc(hostsOf(slices.Concat(g.r.Configuration().Voters, g.r.Configuration().Outgoing)), func(id raft.HostID) bool { return id == g.self.Host })
	if len(hosts) == 0 || g.h.net.Load() == nil {
		b.left = true
		g.h.log.Error("replica quarantined", "host", g.self.Host, "group", g.id, "err", b.why, "do", remedy(b.why))
		g.publish()
		return
	}
	to := hosts[b.asks%len(hosts)]
	if lead := g.leaderHost(); lead != 0 && lead != g.self.Host {
		if to = lead; b.asks%2 == 1 {
			to = hosts[b.asks/2%len(hosts)]
		}
	}
	pause := min(askPause<<min(b.asks, 8), maxAskPause)
	b.asks++
	b.at = g.h.env.Clock().Now() + pause
	g.arm()
	req := wire.SupplyRequest{Cluster: g.h.Cluster(), Group: g.id, Birth: g.birth, Replica: g.self.Replica, After: b.beyond}
	life := g.lane.lifeNow()
	g.task("ask for a snapshot", func() {
		stopped := g.h.askSupply(to, &req)
		g.h.post(event{kind: evDo, fn: func() { g.noteStopped(to, stopped, life) }})
	})
}

// noteStopped notes whether one of the others is stopped until an operator decides, and has no snapshot. Where all are, and the
// state here only differs, at a mark or from the snapshot that was given, nothing would ever come, and the operator needs this
// replica's word, too: it does what a restart would do, and begins with its own snapshot. It serves nobody before it is
// known again whether it differs.
func (g *group) noteStopped(host raft.HostID, stopped bool, life uint64) {
	b := &g.rebuild
	if b.why == nil || !b.foreign || b.left || b.loads || b.replays || g.stopped != nil || g.h.closed.Load() || life != g.lane.lifeNow() {
		return
	}
	if b.others == nil {
		b.others = &others{}
	}
	of := b.others
	of.stopped = slices.DeleteFunc(of.stopped, func(id raft.HostID) bool { return id == host })
	if !stopped {
		return
	}
	of.stopped = append(of.stopped, host)
	for _, id := range hostsOf(slices.Concat(g.r.Configuration().Voters, g.r.Configuration().Outgoing)) {
		if id != g.self.Host && !slices.Contains(of.stopped, id) {
			return
		}
	}
	if errors.Is(b.why, errDiverged) || errors.Is(b.why, errRestored) {
		g.h.log.Warn("machine is made anew from its own snapshot", "host", g.self.Host, "group", g.id, "why", "the others are stopped, and have none")
		b.foreign, b.others, b.alone = false, nil, true
		g.retryNow()
	}
}

// askSupply asks; what becomes of it is seen by whether a snapshot comes. stopped: none will before an operator decides.
func (h *Host) askSupply(to raft.HostID, req *wire.SupplyRequest) (stopped bool) {
	addr, net := h.address(to), h.net.Load()
	if addr == "" || net == nil {
		return false
	}
	p, err := net.Call(context.Background(), addr, wire.AppendSupplyRequest(nil, req))
	var reply wire.SupplyReply
	if err == nil {
		reply, err = wire.DecodeSupplyReply(p)
	}
	if err != nil {
		if !h.closed.Load() {
			h.log.Debug("snapshot not asked for", "group", req.Group, "of", to, "err", err)
		}
		return false
	}
	h.log.Debug("snapshot asked for", "group", req.Group, "of", to, "behind", req.After, "comes", reply.State == wire.SupplyComes)
	return reply.State == wire.SupplyStopped
}

// answerSupply is the other side.
func (h *Host) answerSupply(req *wire.SupplyRequest) wire.SupplyReply {
	g := h.Replica(req.Group)
	if !h.isFounded() || req.Cluster != h.Cluster() || g == nil || g.birth != req.Birth {
		return wire.SupplyReply{State: wire.SupplyUnknown}
	}
	a := &changing{w: h.env.NewWaiter()}
	state := uint8(wire.SupplyUnknown)
	h.post(event{kind: evDo, fn: func() {
		state = g.supply(req)
		a.end()
	}})
	for !a.isDone() {
		if err := a.w.Wait(nil, h.env.Clock().Now()+h.opts.ElectionTimeout); err != nil && h.closed.Load() { //nolint:staticcheck // the turn answers
			return wire.SupplyReply{State: wire.SupplyUnknown}
		}
	}
	return wire.SupplyReply{State: state}
}

// supply streams the newest agreed snapshot to the replica that asks, or wants one that is behind what it has. What
// is agreed serves whatever has become of the machine here since.
func (g *group) supply(req *wire.SupplyRequest) uint8 {
	s := &g.snapshots
	switch {
	case g.stopped != nil || g.h.closed.Load():
		return wire.SupplyUnknown
	case g.usable(s.newest) && s.newest.Index() > req.After:
		g.sendSnapshot(req.Replica)
		return wire.SupplyComes
	case g.rebuild.left:
		return wire.SupplyStopped
	case g.rebuild.why != nil:
		return wire.SupplyUnknown
	}
	s.since = max(s.since, 1) // there is somebody who needs it, though nobody writes
	g.wantSnapshot()
	return wire.SupplyLater
}

// received looks whether a snapshot that has come is what the machine waits for.
func (g *group) received() {
	b := &g.rebuild
	if b.why != nil && b.foreign && !b.loads && !b.replays && g.hasBeyond(b.beyond) {
		g.retryNow()
	}
}
