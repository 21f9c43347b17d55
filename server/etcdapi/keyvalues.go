package etcdapi

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// keyValues is the KV service.
type keyValues struct {
	pb.UnimplementedKVServer
	*Server
}

// Range reads keys: linearizable, unless the request says serializable.
func (s *keyValues) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	found, err := s.find(ctx, r)
	if err != nil {
		return nil, err
	}
	return rangeAnswer(s.header(found.Revision), found), nil
}

// find checks and executes a Range. The result shares its memory with the machine, so it stays small
// whatever the span holds.
func (s *Server) find(ctx context.Context, r *pb.RangeRequest) (*kv.RangeResult, error) {
	op := kv.Op{Range: rangeOp(r)}
	if err := op.Check(kv.MaxTxnOps); err != nil {
		return nil, s.answer(ctx, err)
	}
	var found *kv.RangeResult
	err := s.read(ctx, r.Serializable, func(v *kv.View) (err error) {
		found, err = v.Range(op.Range)
		return err
	})
	return found, err
}

// read gives f the store, and turns every error into a client's.
func (s *Server) read(client context.Context, serializable bool, f func(*kv.View) error) error {
	ctx, cancel := context.WithTimeout(client, s.o.RequestTimeout)
	defer cancel()
	level, name := lockstep.Linearizable, "linearizable"
	if serializable {
		level, name = lockstep.Stale, "stale"
	}
	began := s.o.Env.Clock().Now()
	v, _, err := s.view(ctx, level)
	if err == nil {
		err = f(v)
		_ = v.Close() // what was read is read
	}
	s.o.Read(name, s.o.Env.Clock().Now()-began)
	return s.answer(client, err)
}

// streamChunkBytes is about how much one message of a RangeStream carries.
const streamChunkBytes = 1 << 20

// RangeStream is Range in pieces: merging all messages gives what Range would answer. Header, count
// and more come with the last one.
func (s *keyValues) RangeStream(r *pb.RangeRequest, out grpc.ServerStreamingServer[pb.RangeStreamResponse]) error {
	found, err := s.find(out.Context(), r)
	if err != nil {
		return err
	}
	kvs, size, begin := found.KVs, 0, 0
	for i, k := range kvs {
		size += len(k.Key) + len(k.Value) + 32
		if size < streamChunkBytes || i == len(kvs)-1 {
			continue
		}
		part := &pb.RangeResponse{Kvs: keyValueList(kvs[begin : i+1])}
		if err := out.Send(&pb.RangeStreamResponse{RangeResponse: part}); err != nil {
			return err
		}
		size, begin = 0, i+1
	}
	last := rangeAnswer(s.header(found.Revision), &kv.RangeResult{KVs: kvs[begin:], Count: found.Count, More: found.More})
	return out.Send(&pb.RangeStreamResponse{RangeResponse: last})
}

// Put writes one key.
func (s *keyValues) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	result, err := s.propose(ctx, &kv.Op{Put: putOp(r)})
	if err != nil {
		return nil, err
	}
	return putAnswer(s.header(result.Revision), result.Put), nil
}

// DeleteRange deletes the keys of a span.
func (s *keyValues) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	result, err := s.propose(ctx, &kv.Op{Delete: deleteOp(r)})
	if err != nil {
		return nil, err
	}
	return deleteAnswer(s.header(result.Revision), result.Delete), nil
}

// Txn executes a transaction. One that only reads takes no place in the log.
func (s *keyValues) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	op := &kv.Op{Txn: txnOp(r)}
	if op.Writes() {
		result, err := s.propose(ctx, op)
		if err != nil {
			return nil, err
		}
		return txnAnswer(s.header(result.Revision), result.Txn), nil
	}
	if err := op.Check(kv.MaxTxnOps); err != nil {
		return nil, s.answer(ctx, err)
	}
	var answer *pb.TxnResponse
	err := s.read(ctx, serializable(r), func(v *kv.View) error {
		result, err := v.Txn(op.Txn)
		if err == nil {
			answer = txnAnswer(s.header(v.Revision()), result)
		}
		return err
	})
	return answer, err
}

// Compact forgets history. Space is freed in the background, whether or not the request asks to wait
// for it.
func (s *keyValues) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	result, err := s.propose(ctx, &kv.Op{Compact: &kv.Compact{Revision: r.Revision}})
	if err != nil {
		return nil, err
	}
	return &pb.CompactionResponse{Header: s.header(result.Revision)}, nil
}

// propose checks an operation, has it committed and executed, and gives its result.
func (s *Server) propose(client context.Context, op *kv.Op) (*kv.Result, error) {
	if err := op.Check(kv.MaxTxnOps); err != nil {
		return nil, s.answer(client, err)
	}
	cmd, err := op.AppendBinary(nil)
	if err != nil {
		return nil, s.answer(client, &machine.Refusal{Code: machine.CodeMalformed, Text: err.Error()})
	}
	if len(cmd) > s.o.MaxRequestBytes {
		return nil, rpctypes.ErrGRPCRequestTooLarge
	}
	ctx, cancel := context.WithTimeout(client, s.o.RequestTimeout)
	defer cancel()
	began := s.o.Env.Clock().Now()
	reply, err := s.o.Group.Propose(ctx, cmd)
	s.o.Outcome(outcome(err), s.o.Env.Clock().Now()-began)
	if err != nil {
		// Beside what etcd says, for who can use it. Without a gRPC stream, as behind the gateway, there
		// is nobody to tell.
		_ = grpc.SetTrailer(client, metadata.Pairs(OutcomeTrailer, outcome(err)))
		return nil, s.answer(client, err)
	}
	result := new(kv.Result)
	if err := result.UnmarshalBinary(reply.Data); err != nil {
		return nil, fmt.Errorf("read reply of kv: %w", err)
	}
	return result, nil
}

// OutcomeTrailer is the gRPC trailer of a write that failed: refused, not_committed, or unknown.
const OutcomeTrailer = "lockstep-outcome"

// outcome is the label of a proposal's end.
func outcome(err error) string {
	var no *machine.Refusal
	switch {
	case err == nil:
		return "committed"
	case errors.As(err, &no):
		return "refused"
	}
	switch lockstep.OutcomeOf(err) {
	case lockstep.NotCommitted:
		return "not_committed"
	case lockstep.Committed:
		return "committed"
	}
	return "unknown"
}
