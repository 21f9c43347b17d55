package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/raft"
)

// ChangeRequest asks a host about a group's configuration, or asks the group's leader there to
// change it, or to hand over. docs/formats/host.md.
type ChangeRequest struct {
	Cluster    [16]byte
	Group      raft.GroupID
	Ask        bool       // nothing is to be changed; Settings: zero, or the skip that every member is asked about, or the machine, version and level to be run
	After      raft.Index // the configuration that the change was made from
	Voters     []raft.HostID
	Learners   []raft.HostID
	Settings   raft.Settings
	Birth      raft.Birth // of the group that is meant; zero: whichever there is
	Prefer     bool       // Priorities are to be in force; else those that are, of hosts that stay
	Priorities []raft.Priority
	Transfer   bool // leadership is to go to the host To; zero: to the best placed voter. All else is zero
	To         raft.HostID
}

// The verbs of a ChangeRequest.
const (
	verbChange = iota
	verbAsk
	verbPrefer
	verbTransfer
	verbEnd
)

func (r *ChangeRequest) verb() byte {
	switch {
	case r.Transfer:
		return verbTransfer
	case r.Prefer:
		return verbPrefer
	case r.Ask:
		return verbAsk
	}
	return verbChange
}

// The states of a ChangeReply.
const (
	ChangeUnknown = 1 // no such replica here
	ChangeFollows = 2 // it does not lead; Leader, if it knows
	ChangeLeads   = 3 // it leads: InForce is its configuration, and Refused its answer to a change
	ChangeGone    = 4 // that birth of the group was destroyed
)

// ChangeReply answers a ChangeRequest.
type ChangeReply struct {
	State     uint8
	Leader    raft.HostID
	Refused   uint8  // a raft.Refusal; zero: appended, or nothing was to be changed
	Reason    string // of a refusal that the algorithm did not make, of a skip or version that was asked about, too; cut at MaxReasonBytes
	Birth     raft.Birth
	Committed bool               // InForce is
	Settled   bool               // the leader has committed an entry of its term
	Index     raft.Index         // of the entry appended; asked only, through which its machine has executed
	InForce   raft.Configuration // of a follower: the newest that it has executed
}

// AppendChangeRequest appends r.
func AppendChangeRequest(dst []byte, r *ChangeRequest) []byte {
	dst = append(dst, CallChange)
	dst = append(dst, r.Cluster[:]...)
	dst = binary.AppendUvarint(dst, uint64(r.Group))
	verb := r.verb()
	dst = append(dst, verb)
	dst = binary.AppendUvarint(dst, uint64(r.After))
	dst = appendHostIDs(dst, r.Voters)
	dst = appendHostIDs(dst, r.Learners)
	dst = appendSettings(dst, &r.Settings)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Birth))
	switch verb {
	case verbPrefer:
		dst = appendPriorities(dst, r.Priorities)
	case verbTransfer:
		dst = binary.AppendUvarint(dst, uint64(r.To))
	}
	return dst
}

// DecodeChangeRequest reads a ChangeRequest that fills p.
func DecodeChangeRequest(p []byte) (ChangeRequest, error) {
	c := cursor{what: "change request", p: p}
	c.version(CallChange)
	r := ChangeRequest{Cluster: c.cluster(), Group: raft.GroupID(c.uvarint("group"))}
	at := c.off
	verb := c.u8("verb")
	if verb >= verbEnd {
		c.fail("verb", at, "a verb from 0 to 3", fmt.Sprint(verb))
	}
	r.Ask, r.Prefer, r.Transfer = verb == verbAsk, verb == verbPrefer, verb == verbTransfer
	r.After = raft.Index(c.uvarint("index"))
	r.Voters = c.hostIDs("voters")
	r.Learners = c.hostIDs("learners")
	r.Settings = c.settings()
	r.Birth = raft.Birth(c.u64("birth"))
	switch verb {
	case verbPrefer:
		r.Priorities = c.priorities()
	case verbTransfer:
		r.To = raft.HostID(c.uvarint("host that is to lead"))
	}
	c.end()
	if c.err != nil {
		return ChangeRequest{}, c.err
	}
	return r, nil
}

func appendHostIDs(dst []byte, ids []raft.HostID) []byte {
	assertf(len(ids) <= MaxMembers, "list of %d hosts, at most %d", len(ids), MaxMembers)
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, id := range ids {
		dst = binary.AppendUvarint(dst, uint64(id))
	}
	return dst
}

// hostIDs reads a list. An empty one is nil.
func (c *cursor) hostIDs(field string) []raft.HostID {
	n := c.count(field, 1, MaxMembers)
	if n == 0 {
		return nil
	}
	ids := make([]raft.HostID, n)
	for i := range ids {
		ids[i] = raft.HostID(c.uvarint(field))
	}
	return ids
}

// AppendChangeReply appends r.
func AppendChangeReply(dst []byte, r *ChangeReply) []byte {
	dst = append(dst, CallChange, r.State)
	dst = binary.AppendUvarint(dst, uint64(r.Leader))
	dst = append(dst, r.Refused)
	dst = appendText(dst, "reason", r.Reason[:min(len(r.Reason), MaxReasonBytes)], MaxReasonBytes)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Birth))
	dst = appendFlag(dst, r.Committed)
	dst = appendFlag(dst, r.Settled)
	dst = binary.AppendUvarint(dst, uint64(r.Index))
	dst = binary.AppendUvarint(dst, uint64(r.InForce.Index))
	body := AppendConfiguration(nil, &r.InForce)
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// DecodeChangeReply reads a ChangeReply that fills p.
func DecodeChangeReply(p []byte) (ChangeReply, error) {
	c := cursor{what: "change reply", p: p}
	c.version(CallChange)
	r := ChangeReply{State: c.u8("state"), Leader: raft.HostID(c.uvarint("leader")), Refused: c.u8("refusal")}
	r.Reason = c.text("reason", MaxReasonBytes)
	r.Birth = raft.Birth(c.u64("birth"))
	r.Committed = c.flag("committed")
	r.Settled = c.flag("settled")
	r.Index = raft.Index(c.uvarint("index"))
	index := raft.Index(c.uvarint("index of the configuration"))
	body := c.bytes("configuration", c.uvarint("length of the configuration"))
	c.end()
	if c.err != nil {
		return ChangeReply{}, c.err
	}
	var err error
	if r.InForce, err = DecodeConfiguration(body); err != nil {
		return ChangeReply{}, err
	}
	r.InForce.Index = index
	return r, nil
}
