package main

// rules are the design of snapshots. With one of them switched off there must be a counterexample. Beside each
// stands what implements it, in internal/host where nothing else is said.
type rules struct {
	majority bool // a state is agreed once a majority reported it, not once one has: raft.(*Replica).seekAgreement
	own      bool // ... which makes a snapshot agreed only if this machine had that state there or behind: agreedAt
	restores bool // only agreed snapshots are restored: reached, remake
	streams  bool // ... and streamed: sendSnapshot, usable
	cuts     bool // ... and let the log be cut: snapshotAgreed
	covered  bool // the log is cut behind a snapshot, not behind what was executed: raft.(*Replica).onCompact
	stops    bool // a machine that is known to differ answers nobody any more: diverged, ail
	drops    bool // ... and what it has sealed and reported is forgotten: forgetOwn
	forgets  bool // a received snapshot ends the wait of one that was sealed here before: lane.restore
	older    bool // a received snapshot that is behind takes nothing away: raft.(*Replica).onInstalled
	suffix   bool // ... and one that is within the log leaves what is behind it: raft's entryLog.compact
	adopts   bool // one that was received, and not taken notice of by the log, is adopted by a start: adoptReceived
	passes   bool // a rotten snapshot is passed over, for the one before it: restoreFirst
	previous bool // ... which stays, and the log behind it: snapshotAgreed. Off: the log is cut behind the newest
	foreign  bool // where no state is readable, a snapshot of the others is: treat, askForSnapshot
}

// design has all rules on.
func design() rules {
	return rules{
		majority: true, own: true, restores: true, streams: true, cuts: true, covered: true, stops: true, drops: true, forgets: true,
		older: true, suffix: true, adopts: true, passes: true, previous: true, foreign: true,
	}
}

// bounds are how many there are of each: entries, crashes, snapshots that rot, machines that come to differ.
type bounds struct {
	log, crashes, rots, differs uint8
	press                       bool // the log presses on its bound: it may be cut behind the newest snapshot
	live                        bool
}

// model is the transition system that explore visits.
type model struct {
	r      rules
	b      bounds
	orders [][]uint8
}
