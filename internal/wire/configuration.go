package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/raft"
)

// Versions of a configuration. 1: the first. 2: behind it, the voters to be; written only where there
// are any. 3: behind them, if any, priorities; written only where there are any. docs/formats/payload.md.
const (
	configurationVersion           = 1
	configurationVersionNext       = 2
	configurationVersionPriorities = 3
)

// Bounds of a configuration.
const (
	MaxMembers      = raft.MaxMembers // in each of its lists
	MaxMachineBytes = 255             // of the name of a machine's kind
)

// memberSize is the least length of an encoded member.
const memberSize = 10

// AppendConfiguration appends c, the payload of a KindConfiguration entry. Its Index is not in the
// bytes: it is the entry's. It panics on lists that are not strictly ordered by Replica.
func AppendConfiguration(dst []byte, c *raft.Configuration) []byte {
	version := byte(configurationVersion)
	switch {
	case len(c.Priorities) > 0:
		version = configurationVersionPriorities
	case len(c.Next) > 0:
		version = configurationVersionNext
	}
	dst = append(dst, version)
	dst = appendMembers(dst, c.Voters)
	dst = appendMembers(dst, c.Outgoing)
	dst = appendMembers(dst, c.Learners)
	dst = binary.AppendUvarint(dst, uint64(c.NextReplica))
	dst = appendSettings(dst, &c.Settings)
	if version >= configurationVersionNext {
		dst = appendMembers(dst, c.Next)
	}
	if version >= configurationVersionPriorities {
		dst = appendPriorities(dst, c.Priorities)
	}
	return dst
}

func appendPriorities(dst []byte, priorities []raft.Priority) []byte {
	assertf(len(priorities) <= MaxMembers, "list of %d priorities, at most %d", len(priorities), MaxMembers)
	dst = binary.AppendUvarint(dst, uint64(len(priorities)))
	var last raft.HostID
	for _, p := range priorities {
		assertf(p.Host > last, "priority of host %d after that of %d", p.Host, last)
		last = p.Host
		dst = append(binary.AppendUvarint(dst, uint64(p.Host)), p.Value)
	}
	return dst
}

func appendSettings(dst []byte, s *raft.Settings) []byte {
	dst = appendText(dst, "machine name", s.Machine, MaxMachineBytes)
	dst = binary.AppendUvarint(dst, uint64(s.Version))
	dst = binary.AppendUvarint(dst, uint64(s.FeatureLevel))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.MaxEntryBytes))
	dst = binary.AppendUvarint(dst, uint64(s.MaxSessions))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.SessionTTL))
	dst = binary.AppendUvarint(dst, uint64(s.MaxTokens))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.TokenTTL))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.MaxResultBytes))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Lease))
	dst = binary.AppendUvarint(dst, uint64(s.MaxDriftPPM))
	dst = append(dst, byte(s.Halt))
	dst = binary.AppendUvarint(dst, uint64(s.SkipIndex))
	dst = binary.AppendUvarint(dst, uint64(s.SkipOrdinal))
	return binary.AppendUvarint(dst, uint64(s.SnapshotFormat))
}

func appendMembers(dst []byte, members []raft.Member) []byte {
	assertf(len(members) <= MaxMembers, "configuration lists %d members, at most %d", len(members), MaxMembers)
	dst = binary.AppendUvarint(dst, uint64(len(members)))
	var last raft.ReplicaID
	for _, m := range members {
		assertf(m.Replica > last, "configuration lists replica %d after %d", m.Replica, last)
		last = m.Replica
		dst = binary.AppendUvarint(dst, uint64(m.Replica))
		dst = binary.AppendUvarint(dst, uint64(m.Host))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Incarnation))
	}
	return dst
}

