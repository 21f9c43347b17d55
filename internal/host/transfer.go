package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// TransferLeader asks the group's leader, wherever it is, to hand over to the host to (0: to whoever is best
// placed), again and again until it has. Asked twice of one leader it is harmless.
func (h *Host) TransferLeader(ctx context.Context, id raft.GroupID, to raft.HostID) error {
	if h.closed.Load() {
		return notCommitted(ErrClosed)
	}
	until := h.patience(ctx)
	t := transfer{group: id, to: to}
	for {
		done, err := h.transferStep(ctx, &t)
		switch {
		case done:
			return nil
		case errors.Is(err, ErrOptions), errors.Is(err, ErrNoGroup):
			return notCommitted(err)
		case errors.Is(err, ErrContext):
			return unknown(err)
		case h.closed.Load():
			return unknown(ErrClosed)
		case until != 0 && h.env.Clock().Now() > until:
			return unknown(ErrNoQuorum)
		}
		if err := h.pause(ctx, lookEvery); err != nil {
			return unknown(err)
		}
	}
}

// transfer is one call of TransferLeader.
type transfer struct {
	group    raft.GroupID
	to, from raft.HostID   // from led when it was first looked at
	again    time.Duration // when it may be asked anew: what waits for a handover gets its turn in between
}

// transferStep looks who leads, and asks that host to hand over.
func (h *Host) transferStep(ctx context.Context, t *transfer) (done bool, err error) {
	lead, err := h.leads(ctx, t.group)
	if lead == 0 || err != nil {
		return false, err
	}
	if t.from == 0 {
		t.from = lead
	}
	now := h.env.Clock().Now()
	switch {
	case lead == t.to, t.to == 0 && lead != t.from:
		return true, nil
	case now < t.again:
		return false, nil
	}
	reply, err := h.askHost(ctx, lead, &wire.ChangeRequest{Cluster: h.Cluster(), Group: t.group, Transfer: true, To: t.to})
	switch {
	case err != nil:
		t.again = now + 2*h.opts.ElectionTimeout // it may have been heard
		return false, err
	case reply.Reason != "":
		return false, fmt.Errorf("%w: %s", ErrOptions, reply.Reason)
	case reply.State == wire.ChangeLeads && raft.Refusal(reply.Refused) == raft.Appended:
		t.again = now + 2*h.opts.ElectionTimeout
	}
	return false, nil
}

// leads is the host that leads a group, as far as the replica here knows; where there is none, as the
// leader itself says. 0: nobody.
func (h *Host) leads(ctx context.Context, id raft.GroupID) (raft.HostID, error) {
	if g := h.Replica(id); g != nil {
		return g.status().Leader, nil
	}
	if err := h.noReplica(id); errors.Is(err, ErrNoGroup) {
		return 0, err
	}
	reply, err := h.askLeader(ctx, &wire.ChangeRequest{Group: id, Ask: true})
	return reply.Leader, err
}

// lookEvery is how often a caller looks whether another replica leads.
const lookEvery = 5 * time.Millisecond

// answerTransfer begins a transfer on the leader's turn.
func (g *group) answerTransfer(a *changing) {
	c := g.r.Configuration()
	switch voter := func(m raft.Member) bool { return m.Host == a.req.To }; {
	case a.req.To != 0 && !slices.ContainsFunc(c.Voters, voter):
		a.reply.Reason = fmt.Sprintf("host %d is no voter of group %d", a.req.To, g.id)
	case !g.handOver(a.req.To):
		a.reply.Refused = uint8(raft.NotHeard)
	}
	a.end()
}

// handOver begins a transfer; false: this replica does not lead, or the other one cannot.
func (g *group) handOver(to raft.HostID) bool {
	if g.stopped != nil || g.r.Role() != raft.Leader {
		return false
	}
	var target raft.ReplicaID
	for _, m := range g.r.Configuration().Voters {
		if m.Host == to {
			target = m.Replica
		}
	}
	if to != 0 && target == 0 {
		return false
	}
	g.step(raft.Input{Kind: raft.InTransfer, Replica: target})
	return g.r.HandingOver()
}

// HandOver takes no more calls, gives all leaderships of this host away, as far as others take them until
// ctx ends, takes none, and lets open calls finish; four election timeouts at most. A host that gave one away stays until
// somebody leads: its vote may be the one that is missing, where the third replica is slow, or lags.
func (h *Host) HandOver(ctx context.Context) {
	h.leaving.Store(true)
	h.mu.Lock()
	var groups []*group
	for _, g := range h.replicas {
		groups = append(groups, g)
	}
	h.mu.Unlock()
	sortGroups(groups)
	h.post(event{kind: evDo, fn: func() {
		for _, g := range groups {
			if g.stopped == nil {
				g.step(raft.Input{Kind: raft.InLeaving})
			}
		}
	}})
	limit := h.env.Clock().Now() + 4*h.opts.ElectionTimeout
	for {
		busy := h.inboxBytes.held.Load() > 0
		for _, g := range groups {
			s := g.status()
			switch {
			case len(s.Configuration.Voters) == 1:
			case s.Role == raft.Leader.String() && !g.heirless.Load():
				busy = true
				h.post(event{kind: evDo, fn: g.handOn})
			case s.Leader == 0 && g.heir.Load():
				busy = true
				h.post(event{kind: evDo, fn: func() { g.heir.Store(h.linked[g.heirHost]) }}) // else it stops as well
			}
		}
		if !busy || h.env.Clock().Now() > limit {
			return
		}
		if err := h.env.NewWaiter().Wait(ctx, h.env.Clock().Now()+lookEvery); err != env.ErrTimeout {
			return
		}
	}
}

// handOn gives a leadership of a host that stops to whoever is best placed.
func (g *group) handOn() {
	if g.handOver(0) {
		m, _ := g.r.Configuration().Member(g.r.Heir())
		g.heirHost = m.Host
		g.heir.Store(true)
		return
	}
	g.heirless.Store(g.r.Heirless())
}
