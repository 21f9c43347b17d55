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
// own place too: a replica that comes to the command later passes over it. One that has begun does not know what is
// committed: where its disk names commands that may be passed over, its machine comes to them when it does.

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
	former := g.skips
	g.skips = skips
	g.lane.skips.Store(&skips) // before what was executed is looked at: the lane looks the other way round
	if err := g.lane.ranSkipped(former, skips); err != nil && g.executes() {
		g.ail(err)
		return
	}
	if own := ofMachine(g.rebuild.why); g.rebuild.left && own != nil && g.skipped(own.at) {
		g.retryNow()
	}
}

// doubtful gives the first entry behind applied with a command that may be passed over, as far as this host's disk
// tells: a machine here failed at it, or a configuration in the log, which may be committed, says so. 0: none.
func (g *group) doubtful(entries []raft.Entry, applied raft.Index) raft.Index {
	first := g.h.overcome.firstBehind(replicaName{g.id, g.birth}, applied)
	for i := range entries {
		if entries[i].Kind != raft.KindConfiguration {
			continue
		}
		c, err := wire.DecodeConfiguration(entries[i].Data) // whoever executes it says what is wrong with it
		if at := c.Settings.SkipIndex; err == nil && at > applied && (first == 0 || at < first) {
			first = at
		}
	}
	return first
}

// goOn lets the machine come to what was doubtful, once all is known here that was committed when this replica began.
func (g *group) goOn() {
	if c := &g.catchUp; !g.doubts || !c.confirmed || g.r.Commit() < c.index {
		return
	}
	g.doubts = false
	l := &g.lane
	l.mu.Lock()
	l.waitsAt = 0
	l.unlockAndSchedule(g)
}

// mayTake says whether entry n of those that wait is there, and may be executed. The lock is held.
func (l *lane) mayTake(n int) bool {
	return n < len(l.entries) && (l.waitsAt == 0 || l.entries[n].Index < l.waitsAt)
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

// skipped gives the commands that are passed over.
func (l *lane) skipped() []place {
	if skips := l.skips.Load(); skips != nil {
		return *skips
	}
	return nil
}

// passesOver says whether the command of the batch that is executed is passed over.
func (l *lane) passesOver(c *machine.Command) bool {
	return len(l.skipsNow) > 0 && slices.Contains(l.skipsNow, place{raft.Index(c.Index), c.Ordinal})
}

// ranSkipped is what is wrong with the machine if it has executed a command that is passed over now, and was not
// yet: a mended build can where the log holds the command and its skip, and is not yet known to be committed
// through that.
func (l *lane) ranSkipped(former, now []place) error {
	for _, at := range now {
		if !slices.Contains(former, at) && l.base.Load() < uint64(at.index) && uint64(at.index) <= l.applied.Load() {
			return fmt.Errorf("%w: it has executed command %v, which is passed over", errDiverged, at)
		}
	}
	return nil
}

// refuseSkip says why a command must not be passed over: a member has executed it, or may have, or may execute it
// yet, and somebody may have its answer. Empty: all are stopped at it, or nothing new is to be.
func (h *Host) refuseSkip(ctx context.Context, id raft.GroupID, c *raft.Configuration, to *raft.Settings) (why string, passes bool) {
	at := place{to.SkipIndex, to.SkipOrdinal}
	if at.index == 0 || at == (place{c.Settings.SkipIndex, c.Settings.SkipOrdinal}) {
		return "", false
	}
	for _, host := range hostsOf(slices.Concat(c.Voters, c.Outgoing, c.Learners)) {
		reply, err := h.askHost(ctx, host, &wire.ChangeRequest{
			Cluster: h.Cluster(), Group: id, Ask: true, Settings: raft.Settings{SkipIndex: at.index, SkipOrdinal: at.ordinal},
		})
		switch {
		case err != nil || reply.State != wire.ChangeLeads && reply.State != wire.ChangeFollows:
			return fmt.Sprintf("Settings.Skip: host %d does not answer, and may have executed command %v: start it, or take it out of the group first", host, at), true
		case reply.Reason != "":
			return reply.Reason, false
		case reply.Index >= at.index:
			return executedText(host, at), false
		}
	}
	return "", false
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
	return g.mayExecute(at)
}

// mayExecute says why this member does not agree to passing over a command: it has executed it, in this process or
// an earlier one, or it may yet. Empty: its machine is quarantined at it.
func (g *group) mayExecute(at place) string {
	own := ofMachine(g.rebuild.why)
	switch {
	case g.lane.most.Load() >= uint64(at.index):
		return executedText(g.self.Host, at)
	case g.h.overcome.wasExecuted(g, at):
		return fmt.Sprintf("Settings.Skip: host %d has executed command %v before it was restarted, and clients may have its answers: restart the hosts with the build that can", g.self.Host, at)
	case !g.rebuild.left || own == nil || own.at != at:
		return fmt.Sprintf("Settings.Skip: host %d is not stopped at command %v, and may execute it yet: wait until it is stopped there, or take it out of the group first", g.self.Host, at)
	}
	return ""
}

func executedText(host raft.HostID, at place) string {
	return fmt.Sprintf("Settings.Skip: host %d has executed command %v: restart the hosts that could not instead", host, at)
}
