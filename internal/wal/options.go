package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Options of a log. Env and Dir must be set.
type Options struct {
	Env env.Env
	Dir string // the segments' directory; made if need be, used by one process at a time (the host locks)

	SegmentBytes int64 // of one file; zero: 64 MiB. Rounded up to blocks, at least 64 KiB
	MaxBytes     int64 // of all files, but for one more on a restart while full, or while the oldest is emptied; zero: 4 GiB, at least six segments
	LoadBytes    int64 // payloads that Open loads, the newest first; zero: 64 MiB
	Direct       bool  // write past the page cache; the same bytes on disk

	Cluster [16]byte
	Host    raft.HostID
	Logger  *slog.Logger // nil: nowhere

	// Synced is told about every write and its sync, on the writer's task: it must not park. nil: nobody.
	Synced func(Sync)
}

// Sync is one write that has become durable.
type Sync struct {
	Took     time.Duration
	Bytes    int
	Commands int // the sum of GroupSave.Commands
}

// Errors of the log.
var (
	// ErrFull refuses entries while there is no space for another segment. Nothing of the call was
	// saved. Hard states, bases and destructions still go; it clears by itself.
	ErrFull = errors.New("log has no space for another segment")
	// ErrFailed says that a write or a sync failed: what the disk holds is unknown, and the log
	// takes nothing more. Only a new Open goes on.
	ErrFailed = errors.New("log has failed")
	// ErrDamaged says that the files cannot be read as a log, and that guessing could lose data.
	ErrDamaged = errors.New("log is damaged")
	// ErrForeign says that a segment belongs to another cluster or host.
	ErrForeign = errors.New("segment belongs to another host")
	// ErrGap refuses entries that do not follow what the log holds of their group.
	ErrGap = errors.New("entries leave a gap in the log")
	// ErrNotHeld says that the log does not hold the entry that Read wants.
	ErrNotHeld = errors.New("log does not hold the entry")
	// ErrClosed answers appends to a closed log.
	ErrClosed = errors.New("log is closed")
)

// Condition says what a replica may do with what the log holds of it. From HeadUnknown on it may
// not vote; see docs/formats/wal.md.
type Condition uint8

// The conditions, from good to bad.
const (
	Normal      Condition = iota // everything that was ever promised is here
	Holes                        // all identities are known, some payloads are rotten
	HeadUnknown                  // entries behind the last one may have been acknowledged
	Amnesiac                     // the hard state may be older than one that was acted on
)

// String names the condition as status prints it.
func (c Condition) String() string {
	switch c {
	case Normal:
		return "normal"
	case Holes:
		return "holes"
	case HeadUnknown:
		return "head-unknown"
	case Amnesiac:
		return "amnesiac"
	}
	return fmt.Sprintf("condition(%d)", uint8(c))
}

// Recovered is what Open found. Groups is to be iterated in order of its keys.
type Recovered struct {
	Groups map[raft.GroupID]*GroupState
	// Fresh says that there was no segment head at all: a new log, or a wiped one.
	Fresh bool
	Life  uint64   // of the log as opened now, drawn at random
	Notes []string // what was cut or found rotten, one sentence each, for the host's log
}

// GroupState is one group as the log holds it. All of it is the caller's.
type GroupState struct {
	Group raft.GroupID
	Birth raft.Birth
	Hard  raft.HardState // Term is at least that of the last entry

	// The log begins after this entry; zero: with index 1.
	BaseIdentity      raft.Identity
	BaseSum           raft.Digest
	BaseConfiguration raft.Configuration // in force at the base

	// Commit is the newest floor of a save (raft.Save.Commit): what Entries holds through it is committed. 0, or
	// below the base: nothing is known.
	Commit raft.Index

	// Entries follow the base without a gap. Configurations and the newest payloads are loaded,
	// others have nil Data: Read loads them.
	Entries   []raft.Entry
	Holes     []raft.Index // entries whose payload is rotten, ascending
	Condition Condition
	Why       string // of the condition, where it is not Normal
	Destroyed bool   // tombstone of Birth: everything but Group and Birth is zero
}

// Base is the snapshot that the log begins after.
func (g *GroupState) Base() raft.SnapshotMeta {
	return raft.SnapshotMeta{Identity: g.BaseIdentity, Sum: g.BaseSum, Configuration: g.BaseConfiguration}
}

// GroupSave is what one group wants saved. A save with another Birth than the group's former one
// replaces all that the log held of it.
type GroupSave struct {
	Group raft.GroupID
	Birth raft.Birth
	Save  raft.Save
	// Configuration is the newest one among Save.Entries or Save.Base. The log takes it from
	// there; the field is for the caller's own bookkeeping and may be nil.
	Configuration *raft.Configuration
	Commands      int  // in Save.Entries, as the caller counts them: for Options.Synced
	Destroy       bool // the group is no more: only its tombstone remains. Save is not looked at
}

// Stats is the log's state at one moment.
type Stats struct {
	Bytes        int64 // of all files
	MaxBytes     int64
	LiveBytes    int64 // of entries that are still in some group's log
	Segments     int   // that hold data
	Spares       int   // prepared for use
	Syncs        uint64
	Batches      uint64
	LastSync     time.Duration // the newest write and sync took so long
	P99Sync      time.Duration // over the newest 256
	StalledSince time.Duration // on the env's clock: when the running write was issued; 0: none runs
	QueueBytes   int64
	Carried      uint64 // entries carried forward
	Full         bool   // entries are being refused with ErrFull
	Failed       bool
	Damaged      bool // a read met rot since Open
}
