package raft

// InputKind says what happened.
type InputKind uint8

// The inputs of Step. Each also carries Now: there are no ticks (A2).
const (
	InClock        InputKind = iota + 1 // nothing but the time: a deadline has come
	InMessage                           // Message arrived
	InPropose                           // Proposal: append one entry, if this replica leads
	InReconfigure                       // Change: other members or settings, if this replica leads
	InRead                              // Token: confirm a read index; Leased: by a lease, if there is one
	InSaved                             // Seq: every Save up to Seq is durable
	InHardSaved                         // Seq: term and vote of this Save are durable, whatever waits before it
	InApplied                           // Index: the machine has executed through Index
	InMark                              // Mark: the machine's digest at a marked entry
	InCompact                           // Snapshot: sealed, agreed and verified; forget the log up to it
	InInstalled                         // Snapshot: received, sealed, durable; replaces the log up to it
	InSnapshotSent                      // Replica: a stream to it ended; Failed says how
	InTrim                              // Index: drop payloads through it from memory
	InHostUp                            // Host: a link to it is up
	InHostLost                          // Host: the link closed or timed out: no hint of anything
	InHostRefused                       // Host: the redial was refused: nobody listens there
	InHostSilent                        // Host, Since: nothing came from it since then; quiet replicas wait for it again
	InStorageStuck                      // the log's writes stall: a leader steps down
	InStorageFull                       // the disk has no space for entries, which are tried again: a candidate gives them up; Bound
	InTransfer                          // Replica: hand leadership to it; 0: the best placed
	InWantMark                          // a replica here wants a mark soon (to pin a snapshot)
	InStop                              // this replica has ended: lead, vote and acknowledge no more
	InUnfit                             // its machine cannot go on: lead no more while another can; the log lives on
	InFit                               // its machine executes again
	InLeaving                           // its host is about to stop: begin no candidacy, and refuse to take over
)

// Input is one thing that happened to a replica. Only the fields its kind names are read.
type Input struct {
	Kind     InputKind
	Now      Instant
	Wall     int64 // the host's calendar in Unix nanoseconds, toward which log time is steered; 0: unknown
	Message  *Message
	Proposal Proposal
	Change   *Change
	Token    uint64
	Leased   bool
	Seq      uint64
	Index    Index
	Mark     Mark
	Snapshot *SnapshotMeta
	Replica  ReplicaID
	Host     HostID
	Since    Instant
	Failed   bool
	Bound    bool // of a full disk: it is the log that is as long as it may be, and there is room for a snapshot
}

// Proposal asks the leader to append one entry. Data becomes the log's: the caller does not
// touch it again. Payload is its digest, computed by whoever encoded it.
type Proposal struct {
	Ref     uint64 // the caller's name for it, given back in Ready.Proposed
	Kind    Kind
	Data    []byte
	Payload Digest
	Term    Term // if not 0: only as leader of this term

	Forwarded bool // of another host, which waits for the commit: it is told at once, as are all followers
}

// Refusal says why a proposal was not appended; zero: it was.
type Refusal uint8

// The refusals. A refused proposal is in no log and never will be.
const (
	Appended     Refusal = iota
	NotLeader            // this replica does not lead (or not in Proposal.Term)
	Overloaded           // the bound on uncommitted bytes is met
	Transferring         // leadership is being handed over
	Halted               // the group's configuration says so
	Unsettled            // of a change: this leader has committed nothing in its term yet
	Invalid              // not a kind that is proposed; members that may not follow those in force
	InFlight             // of a change: another one is uncommitted, or joint
	Outdated             // of a change: the configuration in force is not the one it was made from
	NoVoters             // of a change: it would leave nobody to decide
	NotHeard             // of a change: a majority of the voters to be does not speak
)

// Proposed answers one Proposal, or one Change.
type Proposed struct {
	Ref     uint64
	Refused Refusal
	Term    Term
	Index   Index
}

// ReadReady answers one InRead: once the machine has applied Index, a read is linearizable. Failed:
// nobody could confirm it in this leadership; ask anew with another token.
type ReadReady struct {
	Token  uint64
	Index  Index
	Failed bool
}

// Save is what must become durable, in order of Seq.
type Save struct {
	Seq      uint64
	Hard     HardState
	HardSet  bool          // Hard changed
	TwoBatch bool          // a vote or candidacy: durable only after its second batch (R9)
	Entries  []Entry       // replace the log from the first one's index on
	Base     *SnapshotMeta // the log now begins after this snapshot (install or compaction)
	Replaces bool          // with Base: no entry of the former log remains

	// Commit is a commit floor, worth keeping beside whatever else is saved: everything through it is
	// committed, and was durable here before (R19). 0: nothing is known. It alone makes no Save.
	Commit Index
}

