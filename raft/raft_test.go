package raft_test

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/raft"
)

// raft knows no env, so it names the kinds of events by number.
func TestEventKindsAreThoseOfEnv(t *testing.T) {
	want := map[string]env.EventKind{
		"TermChanged": env.TermChanged, "VoteGranted": env.VoteGranted, "LeaderElected": env.LeaderElected,
		"LeaderKnown": env.LeaderKnown, "SteppedDown": env.SteppedDown, "EntryAppended": env.EntryAppended,
		"LogTruncated": env.LogTruncated, "EntriesSaved": env.EntriesSaved, "CommitAdvanced": env.CommitAdvanced,
		"MarkReported": env.MarkReported, "SnapshotInstalled": env.SnapshotInstalled,
		"LogCompacted": env.LogCompacted, "ReplicaStopped": env.ReplicaStopped, "Configured": env.Configured, "WentQuiet": env.WentQuiet,
	}
	for name, number := range raft.EventKinds() {
		if want[name] != env.EventKind(number) {
			t.Errorf("%s is %d in raft, %d in env", name, number, want[name])
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is not named by raft", name)
	}
}
