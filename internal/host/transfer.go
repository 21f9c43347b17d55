package host

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/raft"
)

// TransferLeader asks this host's replica, which must lead, to hand over; it returns when it has.
func (h *Host) TransferLeader(ctx context.Context, id raft.GroupID, to raft.HostID) error {
	g := h.Replica(id)
	if g == nil {
		return notCommitted(h.noReplica(id))
	}
	until := h.patience(ctx)
	var begun atomic.Bool   // a handover, which ends by itself
	var again time.Duration // what waits for it gets an election timeout before the next one
	for {
		s := g.status()
		if to != 0 && s.Leader == to || to == 0 && s.Leader != 0 && s.Leader != h.ID() {
			return nil
		}
		if h.closed.Load() {
			return unknown(ErrClosed)
		}
		if to != 0 && !slices.ContainsFunc(g.conf.Load().Voters, func(m raft.Member) bool { return m.Host == to }) {
			return notCommitted(fmt.Errorf("%w: host %d is no voter of group %d", ErrOptions, to, id))
		}
		now := h.env.Clock().Now()
		if !begun.Load() || now >= again {
			again = now + 2*h.opts.ElectionTimeout
			h.post(event{kind: evDo, fn: func() { begun.Store(g.handOver(to)) }})
		}
		if until != 0 && now > until {
			return unknown(ErrNoQuorum)
		}
		if err := h.pause(ctx, lookEvery); err != nil {
			return unknown(err)
		}
	}
}

// lookEvery is how often a caller looks whether another replica leads.
const lookEvery = 5 * time.Millisecond

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
// ctx ends, and lets open calls finish; four election timeouts at most.
func (h *Host) HandOver(ctx context.Context) {
	h.leaving.Store(true)
	h.mu.Lock()
	var groups []*group
	for _, g := range h.replicas {
		groups = append(groups, g)
	}
	h.mu.Unlock()
	sortGroups(groups)
	limit := h.env.Clock().Now() + 4*h.opts.ElectionTimeout
	for {
		busy := h.inboxBytes.held.Load() > 0
		for _, g := range groups {
			s := g.status()
			if len(s.Configuration.Voters) > 1 && s.Role == raft.Leader.String() {
				busy = true
				h.post(event{kind: evDo, fn: func() { g.handOver(0) }})
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
