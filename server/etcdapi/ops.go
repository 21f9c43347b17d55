package etcdapi

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// The functions of this file turn requests into operations of the machine. Byte slices are shared
// with the request.

func rangeOp(r *pb.RangeRequest) *kv.Range {
	return &kv.Range{
		Key: r.Key, End: r.RangeEnd,
		Revision: r.Revision, Limit: r.Limit,
		Order: kv.Order(small(int32(r.SortOrder))), Target: kv.Target(small(int32(r.SortTarget))),
		CountOnly: r.CountOnly, KeysOnly: r.KeysOnly,
		MinModRevision: r.MinModRevision, MaxModRevision: r.MaxModRevision,
		MinCreateRevision: r.MinCreateRevision, MaxCreateRevision: r.MaxCreateRevision,
	}
}

// small keeps an enumeration that has a value of no meaning from becoming one that has.
func small(n int32) uint8 {
	if n < 0 || n > 254 {
		return 255
	}
	return uint8(n)
}

func putOp(r *pb.PutRequest) *kv.Put {
	return &kv.Put{
		Key: r.Key, Value: r.Value, Lease: r.Lease,
		PrevKV: r.PrevKv, IgnoreValue: r.IgnoreValue, IgnoreLease: r.IgnoreLease,
	}
}

func deleteOp(r *pb.DeleteRangeRequest) *kv.DeleteRange {
	return &kv.DeleteRange{Key: r.Key, End: r.RangeEnd, PrevKV: r.PrevKv}
}

func txnOp(r *pb.TxnRequest) *kv.Txn {
	t := &kv.Txn{Success: branch(r.Success), Failure: branch(r.Failure)}
	for _, c := range r.Compare {
		t.Compares = append(t.Compares, compareOp(c))
	}
	return t
}

// compareOp takes the operand only where it has the type of the target, as etcd does: else it is the
// zero of that type.
func compareOp(c *pb.Compare) kv.Compare {
	p := kv.Compare{
		Key: c.GetKey(), End: c.GetRangeEnd(),
		Subject: kv.Subject(small(int32(c.GetTarget()))), Relation: kv.Relation(small(int32(c.GetResult()))),
	}
	switch c.GetTarget() {
	case pb.Compare_VERSION:
		p.Number = c.GetVersion()
	case pb.Compare_CREATE:
		p.Number = c.GetCreateRevision()
	case pb.Compare_MOD:
		p.Number = c.GetModRevision()
	case pb.Compare_LEASE:
		p.Number = c.GetLease()
	case pb.Compare_VALUE:
		p.Value = c.GetValue()
	}
	return p
}

// branch leaves an operation that is none empty; the machine's check refuses it.
func branch(requests []*pb.RequestOp) []kv.Op {
	ops := make([]kv.Op, len(requests))
	for i, r := range requests {
		switch {
		case r.GetRequestRange() != nil:
			ops[i].Range = rangeOp(r.GetRequestRange())
		case r.GetRequestPut() != nil:
			ops[i].Put = putOp(r.GetRequestPut())
		case r.GetRequestDeleteRange() != nil:
			ops[i].Delete = deleteOp(r.GetRequestDeleteRange())
		case r.GetRequestTxn() != nil:
			ops[i].Txn = txnOp(r.GetRequestTxn())
		}
	}
	return ops
}

// serializable reports whether a transaction that only reads may be answered from this host's state:
// it has a range, and every operation is one that says so. A nested transaction never may, as in etcd.
// One of compares alone has not said so either: etcd answers it from its own state nevertheless.
func serializable(t *pb.TxnRequest) bool {
	ops := slices.Concat(t.Success, t.Failure)
	return len(ops) > 0 && !slices.ContainsFunc(ops, func(o *pb.RequestOp) bool { return !o.GetRequestRange().GetSerializable() })
}
