package host

import (
	"time"

	"github.com/lockstep-rsm/lockstep/raft"
)

// expectTick has the clock ask for a Tick when the machine's deadline may have come. Only a leader
// appends one; everybody computes when, so that a new leader need not be told.
func (g *group) expectTick(deadline raft.Time, at raft.Time) {
	now := g.h.env.Clock().Now()
	g.tickAt = now + max(time.Duration(deadline-at), time.Millisecond)
	g.arm()
}

// tick appends an empty timed entry: log time has reached what the machine waits for.
func (g *group) tick(now time.Duration) {
	g.tickAt = 0
	if g.stopped != nil {
		return
	}
	if g.r.Role() != raft.Leader {
		g.tickAt = now + g.h.opts.ElectionTimeout // it may lead by then
		return
	}
	g.tickAt = now + g.h.opts.ElectionTimeout // it may be refused, or lost; the machine's word on it ends this
	g.step(raft.Input{Kind: raft.InPropose, Proposal: raft.Proposal{Kind: raft.KindTick}})
}
