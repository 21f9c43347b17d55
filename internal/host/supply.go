package host

import (
	"context"
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
	if lead := g.leaderHost(); lead != 0 && lead != g.self.Host && b.asks%2 == 0 {
		to = lead
	}
	pause := min(askPause<<min(b.asks, 8), maxAskPause)
	b.asks++
	b.at = g.h.env.Clock().Now() + pause
	g.arm()
	req := wire.SupplyRequest{Cluster: g.h.Cluster(), Group: g.id, Birth: g.birth, Replica: g.self.Replica, After: b.beyond}
	g.task("ask for a snapshot", func() { g.h.askSupply(to, &req) })
}

// askSupply asks; what becomes of it is seen by whether a snapshot comes.
func (h *Host) askSupply(to raft.HostID, req *wire.SupplyRequest) {
	addr, net := h.address(to), h.net.Load()
	if addr == "" || net == nil {
		return
	}
	p, err := net.Call(context.Background(), addr, wire.AppendSupplyRequest(nil, req))
	var reply wire.SupplyReply
	if err == nil {
		reply, err = wire.DecodeSupplyReply(p)
	}
	if err != nil && !h.closed.Load() {
		h.log.Debug("snapshot not asked for", "group", req.Group, "of", to, "err", err)
		return
	}
	h.log.Debug("snapshot asked for", "group", req.Group, "of", to, "behind", req.After, "comes", reply.State == wire.SupplyComes)
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
