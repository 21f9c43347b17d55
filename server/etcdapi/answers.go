package etcdapi

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// The functions of this file turn results of the machine into responses. Byte slices are shared with
// the machine, which never changes them.

func keyValue(k *kv.KeyValue) *mvccpb.KeyValue {
	if k == nil {
		return nil
	}
	return &mvccpb.KeyValue{
		Key: k.Key, Value: k.Value, Lease: k.Lease, Version: k.Version,
		CreateRevision: k.CreateRevision, ModRevision: k.ModRevision,
	}
}

func keyValueList(ks []*kv.KeyValue) []*mvccpb.KeyValue {
	if len(ks) == 0 {
		return nil
	}
	all := make([]mvccpb.KeyValue, len(ks)) // one allocation for a page
	out := make([]*mvccpb.KeyValue, len(ks))
	for i, k := range ks {
		p := &all[i]
		p.Key, p.Value, p.Lease, p.Version = k.Key, k.Value, k.Lease, k.Version
		p.CreateRevision, p.ModRevision = k.CreateRevision, k.ModRevision
		out[i] = p
	}
	return out
}

func rangeAnswer(h *pb.ResponseHeader, r *kv.RangeResult) *pb.RangeResponse {
	return &pb.RangeResponse{Header: h, Kvs: keyValueList(r.KVs), More: r.More, Count: r.Count}
}

func putAnswer(h *pb.ResponseHeader, r *kv.PutResult) *pb.PutResponse {
	return &pb.PutResponse{Header: h, PrevKv: keyValue(r.Prev)}
}

func deleteAnswer(h *pb.ResponseHeader, r *kv.DeleteResult) *pb.DeleteRangeResponse {
	return &pb.DeleteRangeResponse{Header: h, Deleted: r.Deleted, PrevKvs: keyValueList(r.Prevs)}
}

func txnAnswer(h *pb.ResponseHeader, r *kv.TxnResult) *pb.TxnResponse {
	t := &pb.TxnResponse{Header: h, Succeeded: r.Succeeded}
	for i := range r.Results {
		t.Responses = append(t.Responses, opAnswer(&r.Results[i]))
	}
	return t
}

// opAnswer is one response within a transaction; its header carries the revision only.
func opAnswer(r *kv.Result) *pb.ResponseOp {
	h := &pb.ResponseHeader{Revision: r.Revision}
	switch {
	case r.Range != nil:
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: rangeAnswer(h, r.Range)}}
	case r.Put != nil:
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: putAnswer(h, r.Put)}}
	case r.Delete != nil:
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: deleteAnswer(h, r.Delete)}}
	case r.Txn != nil:
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: txnAnswer(h, r.Txn)}}
	}
	return &pb.ResponseOp{}
}
