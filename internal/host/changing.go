package host

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// changing is one question about a configuration, or one change of it, on its way through a turn.
type changing struct {
	w     env.Waiter
	req   *wire.ChangeRequest
	reply wire.ChangeReply
	done  atomic.Bool
}

func (a *changing) isDone() bool { return a.done.Load() }

func (a *changing) end() {
	a.done.Store(true)
	a.w.Wake()
}

// changeRef marks the Ref of a change: those of proposals count from 1 in each turn.
const changeRef = uint64(1) << 63

// change answers on the turn, or gives a change to raft, which answers in this turn.
func (g *group) change(a *changing) {
	if g.stopped != nil || g.h.closed.Load() {
		a.reply.State = wire.ChangeUnknown
		a.end()
		return
	}
	g.describe(&a.reply)
	if a.req.Birth != 0 && a.req.Birth != g.birth {
		a.reply = wire.ChangeReply{State: wire.ChangeUnknown}
		a.end()
		return
	}
	if a.reply.State != wire.ChangeLeads || a.req.Ask {
		a.reply.Index = raft.Index(g.lane.most.Load())
		if at := (place{a.req.Settings.SkipIndex, a.req.Settings.SkipOrdinal}); a.req.Ask && at.index > 0 {
			a.reply.Reason = g.mayExecute(at)
		}
		a.end()
		return
	}
	if a.req.Transfer {
		g.answerTransfer(a)
		return
	}
	if applied := raft.Index(g.lane.applied.Load()); g.id == systemGroup && applied < g.r.Commit() {
		// Who was removed by what is committed must not come back into group 0 for want of having read it.
		a.reply.Refused = uint8(raft.Unsettled)
		a.end()
		return
	}
	next, why := g.target(a.req)
	if why != "" {
		a.reply.Reason = why
		a.end()
		return
	}
	ref := changeRef | uint64(len(g.changes))
	g.changes = append(g.changes, a)
	g.step(raft.Input{Kind: raft.InReconfigure, Change: &raft.Change{Ref: ref, After: a.req.After, Next: *next}})
}

// describe says what this replica knows of its group's configuration.
func (g *group) describe(r *wire.ChangeReply) {
	c := g.r.Configuration()
	r.Birth, r.State, r.Leader = g.birth, wire.ChangeFollows, g.leaderHost()
	if g.r.Role() == raft.Leader {
		r.State, r.Leader = wire.ChangeLeads, g.self.Host
		r.Committed, r.Settled, r.InForce = c.Index <= g.r.Commit(), g.r.Settled(), *c
		return
	}
	if newest := g.r.CommittedConfiguration(); newest != nil {
		r.Committed, r.InForce = true, *newest
	}
}

// target makes the configuration that is asked for: who is in the group stays who it is, who is new
// gets the next replica id, and the incarnation that its host's directory gives that replica.
func (g *group) target(req *wire.ChangeRequest) (*raft.Configuration, string) {
	now := g.r.Configuration()
	next := &raft.Configuration{NextReplica: now.NextReplica, Settings: withSettings(now.Settings, &req.Settings)}
	if why := checkSettings(&next.Settings); why != "" {
		return nil, why
	}
	if why := g.refuseSkip(&now.Settings, &next.Settings); why != "" {
		return nil, why
	}
	if why := g.refuseVersion(&now.Settings, &next.Settings); why != "" {
		return nil, why
	}
	for _, set := range []struct {
		hosts []raft.HostID
		to    *[]raft.Member
	}{{req.Voters, &next.Voters}, {req.Learners, &next.Learners}} {
		for _, host := range slices.Sorted(slices.Values(set.hosts)) {
			m, ok := memberOn(now, host)
			if !ok {
				of, known := g.h.member(host)
				if !known {
					return nil, fmt.Sprintf("host %d is not of this cluster", host)
				}
				m = raft.Member{
					Replica: next.NextReplica, Host: host, Incarnation: replicaIncarnation(of.Incarnation, g.birth, next.NextReplica),
				}
				next.NextReplica++
			}
			*set.to = append(*set.to, m)
		}
		slices.SortFunc(*set.to, func(a, b raft.Member) int { return int(a.Replica) - int(b.Replica) })
	}
	next.Priorities = listed(now.Priorities, slices.Concat(req.Voters, req.Learners))
	if req.Prefer {
		next.Priorities = req.Priorities
	}
	return next, ""
}

// memberOn is the member on a host.
func memberOn(c *raft.Configuration, host raft.HostID) (raft.Member, bool) {
	for _, members := range [][]raft.Member{c.Voters, c.Outgoing, c.Learners} {
		for _, m := range members {
			if m.Host == host {
				return m, true
			}
		}
	}
	return raft.Member{}, false
}

// answerChange is raft's word on a change of this turn.
func (g *group) answerChange(p *raft.Proposed) {
	i := p.Ref &^ changeRef
	if i >= uint64(len(g.changes)) || g.changes[i] == nil {
		return
	}
	a := g.changes[i]
	g.changes[i] = nil
	a.reply.Refused, a.reply.Index = uint8(p.Refused), p.Index
	a.reply.InForce = *g.r.Configuration()
	a.end()
}

// endChanges answers those that raft has not: nobody leads here any more.
func (g *group) endChanges() {
	for _, a := range g.changes {
		if a != nil {
			a.reply.Refused = uint8(raft.NotLeader)
			a.end()
		}
	}
	g.changes = nil
}
