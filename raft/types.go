package raft

import (
	"errors"
	"strconv"

	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// The numbers of the algorithm. Each is a type of its own, so that swapped arguments do not compile.
type (
	// Index is a place in a group's log; the first entry is 1.
	Index uint64
	// Term is one leader's time in office; the founding entry has term 1, elections begin at 2.
	Term uint64
	// GroupID names one replicated log.
	GroupID uint64
	// Birth is drawn when a group is created: one destroyed and created again is another group.
	Birth uint64
	// HostID names a process of the cluster.
	HostID uint64
	// ReplicaID names a group's member; given by a counter in the configuration, never reused.
	ReplicaID uint64
	// Incarnation is drawn when a replica is created on a host. A wiped disk has another one.
	Incarnation uint64
	// Time is log time in nanoseconds: elapsed time while there was a leader. Not a date.
	Time int64
	// Instant is a host's monotonic clock in nanoseconds. Zero as a deadline: none.
	Instant int64
	// Digest is a 64-bit non-cryptographic digest (algorithm 1: XXH64, seed 0).
	Digest uint64
)

// String prints the digest as 16 hexadecimal digits.
func (d Digest) String() string {
	s := strconv.FormatUint(uint64(d), 16)
	return "0000000000000000"[:16-len(s)] + s
}

// Kind says what an entry is. Unknown kinds are refused by every decoder.
type Kind uint8

// The kinds of entries.
const (
	KindCommands      Kind = 1 // 1..n commands of clients
	KindEmpty         Kind = 2 // a leader's first of its term, or a bearer of a mark
	KindTick          Kind = 3 // log time has reached the machine's deadline
	KindConfiguration Kind = 4 // an entry of its own; effective at append
)

// Flags are the leader's marks on an entry; replicated, part of its identity.
type Flags uint8

// FlagMark makes every replica report its state's digest at this entry; snapshots are pinned only here.
const FlagMark Flags = 1

// Identity is what an entry is, equal on all replicas, without its bytes. Two logs that hold an
// identity with equal digest hold equal prefixes: the digest of the previous one is part of it.
type Identity struct {
	Group   GroupID
	Birth   Birth
	Kind    Kind
	Flags   Flags
	Term    Term
	Index   Index
	Time    Time
	Length  uint32 // of the payload, in bytes
	Payload Digest // of the payload
	Prev    Digest // of the previous entry's identity; 0 before the first
}

// identitySize is the length of the canonical form that Digest covers.
const identitySize = 70

// Digest is the entry's name: XXH64 over the identity's fields, little-endian, in declared order.
func (i *Identity) Digest() Digest {
	var b [identitySize]byte
	digest.SetUint64(b[0:], uint64(i.Group))
	digest.SetUint64(b[8:], uint64(i.Birth))
	b[16], b[17] = byte(i.Kind), byte(i.Flags)
	digest.SetUint64(b[18:], uint64(i.Term))
	digest.SetUint64(b[26:], uint64(i.Index))
	digest.SetUint64(b[34:], uint64(i.Time))
	digest.SetUint32(b[42:], i.Length)
	digest.SetUint64(b[46:], uint64(i.Payload))
	digest.SetUint64(b[54:], uint64(i.Prev))
	digest.SetUint64(b[62:], 1) // the algorithm's number
	return Digest(digest.Sum(b[:]))
}

// Position is the place of the entry in the order of all logs.
func (i *Identity) Position() Position { return Position{Term: i.Term, Index: i.Index} }

// An Entry is what a leader appends to one group in one turn: the unit of replication, checksum,
// repair and Apply. It is never split and never changed; its slices may be shared.
type Entry struct {
	Identity
	Sum  Digest // Identity.Digest(), kept beside it
	Data []byte // the payload; nil while Length > 0: not in memory, the host reads it from its log
}

// Loaded says whether the payload is in memory.
func (e *Entry) Loaded() bool { return e.Data != nil || e.Length == 0 }

// Position orders entries of different logs: by term, then index.
type Position struct {
	Term  Term
	Index Index
}

// Less is the "less up to date" of the election restriction (thesis §3.6.1).
func (p Position) Less(q Position) bool {
	return p.Term < q.Term || p.Term == q.Term && p.Index < q.Index
}

// HardState is what a replica must have on disk before it acts on it (thesis figure 3.1). The
// commit index is not among it: a new leader's first entry finds it again. While full disks keep that entry
// from them, replicas go by the floor that a Save left (Save.Commit).
type HardState struct {
	Term Term
	Vote ReplicaID // voted for in Term; 0: nobody
}

// Member is one replica as a configuration names it.
type Member struct {
	Replica     ReplicaID
	Host        HostID
	Incarnation Incarnation
}

// Configuration is who belongs to a group, and the settings that must be equal everywhere. It is
// in force from the append of its entry on, and no more when that entry is truncated.
type Configuration struct {
	Index       Index      // of the entry that brought it
	Voters      []Member   // ordered by Replica
	Outgoing    []Member   // the voters being left, while joint; else empty (thesis §4.3)
	Learners    []Member   // get the log, do not vote or count
	Next        []Member   // the voters to be, while some of them still learn; else empty
	Priorities  []Priority // for leading, other than DefaultPriority; ordered by Host
	NextReplica ReplicaID
	Settings    Settings
}

// Settings are a group's replicated settings. The engine's; raft carries them.
type Settings struct {
	Machine        string // name of the machine's kind
	Version        uint32 // of the machine, that runs
	FeatureLevel   uint32 // of the engine, that every member can run
	MaxEntryBytes  int64  // longest command
	MaxSessions    uint32
	SessionTTL     int64 // nanoseconds of log time
	MaxTokens      uint32
	TokenTTL       int64 // nanoseconds of log time
	MaxResultBytes int64 // of results that sessions and tokens keep
	Lease          int64 // nanoseconds; 0: none
	MaxDriftPPM    uint32
	Halt           Halt
	SkipIndex      Index // the command at (SkipIndex, SkipOrdinal) is refused, not run; 0: none
	SkipOrdinal    uint32
	SnapshotFormat uint32
}

// Halt says whether a group takes commands, and why not.
type Halt uint8

// The reasons. A halted group takes changes of its configuration, and nothing else.
const (
	HaltNone     Halt = iota
	HaltEnd           // its end was begun: for good
	HaltOperator      // an operator's word: reads go on
	HaltDisputed      // no majority of the voters has one state: nobody knows what a read should say
	haltEnd
)

// MarshalJSON gives false, true for HaltEnd, or the number. It never fails.
func (h Halt) MarshalJSON() ([]byte, error) {
	switch h {
	case HaltNone:
		return []byte("false"), nil
	case HaltEnd:
		return []byte("true"), nil
	}
	return strconv.AppendUint(nil, uint64(h), 10), nil
}

// UnmarshalJSON takes what MarshalJSON gives.
func (h *Halt) UnmarshalJSON(text []byte) error {
	switch s := string(text); s {
	case "false":
		*h = HaltNone
	case "true":
		*h = HaltEnd
	default:
		n, err := strconv.ParseUint(s, 10, 8)
		if err != nil || !Halt(n).Known() {
			return errors.New("halt is false, true, or the number of a known reason, not " + s)
		}
		*h = Halt(n)
	}
	return nil
}

// Known says whether this build understands h.
func (h Halt) Known() bool { return h < haltEnd }

// SnapshotMeta is what raft knows of a snapshot: the last entry it covers, and the configuration
// as of that entry.
type SnapshotMeta struct {
	Identity      Identity
	Sum           Digest // of Identity
	Configuration Configuration
}

// Index of the last entry that the snapshot covers.
func (s *SnapshotMeta) Index() Index { return s.Identity.Index }

// Mark is a replica's state at a marked entry: the digest of its machine and results so far.
type Mark struct {
	Index  Index
	Digest Digest
}

// MessageType says what a Message asks or tells.
type MessageType uint8

// The messages between replicas of one group.
const (
	MsgPreVote        MessageType = iota + 1 // Term: the one it would campaign in; Prev: its last position
	MsgPreVoteReply                          // Term as asked if granted, else the voter's; Reject
	MsgVote                                  // Term, Prev: its last position; Transfer: stickiness does not bind
	MsgVoteReply                             // Reject
	MsgAppend                                // Prev, PrevSum, Entries, Commit, Round, Agreed
	MsgAppendReply                           // Index: match (or, with Reject, the refused Prev.Index); Hint: the same in memory; Round, Mark, WantMark, Unfit
	MsgHeartbeat                             // Commit (at most what the follower is known to match), Round (0: a notice, not answered), Agreed, Timeout, Quiet: expect no more of them
	MsgHeartbeatReply                        // Round (0: unasked, the group is to wake), Index: saved and verified; Hint: the same in memory; Mark, WantMark, Unfit, Quiet: agreed; Commit: if it is beyond the heartbeat's; Reject: the log here is as long as it may be
	MsgReadIndex                             // Token: a follower asks the leader for a read index; Leased
	MsgReadIndexReply                        // Token, Index; Reject: ask again later
	MsgSnapshotOffer                         // Index, Sum of a snapshot about to be streamed to a follower
	MsgSnapshotReply                         // Index: installed and durable; Reject: not wanted
	MsgTransfer                              // the leader asks the target to campaign at once
	messageTypeEnd
)

// Known says whether this build understands t.
func (t MessageType) Known() bool { return t > 0 && t < messageTypeEnd }

// A Message goes from one replica to another of the same group. Fields that its type does not
// name are zero and not sent.
type Message struct {
	Type  MessageType
	Group GroupID
	Birth Birth
	From  ReplicaID
	To    ReplicaID
	// The incarnations of both, as the sender's configuration names them: an ack of a former
	// incarnation never counts (bug 20).
	FromIncarnation Incarnation
	ToIncarnation   Incarnation
	ToHost          HostID // where To lives; for routing, not sent
	FromHost        HostID // whence it came, set by the receiving host; routes replies to a stranger; not sent
	Term            Term

	Prev    Position // of the entry before Entries; of the last entry in vote requests
	PrevSum Digest   // identity digest at Prev
	Entries []Entry
	Commit  Index
	Round   uint64 // the leader's confirmation round, echoed by replies (thesis §6.4)

	Index    Index
	Reject   bool
	Transfer bool
	WantMark bool     // in replies: a snapshot waits there for a mark
	Quiet    bool     // the group goes quiet
	Hint     Position // what is verified in memory; with Reject: the last position whose term is at most Prev's
	Token    uint64
	Timeout  int64 // of a heartbeat: the election timeout to go by, where it is longer than ElectionTimeout
	Unfit    bool  // in replies: the sender could not lead
	Leased   bool  // of a question for a read index: a lease is enough
	Mark     Mark  // the sender's newest mark
	Agreed   Mark  // the newest mark on which a majority of voters agrees
}

// Role is what a replica is in its term.
type Role uint8

// The roles (thesis §3.3, §9.6).
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

// String names the role as status and traces print it.
func (r Role) String() string {
	switch r {
	case Follower:
		return "follower"
	case PreCandidate:
		return "pre-candidate"
	case Candidate:
		return "candidate"
	case Leader:
		return "leader"
	}
	return "role(" + strconv.Itoa(int(r)) + ")"
}
