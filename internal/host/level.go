package host

import (
	"errors"
	"fmt"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// The feature level says which entries, messages and files a group may make use of. It is in the group's configuration, so
// that all replicas change at one index: an entry raises it once every member's host runs a build that knows the
// next one. Each host says in its hello what its build knows. A build that does not know the level of a group's
// log does not open the directory; a replica that meets the entry without knowing it stops before it (H30).
const (
	featureLevel  = 1 // the highest that this build knows
	foundingLevel = 1 // at which clusters and groups begin, whatever builds they begin with
)

var errLevel = errors.New("build is too old")

// decodeConfiguration reads one that this build can run.
func (h *Host) decodeConfiguration(p []byte) (raft.Configuration, error) {
	c, err := wire.DecodeConfiguration(p)
	if err == nil {
		err = h.knows(&c)
	}
	return c, err
}

// knows says why this build does not run a configuration.
func (h *Host) knows(c *raft.Configuration) error {
	if c.Settings.FeatureLevel > h.level {
		return fmt.Errorf("%w: the group is at feature level %d, this build knows %d. Nothing is lost: start the newer build again on %s",
			errLevel, c.Settings.FeatureLevel, h.level, h.opts.Dir)
	}
	if oldest, newest, ok := h.versions(c.Settings.Machine); ok && machine.Version(c.Settings.Version) > newest {
		return fmt.Errorf("%w: the group runs version %d of machine %q, this build has %d to %d. Nothing is lost: start the newer build again on %s",
			errLevel, c.Settings.Version, c.Settings.Machine, oldest, newest, h.opts.Dir)
	}
	return nil
}

// heardLevelLocked notes what a host's build knows, with each hello of it. The lock is held.
func (h *Host) heardLevelLocked(hello *wire.Hello) {
	if h.levels == nil {
		h.levels = make(map[raft.HostID]uint32)
	}
	h.levels[hello.Host] = hello.FeatureLevel
}

// commonLevel is the highest level that the hosts of all members know, as they said on the links that are up; 0: of one it
// is not known. Who is down may come back with an older build.
func (h *Host) commonLevel(c *raft.Configuration) uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	common := h.level
	for _, set := range [...][]raft.Member{c.Voters, c.Learners} {
		for _, m := range set {
			if m.Host != h.identity.is.Host {
				if !h.linked[m.Host] {
					return 0
				}
				common = min(common, h.levels[m.Host])
			}
		}
	}
	return common
}

// raiseLevel has a leader raise its group's level, where all members' hosts know a higher one. It is looked at when one
// of these has linked, and when the configuration has changed.
func (g *group) raiseLevel() {
	c := g.r.Configuration()
	if c.Settings.FeatureLevel >= g.h.level || g.stopped != nil || !g.r.Settled() || g.r.HandingOver() ||
		c.Index > g.r.Commit() || c.Joint() || len(c.Next) > 0 {
		return
	}
	seen := levelSeen{c.Index, g.h.linksMade, g.r.Term()}
	if seen == g.levelSeen {
		return
	}
	g.levelSeen = seen
	level := g.h.commonLevel(c)
	if level <= c.Settings.FeatureLevel {
		return
	}
	next := *c
	next.Settings.FeatureLevel = level
	g.h.log.Info("feature level is raised", "host", g.self.Host, "group", g.id, "from", c.Settings.FeatureLevel, "to", level)
	g.step(raft.Input{Kind: raft.InReconfigure, Change: &raft.Change{Ref: levelRef, After: c.Index, Next: next}})
}

// levelRef is the Ref of the host's own changes: nobody waits for their answer.
const levelRef = ^uint64(0)

// levelSeen is what was looked at last.
type levelSeen struct {
	configuration raft.Index
	links         uint64
	term          raft.Term
}
