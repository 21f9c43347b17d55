package lockstep

import (
	"crypto/tls"
	"log/slog"
	"strconv"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
)

// Options of one host, none of them replicated. Zero means the default; Open refuses an impossible
// value with ErrOptions, the field's name and what it may be.
type Options struct {
	Dir                    string                  // required. One per host, locked: log, snapshots, and a folder per machine that asks
	Machines               map[string]machine.Kind // required. The machines this binary can run, by the name that group configurations use
	Addr, Listen           string                  // host:port that other hosts dial; where to listen, if not there. No Addr: no network, a cluster of one that nobody can join (tests)
	Founders               []string                // first start only: Addr of every founder, the same list on each. Ignored once Dir belongs to a cluster
	Join                   string                  // first start only: a token from Host.Token. With an Addr and an empty Dir, this or Founders is required
	TLS                    *tls.Config             // mutual TLS between hosts; nil: plaintext, refused beyond loopback
	Insecure               bool                    // allows that
	Logger                 *slog.Logger            // nil: slog.Default()
	Observer               env.Observer            // term, vote, append, save, commit, apply as events; must not block. nil: none
	Env                    env.Env                 // nil: env.OS()
	Check                  bool                    // whole-state assertions after every step
	CallTimeout            time.Duration           // bounds a call whose context has no deadline. Zero: 10 s. Negative: none
	Heartbeat              time.Duration           // zero: 100 ms
	ElectionTimeout        time.Duration           // the shorter bound; drawn up to twice of it. Zero: 400 ms; at least 4 × Heartbeat
	MaxElectionTimeout     time.Duration           // how long slow links and disks may make ElectionTimeout, as measured. Zero: 5 × ElectionTimeout; ElectionTimeout itself: not at all
	MaxInboxBytes          int64                   // calls and reads that wait for their answer, all groups; as much again forwarded by other hosts. Zero: 64 MiB. Beyond: ErrBusy
	MaxInFlightBytes       int64                   // sent and not acknowledged, per peer host; received and not yet handled. Zero: 16 MiB. A dead peer costs this, no more
	MaxApplyBytes          int64                   // committed, not yet applied, per group. Zero: 64 MiB. Beyond: ErrBusy
	MaxCacheBytes          int64                   // of one group's newest commands, kept in memory for followers and the machine. Zero: 8 MiB. Older ones are read from the log
	MaxWALBytes            int64                   // the whole log of this host; two segments of it are kept for what makes it shorter. Zero: 4 GiB. Who is slower gets a snapshot
	WALSegmentBytes        int64                   // one file of it. Zero: 64 MiB, at most an eighth of MaxWALBytes
	SnapshotBytesPerSecond int64                   // written, and sent to other hosts. Zero: 64 MiB
	SnapshotAfterBytes     int64                   // log of one group after which it snapshots. Zero: 256 MiB, at most an eighth of MaxWALBytes
	Loops, Lanes           int                     // engine turns (this version runs one) and machine lanes at once. Zero: from GOMAXPROCS
	Fdatasync              bool                    // write the log through the page cache and sync it. Default: with O_DIRECT where the file system can, faster on most disks. The same bytes on disk
}

// GroupOptions are for founding; afterwards they are in the group's configuration.
type GroupOptions struct {
	Machine  string   // required: a name in Options.Machines of all hosts
	Voters   []HostID // none: those of group 0, at first the founders
	Settings Settings
}

// Configuration is who belongs to a group, and its settings, as of Index.
type Configuration struct {
	Index            Index
	Voters, Learners []HostID // no host is in both, or in either twice
	Settings         Settings
	Priorities       map[HostID]int // for leading, 0 to 255, of members; who is not in it has 1. Reconfigure leaves them as they are if it is nil
	Next, Outgoing   []HostID       // while a change is under way: the voters to be, and those that still count beside Voters. Reconfigure does not look at them
}

// ReadOptions say what a read must see. The zero value is a linearizable read.
type ReadOptions struct {
	Level  Level
	After  Index         // with AtLeast
	MaxAge time.Duration // with Stale: at most so old, by this host's clock. Zero: any; older: ErrStale, and the replica asks for what it lacks
}

// Level is what a read promises.
type Level uint8

// The levels of a read.
const (
	Linearizable Level = iota // sees every write that completed before the read began; one round to a majority, shared by all waiting reads
	Leased                    // the same from the leader's lease, no round: it trusts Settings.MaxDriftPPM. Without a lease: Linearizable
	AtLeast                   // sees After and all before it, from this replica; no round
	Stale                     // some state that this replica has reached, at most MaxAge old; never waits. ErrRecovering until it
	//                           has executed, in this life of its host, all that was committed when a leader was first heard
)

// String names the level.
func (l Level) String() string {
	switch l {
	case Linearizable:
		return "linearizable"
	case Leased:
		return "leased"
	case AtLeast:
		return "at least"
	case Stale:
		return "stale"
	}
	return "level(" + strconv.Itoa(int(l)) + ")"
}
