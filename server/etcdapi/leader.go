package etcdapi

import (
	"context"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// needsLeader reports whether the client asked to be told at once if this host knows no leader.
func needsLeader(ctx context.Context) bool {
	for _, v := range metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataRequireLeaderKey) {
		if v == rpctypes.MetadataHasLeader {
			return true
		}
	}
	return false
}

// unary stands before each request.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	at := s.o.Status()
	if at.Learner && !forLearner(req) {
		return nil, rpctypes.ErrGRPCNotSupportedForLearner
	}
	if at.Leader == 0 && needsLeader(ctx) {
		return nil, rpctypes.ErrGRPCNoLeader
	}
	answer, err := handle(ctx, req)
	if info == nil { // of the JSON form, which has only what is built
		return answer, err
	}
	return answer, orInstead(info.FullMethod, err)
}

// forLearner reports whether a host that does not vote may answer; everything that is not etcd's own
// may be answered always.
func forLearner(req any) bool {
	switch r := req.(type) {
	case *pb.RangeRequest:
		return r.Serializable
	case *pb.MemberListRequest:
		return !r.Linearizable
	case *pb.PutRequest, *pb.DeleteRangeRequest, *pb.TxnRequest, *pb.CompactionRequest:
		return false
	}
	return true
}

// stream stands before each stream: one that needs a leader ends when there has been none for
// LeaderTimeout, so that its client goes elsewhere.
func (s *Server) stream(srv any, out grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	at := s.o.Status()
	if at.Learner && (info.FullMethod == pb.Watch_Watch_FullMethodName || info.FullMethod == pb.KV_RangeStream_FullMethodName) {
		return rpctypes.ErrGRPCNotSupportedForLearner
	}
	if !needsLeader(out.Context()) {
		return orInstead(info.FullMethod, handle(srv, out))
	}
	if at.Leader == 0 {
		return rpctypes.ErrGRPCNoLeader
	}
	ctx, cancel := context.WithCancelCause(out.Context())
	defer cancel(nil)
	defer s.guard(cancel)()
	err := handle(srv, ledStream{out, ctx})
	if context.Cause(ctx) == rpctypes.ErrGRPCNoLeader {
		return rpctypes.ErrGRPCNoLeader
	}
	return err
}

// ledStream is a stream that ends with its leader.
type ledStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context ends with the stream, or with the leader.
func (l ledStream) Context() context.Context { return l.ctx }

// guard looks at the leader a few times within LeaderTimeout, until stop is called.
func (s *Server) guard(cancel context.CancelCauseFunc) (stop func()) {
	const looks = 4
	every := s.o.LeaderTimeout / looks
	var mu sync.Mutex
	var timer interface{ Stop() bool }
	var look func()
	missed, stopped := 0, false
	look = func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		missed++
		if s.o.Status().Leader != 0 {
			missed = 0
		}
		if missed >= looks {
			cancel(rpctypes.ErrGRPCNoLeader)
			return
		}
		timer = s.o.Env.Clock().AfterFunc(max(every, time.Millisecond), look)
	}
	mu.Lock()
	timer = s.o.Env.Clock().AfterFunc(max(every, time.Millisecond), look)
	mu.Unlock()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}
