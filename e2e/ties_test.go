package e2e

import (
	"bytes"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// withoutTies makes the order of keys that tie in a sorted answer the same everywhere: by key. In etcd
// it is whatever an unstable sort leaves; in Lockstep it is by key already, for all replicas must agree.
// Of ties that the limit cuts, only what they tie in is compared. It changes answer.
func withoutTies(request, answer proto.Message) {
	switch r := request.(type) {
	case *pb.RangeRequest:
		if found, ok := answer.(*pb.RangeResponse); ok && r != nil && found != nil {
			untie(r, found)
		}
	case *pb.TxnRequest:
		done, ok := answer.(*pb.TxnResponse)
		if !ok || r == nil || done == nil {
			return
		}
		branch := r.Failure
		if done.Succeeded {
			branch = r.Success
		}
		for i, op := range branch {
			if i < len(done.Responses) {
				withoutTies(inner(op), innerAnswer(done.Responses[i]))
			}
		}
	}
}

func inner(op *pb.RequestOp) proto.Message {
	if op.GetRequestTxn() != nil {
		return op.GetRequestTxn()
	}
	return op.GetRequestRange()
}

func innerAnswer(op *pb.ResponseOp) proto.Message {
	if op.GetResponseTxn() != nil {
		return op.GetResponseTxn()
	}
	return op.GetResponseRange()
}

func untie(r *pb.RangeRequest, found *pb.RangeResponse) {
	if r.SortTarget == pb.RangeRequest_KEY {
		return
	}
	byKey := func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) }
	kvs := found.Kvs
	for begin := 0; begin < len(kvs); {
		end := begin + 1
		for end < len(kvs) && tie(r, kvs[begin], kvs[end]) {
			end++
		}
		slices.SortFunc(kvs[begin:end], byKey)
		if cut := r.Limit > 0 && found.More && end == len(kvs); cut {
			for _, k := range kvs[begin:end] {
				blank(r, k)
			}
		}
		begin = end
	}
}

func tie(r *pb.RangeRequest, a, b *mvccpb.KeyValue) bool {
	switch r.SortTarget {
	case pb.RangeRequest_VERSION:
		return a.Version == b.Version
	case pb.RangeRequest_CREATE:
		return a.CreateRevision == b.CreateRevision
	case pb.RangeRequest_MOD:
		return a.ModRevision == b.ModRevision
	}
	return bytes.Equal(a.Value, b.Value) // all of them, when values are left out
}

// blank leaves of k what it was sorted by.
func blank(r *pb.RangeRequest, k *mvccpb.KeyValue) {
	left := &mvccpb.KeyValue{}
	switch r.SortTarget {
	case pb.RangeRequest_VERSION:
		left.Version = k.Version
	case pb.RangeRequest_CREATE:
		left.CreateRevision = k.CreateRevision
	case pb.RangeRequest_MOD:
		left.ModRevision = k.ModRevision
	default:
		left.Value = k.Value
	}
	proto.Reset(k)
	proto.Merge(k, left)
}
