package etcdapi

import (
	"context"

	"github.com/lockstep-rsm/lockstep/machine"
)

// Group is the replicated log that runs machine/kv, as this protocol asks it. All methods are safe
// for concurrent use; errors are those of this file, machine refusals, or the context's.
type Group interface {
	// Propose returns the machine's reply once the command is committed and executed.
	Propose(ctx context.Context, cmd []byte) ([]byte, error)
	// View pins the store: at level, and for AtLeast with everything up to after. The view is a
	// *kv.View, and the caller closes it.
	View(ctx context.Context, level Level, after machine.Index) (machine.View, machine.Index, error)
	// Wait returns when more than after is applied here, and up to where.
	Wait(ctx context.Context, after machine.Index) (machine.Index, error)
}

// Level says how fresh a View is.
type Level uint8

// The levels.
const (
	Linearizable Level = iota // sees every write that completed before the read began
	AtLeast                   // sees a given index and all before it
	Local                     // what this host has now; never waits
)

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
