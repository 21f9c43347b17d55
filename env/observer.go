package env

import "time"

// Observer is told what the engine does as it happens: metrics and traces in production,
// checkers in the simulator. Observe is called on the engine's turn: it must not park.
type Observer interface {
	Observe(e Event)
}

// An Event is one fact about one replica. Which of the fields mean something depends on Kind.
type Event struct {
	Kind    EventKind
	At      time.Duration // the host's monotonic clock
	Host    uint64
	Group   uint64
	Replica uint64
	Term    uint64
	Index   uint64
	Peer    uint64 // the other replica: the candidate voted for, the leader followed
	Digest  uint64 // of the entry at Index, or of the state at a mark
	Count   uint64 // commands, bytes, or what the kind says
	Bytes   uint64
	Took    time.Duration
	Text    string // a reason, where there is one
}

// EventKind says what an Event tells.
type EventKind uint8

// The events.
const (
	TermChanged       EventKind = iota + 1 // Term
	VoteGranted                            // durable: Term, Peer
	LeaderElected                          // this replica leads Term; Text: why it campaigned
	LeaderKnown                            // this replica follows Peer in Term
	SteppedDown                            // this replica led Term; Text: why no more
	EntryAppended                          // to the log in memory: Term, Index, Digest of its identity
	LogTruncated                           // Index is the first that is gone
	EntriesSaved                           // durable through Index, written under leader Term
	CommitAdvanced                         // Index
	EntriesApplied                         // through Index; Count commands; Took: the machine, for all of them
	MarkReported                           // Index, Digest of the state
	SnapshotSealed                         // Index; Count bytes
	SnapshotInstalled                      // Index
	LogCompacted                           // Index is the first that remains
	ReplicaStopped                         // it votes, acknowledges and serves no more in this life: Text
	WALSynced                              // one write and its sync: Bytes, Took; Count commands are durable by it
	LinkUp                                 // Peer is the host
	LinkLost                               // Peer is the host; Text: refused, reset, timeout
	LogRecovered                           // a replica begins with what its log held: Term and Peer of the hard state, Index and Digest of the last entry; Text: damage, if any
	CallBusy                               // a call was refused; Text: the budget that is full: inbox, apply, uncommitted, order, or session
	RoundTrip                              // to the host Peer and back: Took
	ReplicaDiverged                        // a majority computed another state: Text; ReplicaUnfit follows
	LogFailed                              // the host stopped until its process starts anew; Text: why
	ReplicaRemoved                         // its group goes on without it: it ends, and its data go
	EntriesReadBack                        // payloads that had left memory were read from the log, through Index; Count entries; Text: for the machine, or to be sent
	Configured                             // another configuration is in force here, of the entry at Index; Text: voters, outgoing voters and learners, each replica@host
	WentQuiet                              // this leader and its followers send no heartbeats until something stirs: Term
	CommandRepeated                        // of the entry at Index, Count commands of sessions or tokens had run before, and were answered from the table
	LeaderPreferred                        // this leader hands over to the replica Peer, which has a higher priority: Term
	ReplicaUnfit                           // its machine cannot go on: it serves no more, and leads only where nobody else can: Text
	ReplicaRebuilt                         // its machine was made anew, and executes again from here: Index, Digest of the chain there; Text: why
	ReplicaFit                             // and has executed all that it had before: it may lead and serves, Index
	GroupHalted                            // no majority of its voters has one state: the configuration at Index says so, and nobody serves
	MachineUpgraded                        // the configuration at Index is executed, and its machine told that it runs as version Count from there on
)
