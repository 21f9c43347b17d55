package raft

// The kinds of env.EventKind that the algorithm emits, by number: raft knows no env. A test holds
// them equal. EntriesApplied is the host's: it knows the count of commands.
const (
	evTermChanged       = 1
	evVoteGranted       = 2
	evLeaderElected     = 3
	evLeaderKnown       = 4
	evSteppedDown       = 5
	evEntryAppended     = 6
	evLogTruncated      = 7
	evEntriesSaved      = 8
	evCommitAdvanced    = 9
	evMarkReported      = 11
	evSnapshotInstalled = 13
	evLogCompacted      = 14
	evReplicaStopped    = 15
	evConfigured        = 26
	evWentQuiet         = 27
	evPreferred         = 29
)

func (r *Replica) event(e Event) {
	if r.ready.Events == nil && r.memory != nil {
		r.ready.Events = fromKept(&r.memory.events)
	}
	r.ready.Events = append(r.ready.Events, e)
}