// Empty says that there is nothing to save.
func (s *Save) Empty() bool { return !s.HardSet && len(s.Entries) == 0 && s.Base == nil }

// Ready is everything a replica asks for after its inputs. The slices are the caller's; entries
// and their payloads are shared and never written again.
type Ready struct {
	// Messages may leave at once; those of AfterSave only when Save is durable (A3).
	Messages  []Message
	Save      Save
	AfterSave []Message

	// GivenUp, if not 0: the entries from it on that earlier Saves brought are no more wanted, and their
	// acknowledgements must not leave any more (R7). Obeyed before Save.
	GivenUp Index

	// Apply are entries that are committed and saved here, in order, each given once. Payloads
	// may have to be read from the log.
	Apply []Entry
	// Install asks the machine to restore this snapshot before it applies anything more.
	Install *SnapshotMeta

	Proposed []Proposed
	Reads    []ReadReady
	// NeedSnapshot are followers whose next entry is no longer in the log.
	NeedSnapshot []ReplicaID
	// Agreed is set when a majority of voters has reported this digest at this mark.
	Agreed *Mark
	// Diverged is this replica's own mark where the agreed one has another digest: its machine is
	// not to be trusted any more.
	Diverged *Mark
	// Failed says, once, that this replica cannot go on: an undecodable configuration, or a log
	// that differs where it must not. From then on it ignores every input.
	Failed error
	// Events of these inputs, in order, for the host's Observer.
	Events []Event

	// Deadline is when Step wants an InClock at the latest; 0: never.
	Deadline Instant
}

// Event is one fact for the observer; kinds are those of env.EventKind, by number.
type Event struct {
	Kind   uint8
	Term   Term
	Index  Index
	Peer   ReplicaID
	Digest Digest
	Count  uint64
	Text   string
}

// Options of one replica. Times are nanoseconds.
type Options struct {
	Self    Member
	Group   GroupID
	Birth   Birth
	Hard    HardState
	Base    *SnapshotMeta // the snapshot the log begins after; nil: none
	Entries []Entry       // after Base, in order; saved
	Applied Index         // what the machine holds already: Base's index, or 0
	Commit  Index         // the newest commit floor of a Save, at most the last entry's index; 0: none

	Heartbeat       int64
	ElectionTimeout int64 // the shorter bound; drawn up to twice of it
	// MaxElectionTimeout is how long slow links and disks may make ElectionTimeout. Not longer: they do not.
	MaxElectionTimeout int64
	MaxAppendBytes     int64  // of one append message
	MaxSaveBytes       int64  // of the entries of one Save; zero: no bound
	MaxWindow          int    // append messages in flight per follower
	MaxWindowBytes     int64  // bytes in flight per follower
	MaxUncommitted     int64  // bytes appended and not committed; beyond: Overloaded
	MarkEvery          Index  // entries between marks
	MarkBytes          int64  // of entries between marks; zero: any
	MarkInterval       int64  // at the latest, if there were entries
	Seed               uint64 // of election timeouts
	Quiet              bool   // followers of idle leaders need no heartbeats: the host tells of silent ones (InHostSilent)
	Campaign           bool   // the sole voter, or founder: do not wait for the first timeout
	NoVote             bool   // the head of the log or the hard state is uncertain: never vote, never campaign

	// DecodeConfiguration reads the payload of a KindConfiguration entry (raft knows no bytes). It
	// is called when such an entry enters the log; Index is set by the caller.
	DecodeConfiguration func(payload []byte) (Configuration, error)
	// EncodeConfiguration is the reverse, for the entries that a leader appends by itself.
	EncodeConfiguration func(c *Configuration) []byte

	Check  bool    // whole-state assertions after every Step
	Memory *Memory // that Readies are made of, from the first Step on; nil: each has its own
}

// Status is a replica's view of itself and, as leader, of its followers.
type Status struct {
	Role          Role
	Term          Term
	Vote          ReplicaID
	Leader        ReplicaID // 0: unknown
	Commit        Index
	Applied       Index
	Saved         Index
	First         Index // of the log
	Last          Position
	LastSum       Digest
	Configuration Configuration
	Agreed        Mark
	Progress      []Progress // of every other member, while leading
	Uncommitted   int64
}

// Progress is what a leader knows of one follower.
type Progress struct {
	Member   Member
	Match    Index
	Next     Index
	Recent   bool // heard from within an election timeout
	Snapshot bool // waiting for a snapshot to arrive
	Learner  bool
}
