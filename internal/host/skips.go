package host

import (
	"context"
	"fmt"
	"slices"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A command that no machine can execute is passed over by an operator's word, which stands in the log as a
// setting of the group (H28). It counts from the moment that it is committed here, for commands before its
// own place too: a replica that comes to the command later passes over it, having failed at it once more only
// where it came there before it knew.

// learnSkips reads the commands to be passed over from the configurations that are committed, and makes a machine
// anew that failed at one of them.
func (g *group) learnSkips() {
	newest := g.r.CommittedConfiguration()
	if newest == nil || newest.Index == g.skipsOf {
		return
	}
	g.skipsOf = newest.Index
	g.sayHalted(newest)
	var skips []place
	for c := range g.r.Committed() {
		if at := (place{c.Settings.SkipIndex, c.Settings.SkipOrdinal}); at.index > 0 && (len(skips) == 0 || skips[len(skips)-1] != at) {
			skips = append(skips, at)
		}
	}
	g.skips = skips
	g.lane.skips.Store(&skips)
	if own := ofMachine(g.rebuild.why); g.rebuild.left && own != nil && g.skipped(own.at) {
		g.retryNow()
	}
}

// sayHalted tells, once per configuration, that nobody knows what the group's state is.
func (g *group) sayHalted(c *raft.Configuration) {
	if c.Settings.Halt != raft.HaltDisputed {
		return
	}
	g.h.observe(env.Event{Kind: env.GroupHalted, Group: uint64(g.id), Replica: uint64(g.self.Replica), Index: uint64(c.Index)})
	g.h.log.Error("group halted", "host", g.self.Host, "group", g.id, "index", uint64(c.Index), "do", haltText(c.Settings.Halt))
}

func (g *group) skipped(at place) bool {
	for _, s := range g.skips {
		if s == at {
			return true
		}
	}
	return false
}

// skipped says whether the command is passed over.
func (l *lane) skipped(c *machine.Command) bool {
	skips := l.skips.Load()
	if skips == nil {
		return false
	}
	for _, s := range *skips {
		if s.index == raft.Index(c.Index) && s.ordinal == c.Ordinal {
			return true
		}
	}
	return false
}

// refuseSkip says why a command must not be passed over: a member has executed it, or may have, and somebody may
// have its answer. Empty: it may, or nothing new is to be.
func (h *Host) refuseSkip(ctx context.Context, id raft.GroupID, c *raft.Configuration, to *raft.Settings) string {
	at := place{to.SkipIndex, to.SkipOrdinal}
	if at.index == 0 || at == (place{c.Settings.SkipIndex, c.Settings.SkipOrdinal}) {
		return ""
	}
	for _, host := range hostsOf(slices.Concat(c.Voters, c.Outgoing, c.Learners)) {
		reply, err := h.askHost(ctx, host, &wire.ChangeRequest{Cluster: h.Cluster(), Group: id, Ask: true})
		switch {
		case err != nil || reply.State != wire.ChangeLeads && reply.State != wire.ChangeFollows:
			return fmt.Sprintf("Settings.Skip: host %d does not answer, and may have executed command %v: start it, or take it out of the group first", host, at)
		case reply.Index >= at.index:
			return fmt.Sprintf("Settings.Skip: host %d has executed command %v: restart the hosts that could not instead", host, at)
		}
	}
	return ""
}

// refuseSkip says why the command at a place cannot be passed over, as far as this leader knows; empty: it can.
func (g *group) refuseSkip(now, next *raft.Settings) string {
	at := place{next.SkipIndex, next.SkipOrdinal}
	if at == (place{now.SkipIndex, now.SkipOrdinal}) || at.index == 0 {
		return ""
	}
	if at.index > g.r.Commit() {
		return fmt.Sprintf("Settings.Skip: command %v is not in the log", at)
	}
	if g.lane.most.Load() >= uint64(at.index) {
		return fmt.Sprintf("Settings.Skip: command %v was executed", at)
	}
	return ""
}
