package raft

// EventKinds are the numbers of the kinds of events, by name.
func EventKinds() map[string]uint8 {
	return map[string]uint8{
		"TermChanged": evTermChanged, "VoteGranted": evVoteGranted, "LeaderElected": evLeaderElected,
		"LeaderKnown": evLeaderKnown, "SteppedDown": evSteppedDown, "EntryAppended": evEntryAppended,
		"LogTruncated": evLogTruncated, "EntriesSaved": evEntriesSaved, "CommitAdvanced": evCommitAdvanced,
		"MarkReported": evMarkReported, "SnapshotInstalled": evSnapshotInstalled,
		"LogCompacted": evLogCompacted, "ReplicaStopped": evReplicaStopped, "Configured": evConfigured, "WentQuiet": evWentQuiet,
	}
}
