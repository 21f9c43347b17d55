package lockstep

import (
	"fmt"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/host"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Left is the directory of a host that does not run, or a copy of one, and the machines to execute its groups
// with: those of the build that ran there, or of another one.
type Left struct {
	Dir      string
	Machines map[string]machine.Kind
	Env      env.Env // nil: env.OS()
}

// Difference is the first one between two replicas.
type Difference struct {
	From, Through Index // what was compared: the states behind these entries, and behind all between them
	Found         bool
	Log           bool // the logs hold different entries at Index. Their ends may, where an entry was not committed: then the terms differ
	Before        bool // the states differ where the comparison begins: behind Index
	Index         Index
	Ordinal       uint32            // of the command in the entry
	Term          [2]uint64         // of the entries
	Digest        [2]machine.Digest // of the entries where the logs differ, else of the states behind the command, 0 where the machine has none
	Command       [2][]byte         // the payloads of the entries where the logs differ, else the command, twice
	Tick          bool              // there is no command: log time reached the machine's deadline
	Result        [2][]byte         // one byte, 0 and the reply, or 1, the code and the text of a refusal; nil: none, see Failed
	Failed        [2]error          // the machine could not execute the command
}

// Bisect looks for the first command after which the replicas of a group in two directories have different
// states, or differ in what they answered, by executing both logs side by side from the oldest state that both can be brought
// to. It changes nothing in them; what a host that is started meanwhile writes may be missed. The directories may be one,
// with the machines of two builds. Errors: ErrDir, which an *env.LockedError is where a host runs there, ErrNoReplica,
// ErrNoMachine, or the disk's: they cannot be compared.
func Bisect(group GroupID, a, b Left) (*Difference, error) {
	left := func(l Left) *host.Left {
		if l.Env == nil {
			l.Env = env.OS()
		}
		return &host.Left{Env: l.Env, Dir: l.Dir, Machines: l.Machines}
	}
	d, err := host.Bisect(raft.GroupID(group), left(a), left(b))
	if err != nil {
		return nil, fmt.Errorf("bisect group %d: %w", group, err)
	}
	return &Difference{
		From: Index(d.From), Through: Index(d.Through), Found: d.Found, Log: d.Log, Before: d.Before,
		Index: Index(d.Index), Ordinal: d.Ordinal, Term: [2]uint64{uint64(d.Term[0]), uint64(d.Term[1])},
		Digest:  [2]machine.Digest{machine.Digest(d.Digest[0]), machine.Digest(d.Digest[1])},
		Command: d.Command, Tick: d.Tick, Result: d.Result, Failed: d.Failed,
	}, nil
}
