package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A side is one of the two servers that get the same requests. It speaks plain gRPC: etcd's client
// would retry, and turn errors into its own.
type side struct {
	name  string
	conns []*grpc.ClientConn // of all its servers, asked in turn
	next  int
	last  *pb.ResponseHeader // of the newest answer
}

// conn is the connection for the next request.
func (s *side) conn() *grpc.ClientConn {
	s.next++
	return s.conns[s.next%len(s.conns)]
}

// An answer is a message or an error.
type answer struct {
	message proto.Message
	err     error
}

// String is the answer for people.
func (a answer) String() string {
	if a.err != nil {
		return fmt.Sprintf("%v: %q", status.Code(a.err), status.Convert(a.err).Message())
	}
	return fmt.Sprintf("%T {%s}", a.message, brief(a.message))
}

// brief is m as text, long values cut.
func brief(m proto.Message) string {
	text := prototext.MarshalOptions{}.Format(m)
	if len(text) > 2000 {
		text = fmt.Sprintf("%s … (%d bytes)", text[:2000], len(text))
	}
	return text
}

// A pair is etcd and Lockstep, side by side.
type pair struct{ etcd, lockstep *side }

func (p pair) sides() []*side { return []*side{p.etcd, p.lockstep} }

// newPair starts an etcd and dials both.
func newPair(t testing.TB, lockstep ...string) pair {
	t.Helper()
	return pair{newSide(t, "etcd", startEtcd(t)), newSide(t, "lockstep", lockstep...)}
}

func newSide(t testing.TB, name string, addrs ...string) *side {
	t.Helper()
	s := &side{name: name}
	for _, addr := range addrs {
		s.conns = append(s.conns, dial(t, addr))
	}
	return s
}

// dial connects to one server without a client library.
func dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := plainConn(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func plainConn(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(reach),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30), grpc.MaxCallSendMsgSize(1<<30)))
}

// do sends one request of the KV service.
func (s *side) do(ctx context.Context, request proto.Message) answer {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	kv := pb.NewKVClient(s.conn())
	var m proto.Message
	var err error
	switch r := request.(type) {
	case *pb.RangeRequest:
		m, err = kv.Range(ctx, r)
	case *pb.PutRequest:
		m, err = kv.Put(ctx, r)
	case *pb.DeleteRangeRequest:
		m, err = kv.DeleteRange(ctx, r)
	case *pb.TxnRequest:
		m, err = kv.Txn(ctx, r)
	case *pb.CompactionRequest:
		m, err = kv.Compact(ctx, r)
	default:
		panic(fmt.Sprintf("no method for %T", request))
	}
	if err != nil {
		return answer{err: err}
	}
	return answer{message: m}
}

// check notes the header of an answer, and finds what is wrong with its ids: they are those of the
// server in every answer, and the term never falls (item 15).
func (s *side) check(a answer) error {
	if a.err != nil {
		return nil
	}
	h := a.message.(interface{ GetHeader() *pb.ResponseHeader }).GetHeader()
	switch last := s.last; {
	case h == nil:
		return errors.New(s.name + " answers without a header")
	case h.ClusterId == 0 || h.MemberId == 0 || h.RaftTerm == 0:
		return fmt.Errorf("%s answers with an id or term of zero: %v", s.name, h)
	case last != nil && h.ClusterId != last.ClusterId:
		return fmt.Errorf("%s changed its cluster id from %x to %x", s.name, last.ClusterId, h.ClusterId)
	case last != nil && h.MemberId != last.MemberId && len(s.conns) == 1:
		return fmt.Errorf("%s changed its member id from %x to %x", s.name, last.MemberId, h.MemberId)
	case last != nil && h.RaftTerm < last.RaftTerm && len(s.conns) == 1:
		return fmt.Errorf("%s fell from term %d to %d", s.name, last.RaftTerm, h.RaftTerm)
	}
	s.last = proto.Clone(h).(*pb.ResponseHeader)
	return nil
}

// ask sends request to both and returns etcd's answer, and what differs.
func (p pair) ask(ctx context.Context, request proto.Message) (answer, error) {
	want, got := p.etcd.do(ctx, request), p.lockstep.do(ctx, request)
	if err := errors.Join(p.etcd.check(want), p.lockstep.check(got)); err != nil {
		return want, err
	}
	return want, differ(request, want, got)
}

// same is ask for tests with a request that must be answered alike.
func (p pair) same(t testing.TB, request proto.Message) answer {
	t.Helper()
	a, err := p.ask(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// differ is nil if two answers are equal once their ids are mapped and ties ordered.
func differ(request proto.Message, want, got answer) error {
	equal := false
	switch {
	case want.err != nil && got.err != nil:
		w, g := status.Convert(want.err), status.Convert(got.err)
		equal = w.Code() == g.Code() && w.Message() == g.Message()
	case want.err == nil && got.err == nil:
		want.message, got.message = mapped(want.message), mapped(got.message)
		withoutTies(request, want.message)
		withoutTies(request, got.message)
		equal = proto.Equal(want.message, got.message)
	}
	if equal {
		return nil
	}
	return fmt.Errorf("answers differ\nrequest  %T {%s}\netcd     %v\nlockstep %v", request, brief(request), want, got)
}

// mapped is a copy of m in which ids and terms are 1 where they are set: no two clusters share them.
func mapped(m proto.Message) proto.Message {
	m = proto.Clone(m)
	mapIDs(m.ProtoReflect())
	return m
}

func mapIDs(m protoreflect.Message) {
	if h, ok := m.Interface().(*pb.ResponseHeader); ok {
		for _, id := range []*uint64{&h.ClusterId, &h.MemberId, &h.RaftTerm} {
			*id = min(*id, 1)
		}
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || strings.HasPrefix(string(f.Message().FullName()), "mvccpb."):
		case f.IsList():
			for i := range v.List().Len() {
				mapIDs(v.List().Get(i).Message())
			}
		default:
			mapIDs(v.Message())
		}
		return true
	})
}
