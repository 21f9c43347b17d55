package wire

import (
	"encoding/binary"

	"github.com/lockstep-rsm/lockstep/raft"
)

// SupplyRequest asks a host to stream a snapshot of a group, as the asking replica has none to make its
// machine of. docs/formats/host.md.
type SupplyRequest struct {
	Cluster [16]byte
	Group   raft.GroupID
	Birth   raft.Birth
	Replica raft.ReplicaID // who asks
	After   raft.Index     // the snapshot has to be behind this
}

// The states of a SupplyReply.
const (
	SupplyUnknown = 1 // no replica here that could
	SupplyLater   = 2 // one is being made
	SupplyComes   = 3 // it is on its way
	SupplyStopped = 4 // the machine here is stopped until an operator decides, and none is there
)

// SupplyReply answers a SupplyRequest.
type SupplyReply struct{ State uint8 }

// AppendSupplyRequest appends r.
func AppendSupplyRequest(dst []byte, r *SupplyRequest) []byte {
	dst = append(dst, CallSupply)
	dst = append(dst, r.Cluster[:]...)
	dst = binary.AppendUvarint(dst, uint64(r.Group))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Birth))
	dst = binary.AppendUvarint(dst, uint64(r.Replica))
	return binary.AppendUvarint(dst, uint64(r.After))
}

// DecodeSupplyRequest reads a SupplyRequest that fills p.
func DecodeSupplyRequest(p []byte) (SupplyRequest, error) {
	c := cursor{what: "supply request", p: p}
	c.version(CallSupply)
	r := SupplyRequest{Cluster: c.cluster(), Group: raft.GroupID(c.uvarint("group")), Birth: raft.Birth(c.u64("birth"))}
	r.Replica = raft.ReplicaID(c.uvarint("replica"))
	r.After = raft.Index(c.uvarint("index"))
	c.end()
	if c.err != nil {
		return SupplyRequest{}, c.err
	}
	return r, nil
}

// AppendSupplyReply appends r.
func AppendSupplyReply(dst []byte, r *SupplyReply) []byte { return append(dst, CallSupply, r.State) }

// DecodeSupplyReply reads a SupplyReply that fills p.
func DecodeSupplyReply(p []byte) (SupplyReply, error) {
	c := cursor{what: "supply reply", p: p}
	c.version(CallSupply)
	r := SupplyReply{State: c.u8("state")}
	c.end()
	if c.err != nil {
		return SupplyReply{}, c.err
	}
	return r, nil
}
