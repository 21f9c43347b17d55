package lockstep

import (
	"encoding/hex"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/host"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// HostStatus is what a host says of itself. Durations are nanoseconds in JSON; fields are only added.
type HostStatus struct {
	ID           HostID        `json:"id"`
	Cluster      string        `json:"cluster"` // 32 hex digits; empty until founded
	Addr         string        `json:"addr"`
	PID          int           `json:"pid"`
	FeatureLevel uint32        `json:"feature_level"`
	Uptime       time.Duration `json:"uptime_ns"`
	Disk         string        `json:"disk"` // ok, slow, full, failed
	SyncP99      time.Duration `json:"sync_p99_ns"`
	Syncs        uint64        `json:"syncs"`
	WALBytes     int64         `json:"wal_bytes"`
	WALMaxBytes  int64         `json:"wal_max_bytes"`
	InboxBytes   int64         `json:"inbox_bytes"` // of calls and reads that wait
	Why          string        `json:"why"`         // why it serves no group yet; empty: it does
	Groups       []GroupStatus `json:"groups"`
}

// GroupStatus is one replica on a host.
type GroupStatus struct {
	Group          GroupID             `json:"group"`
	Machine        string              `json:"machine"`
	MachineVersion machine.Version     `json:"machine_version"`
	FeatureLevel   uint32              `json:"feature_level"` // of its log: an entry raises it once all members' hosts know more
	Role           string              `json:"role"`          // leader, follower, candidate, pre-candidate
	State          string              `json:"state"`         // serving, recovering, quarantined, halted
	Why            string              `json:"why"`           // a sentence that ends in what to do
	Term           uint64              `json:"term"`
	Leader         HostID              `json:"leader"` // 0: unknown
	Commit         Index               `json:"commit"`
	Applied        Index               `json:"applied"`
	Snapshot       Index               `json:"snapshot"` // newest that a majority agrees with
	Digest         machine.Digest      `json:"digest"`   // of the state at DigestIndex, equal on all replicas
	DigestIndex    Index               `json:"digest_index"`
	Sessions       int                 `json:"sessions"`  // in the table as of Applied
	Tolerates      int                 `json:"tolerates"` // how many voters may still fail; -1: unknown here
	Configuration  ConfigurationStatus `json:"configuration"`
	Followers      []FollowerStatus    `json:"followers"` // of a leader; none on others
}

// FollowerStatus is what a leader knows of one follower's log.
type FollowerStatus struct {
	ID         HostID `json:"id"`
	LagEntries uint64 `json:"lag_entries"` // not known to be durable there
	LagBytes   int64  `json:"lag_bytes"`   // of them, within an eighth
}

// ConfigurationStatus is who belongs to a group.
type ConfigurationStatus struct {
	Index    Index    `json:"index"`
	Voters   []HostID `json:"voters"`
	Learners []HostID `json:"learners"`
	Next     []HostID `json:"next,omitempty"`     // voters to be, while some of them still learn
	Outgoing []HostID `json:"outgoing,omitempty"` // that still count beside the voters
	// Priorities for leading, of those that have another one than 1.
	Priorities map[HostID]int `json:"priorities,omitempty"`
	Skip       string         `json:"skip,omitempty"` // the command that all replicas pass over, as index.ordinal
}

// Status never waits and touches no disk. The engine's own group is not in it.
func (h *Host) Status() HostStatus {
	in := h.h.Status()
	out := HostStatus{
		ID: HostID(in.Host), Addr: in.Addr, PID: in.PID, FeatureLevel: in.FeatureLevel, Uptime: in.Uptime,
		Disk: in.Disk, SyncP99: in.P99Sync, Syncs: in.Syncs, WALBytes: in.WALBytes, WALMaxBytes: in.WALMaxBytes,
		InboxBytes: in.InboxBytes, Why: in.Why, Groups: []GroupStatus{},
	}
	if in.Host != 0 {
		out.Cluster = hex.EncodeToString(in.Cluster[:])
	}
	for i := range in.Groups {
		if in.Groups[i].Group != 0 {
			out.Groups = append(out.Groups, groupStatus(&in.Groups[i]))
		}
	}
	return out
}

// Status of the replica here; the zero value but for Group and State "absent", if there is none.
func (g *Group) Status() GroupStatus {
	if g.refuse("Status") != nil {
		return GroupStatus{State: "absent", Why: reservedGroup, Tolerates: -1}
	}
	s, ok := g.h.GroupStatus(raft.GroupID(g.id))
	if !ok {
		return GroupStatus{Group: g.id, State: "absent", Why: "this host holds no replica of the group", Tolerates: -1}
	}
	return groupStatus(&s)
}

func groupStatus(in *host.GroupStatus) GroupStatus {
	c := configuration(&in.Configuration)
	followers := make([]FollowerStatus, len(in.Followers))
	for i, f := range in.Followers {
		followers[i] = FollowerStatus{ID: HostID(f.Host), LagEntries: f.Entries, LagBytes: f.Bytes}
	}
	return GroupStatus{
		Group: GroupID(in.Group), Machine: in.Machine, MachineVersion: machine.Version(in.MachineVersion), FeatureLevel: in.Configuration.Settings.FeatureLevel,
		Role: in.Role, State: in.State, Why: in.Why, Term: uint64(in.Term), Leader: HostID(in.Leader),
		Commit: Index(in.Commit), Applied: Index(in.Applied), Snapshot: Index(in.Snapshot),
		Digest: machine.Digest(in.Mark.Digest), DigestIndex: Index(in.Mark.Index), Tolerates: in.Tolerates,
		Sessions: in.Sessions,
		Configuration: ConfigurationStatus{
			Index: c.Index, Voters: append([]HostID{}, c.Voters...), Learners: append([]HostID{}, c.Learners...),
			Next: c.Next, Outgoing: c.Outgoing, Priorities: c.Priorities, Skip: skipName(c.Settings.Skip),
		},
		Followers: followers,
	}
}

func skipName(s Skip) string {
	if s == (Skip{}) {
		return ""
	}
	return s.String()
}