// DecodeConfiguration reads a configuration that fills p. Its Index is zero: the caller sets it
// from the entry. Nothing in it aliases p.
func DecodeConfiguration(p []byte) (raft.Configuration, error) {
	c := cursor{what: "configuration", p: p}
	version := byte(configurationVersion)
	if len(p) > 0 && (p[0] == configurationVersionNext || p[0] == configurationVersionPriorities) {
		version = c.u8("version")
	} else {
		c.version(configurationVersion)
	}
	var out raft.Configuration
	out.Voters = c.members("voters")
	out.Outgoing = c.members("outgoing voters")
	out.Learners = c.members("learners")
	out.NextReplica = raft.ReplicaID(c.uvarint("next replica"))
	out.Settings = c.settings()
	if version >= configurationVersionNext {
		at := c.off
		if out.Next = c.members("voters to be"); c.err == nil && out.Next == nil && version == configurationVersionNext {
			c.fail("voters to be", at, "at least 1", "0")
		}
	}
	if version >= configurationVersionPriorities {
		at := c.off
		if out.Priorities = c.priorities(); c.err == nil && out.Priorities == nil {
			c.fail("priorities", at, "at least 1", "0")
		}
	}
	c.end()
	if c.err != nil {
		return raft.Configuration{}, c.err
	}
	return out, nil
}

// priorities reads a list ordered strictly by Host. An empty one is nil.
func (c *cursor) priorities() []raft.Priority {
	n := c.count("priorities", 2, MaxMembers)
	if n == 0 {
		return nil
	}
	out := make([]raft.Priority, n)
	var last raft.HostID
	for i := range out {
		at := c.off
		out[i] = raft.Priority{Host: raft.HostID(c.uvarint("host of a priority")), Value: c.u8("priority")}
		if c.err == nil && out[i].Host <= last {
			c.fail("host of a priority", at, fmt.Sprintf("a host above %d", last), fmt.Sprint(out[i].Host))
		}
		last = out[i].Host
	}
	return out
}

func (c *cursor) settings() raft.Settings {
	return raft.Settings{
		Machine:        c.text("machine", MaxMachineBytes),
		Version:        c.uvarint32("machine version"),
		FeatureLevel:   c.uvarint32("feature level"),
		MaxEntryBytes:  int64(c.u64("longest command")),
		MaxSessions:    c.uvarint32("most sessions"),
		SessionTTL:     int64(c.u64("session lifetime")),
		MaxTokens:      c.uvarint32("most tokens"),
		TokenTTL:       int64(c.u64("token lifetime")),
		MaxResultBytes: int64(c.u64("bytes of results")),
		Lease:          int64(c.u64("lease")),
		MaxDriftPPM:    c.uvarint32("drift bound"),
		Halt:           c.halt("halt"),
		SkipIndex:      raft.Index(c.uvarint("skipped index")),
		SkipOrdinal:    c.uvarint32("skipped ordinal"),
		SnapshotFormat: c.uvarint32("snapshot format"),
	}
}

// halt reads a byte that says whether, and why, a group takes no commands.
func (c *cursor) halt(field string) raft.Halt {
	at := c.off
	h := raft.Halt(c.u8(field))
	if !h.Known() {
		c.fail(field, at, "a known reason", fmt.Sprint(uint8(h)))
	}
	return h
}

// members reads a list ordered strictly by Replica. An empty one is nil.
func (c *cursor) members(field string) []raft.Member {
	n := c.count(field, memberSize, MaxMembers)
	if n == 0 {
		return nil
	}
	out := make([]raft.Member, n)
	var last raft.ReplicaID
	for i := range out {
		at := c.off
		out[i] = raft.Member{
			Replica:     raft.ReplicaID(c.uvarint(field)),
			Host:        raft.HostID(c.uvarint(field)),
			Incarnation: raft.Incarnation(c.u64(field)),
		}
		if c.err == nil && out[i].Replica <= last {
			c.fail(field, at, fmt.Sprintf("a replica above %d", last), fmt.Sprint(out[i].Replica))
		}
		last = out[i].Replica
	}
	return out
}
