package host

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A machine has versions, of which one runs: the group's configuration says which. A change of that is in the log, so
// that all replicas tell their machines between the same two commands (H32). It is begun once every member's build has
// the version; a build that has it not stops before the entry, as before one of a feature level that it does not know (H30).

// versions of a machine that this build runs; ok is false if it has no machine of that name.
func (h *Host) versions(name string) (oldest, newest machine.Version, ok bool) {
	if name == registryMachine {
		return registryVersion, registryVersion, true
	}
	kind, ok := h.opts.Machines[name]
	return max(kind.Oldest, 1), max(kind.Newest, kind.Oldest, 1), ok
}

// lacks says why this build does not run a version of a machine; empty: it does.
func (h *Host) lacks(name string, v uint32) string {
	oldest, newest, ok := h.versions(name)
	switch {
	case !ok:
		return fmt.Sprintf("machine %q is not in Options.Machines", name)
	case machine.Version(v) < oldest || machine.Version(v) > newest:
		return fmt.Sprintf("it has versions %d to %d of machine %q, not %d", oldest, newest, name, v)
	}
	return ""
}

// hasVersion says why this build cannot begin with the version that a group runs.
func (g *group) hasVersion(s *raft.Settings) error {
	if _, _, ok := g.h.versions(s.Machine); ok {
		if why := g.h.lacks(s.Machine, s.Version); why != "" {
			return fmt.Errorf("%w: group %d runs version %d of its machine, and this build does not: %s. Nothing is lost: start the former build, and raise Settings.Version first",
				ErrNoMachine, g.id, s.Version, why)
		}
	}
	return nil
}

// errVersion says that a machine would have to run as a version that this build has not.
var errVersion = errors.New("build lacks the version of the machine")

// becomes brings the machine to the version of a configuration that is executed. The entry that founded the group says as
// what it begins; any other one may raise that, and the machine is told of each version on the way.
func (l *lane) becomes(g *group, c *raft.Configuration) (err error) {
	to := machine.Version(c.Settings.Version)
	if to == l.version {
		return nil
	}
	if why := g.h.lacks(c.Settings.Machine, c.Settings.Version); why != "" {
		return fmt.Errorf("%w: at entry %d: %s", errVersion, c.Index, why)
	}
	if c.Index == 1 { // it has executed nothing
		if perr := l.guard("New", func() { err = g.makeMachine(c) }); perr != nil {
			return perr
		}
		return err
	}
	if to < l.version {
		return fmt.Errorf("entry %d takes the machine back from version %d to %d", c.Index, l.version, to)
	}
	g.h.observe(env.Event{Kind: env.MachineUpgraded, Group: uint64(g.id), Replica: uint64(g.self.Replica), Index: uint64(c.Index), Count: uint64(to)})
	for l.version < to {
		if err := l.upgrade(l.version+1, c.Index); err != nil {
			return err
		}
	}
	g.h.log.Info("machine runs as another version", "host", g.self.Host, "group", g.id, "index", uint64(c.Index), "version", uint32(to))
	return nil
}

// upgrade tells the machine of the next version. That it fails is its own, as at a command (H18).
func (l *lane) upgrade(to machine.Version, at raft.Index) (err error) {
	where := fmt.Sprintf("machine %s in Upgrade to version %d at entry %d", l.conf.Settings.Machine, to, at)
	defer func() {
		if p := recover(); p != nil {
			if env.Dead(p) {
				panic(p)
			}
			err = panicked(where, p)
		}
	}()
	if err := l.machine.Upgrade(to); err != nil {
		return &machineError{err: fmt.Errorf("%s: %w", where, err)}
	}
	l.version = to
	return nil
}

// refuseVersion says why a change must not be begun: the build of a host that is to run the group, as that host says
// now, lacks the version of the machine, or the feature level. Members are asked if the version changes, and
// have to answer; who is new is asked in any case, and has to answer, if there is a link to it: else it may learn when it
// comes. Empty: there is nothing against it.
func (h *Host) refuseVersion(ctx context.Context, id raft.GroupID, c *raft.Configuration, t *Target) (why string, passes bool) {
	members := hostsOf(slices.Concat(c.Voters, c.Outgoing, c.Learners))
	raised := t.Settings.Version > c.Settings.Version
	ask := wire.ChangeRequest{
		Cluster: h.Cluster(), Group: id, Ask: true,
		Settings: raft.Settings{Machine: c.Settings.Machine, Version: t.Settings.Version, FeatureLevel: c.Settings.FeatureLevel},
	}
	for _, host := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(members, t.Voters, t.Learners)))) {
		member := slices.Contains(members, host)
		if member && !raised || !member && len(h.linkedHosts([]raft.HostID{host})) == 0 {
			continue
		}
		reply, err := h.askHost(ctx, host, &ask)
		switch {
		case err == nil && reply.Reason != "":
			return reply.Reason, false
		case member && (err != nil || reply.State != wire.ChangeLeads && reply.State != wire.ChangeFollows):
			return fmt.Sprintf("Settings.Version: host %d does not answer, and it is not known whether its build has version %d: start it, or take it out of the group first",
				host, t.Settings.Version), true
		case !member && err != nil && len(h.linkedHosts([]raft.HostID{host})) > 0:
			return fmt.Sprintf("host %d does not answer whether its build can run the group: try again, or stop it", host), true
		}
	}
	return "", false
}

// mayRun answers whether this host's build can be in a group with these settings; empty: it can.
func (h *Host) mayRun(s *raft.Settings) string {
	if s.FeatureLevel > h.level {
		return fmt.Sprintf("host %d knows feature levels up to %d, and the group is at %d: start its newer build first", h.ID(), h.level, s.FeatureLevel)
	}
	if why := h.lacks(s.Machine, s.Version); why != "" {
		return fmt.Sprintf("Settings.Version: the build on host %d cannot run it: %s. Start the newer build there first", h.ID(), why)
	}
	return ""
}

// refuseVersion says why the version cannot become that, as far as this leader knows; empty: it can.
func (g *group) refuseVersion(now, next *raft.Settings) string {
	switch {
	case next.Version == now.Version:
		return ""
	case g.id == systemGroup:
		return "Settings.Version of group 0 is the engine's own"
	case next.Version < now.Version:
		return fmt.Sprintf("Settings.Version is %d, and is only raised", now.Version)
	}
	return g.h.mayRun(&raft.Settings{Machine: now.Machine, Version: next.Version})
}
