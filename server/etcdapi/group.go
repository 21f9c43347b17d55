package etcdapi

import (
	"context"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

// Group is the replicated log that runs machine/kv, as this protocol asks it; a *lockstep.Group is
// one, and says what each method promises. The views are *kv.View.
type Group interface {
	Propose(ctx context.Context, cmd []byte) (lockstep.Result, error)
	View(ctx context.Context, opts lockstep.ReadOptions) (machine.View, lockstep.Index, error)
	Wait(ctx context.Context, after lockstep.Index) (lockstep.Index, error)
}

var _ Group = (*lockstep.Group)(nil)

// Status is what this host knows about the group, for headers and for Maintenance.Status.
type Status struct {
	Term    uint64
	Leader  uint64 // member that leads; 0: unknown
	Commit  uint64
	Applied uint64
	Learner bool
	NoSpace bool   // the disk takes no more writes
	Trouble string // why the replica does not serve; empty if it does
}

// Member is a host of the cluster in etcd's words.
type Member struct {
	ID         uint64
	Name       string
	PeerURLs   []string
	ClientURLs []string // empty until the host has started once
	Learner    bool
}
