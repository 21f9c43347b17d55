package etcdapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/lockstep-rsm/lockstep"
)

func opRange(r *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
}

func opPut(key, value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}
}

func opDelete(key, end string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)}}}
}

func opTxn(t *pb.TxnRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: t}}
}

func puts(n int) (ops []*pb.RequestOp) {
	for i := range n {
		ops = append(ops, opPut(fmt.Sprint("k", i), ""))
	}
	return ops
}

// wantError checks code and text, which are what clients go by.
func wantError(t *testing.T, got, want error) {
	t.Helper()
	if status.Code(got) != status.Code(want) || status.Convert(got).Message() != status.Convert(want).Message() {
		t.Fatalf("want %v, got %v", want, got)
	}
}

// Semantics that trip re-implementers, 1 to 6, 8, 14 and 16: what is refused, and in which words.
func TestRefusalsHaveCodesAndTextsOfEtcd(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		r.put(t, "a", fmt.Sprint(i)) // 2..6
	}
	ctx := testContext(t)
	if _, err := r.kv.Compact(ctx, &pb.CompactionRequest{Revision: 4}); err != nil {
		t.Fatal(err)
	}
	txn := func(success ...*pb.RequestOp) *pb.TxnRequest { return &pb.TxnRequest{Success: success} }
	key := []byte("a")
	cases := []struct {
		name string
		do   proto.Message
		want error
	}{
		{"range without key", &pb.RangeRequest{}, rpctypes.ErrGRPCEmptyKey},
		{"range with unknown order", &pb.RangeRequest{Key: key, SortOrder: 9}, rpctypes.ErrGRPCInvalidSortOption},
		{"range with unknown target", &pb.RangeRequest{Key: key, SortTarget: 261}, rpctypes.ErrGRPCInvalidSortOption},
		{"range of compacted revision", &pb.RangeRequest{Key: key, Revision: 3}, rpctypes.ErrGRPCCompacted},
		{"range of future revision", &pb.RangeRequest{Key: key, Revision: 7}, rpctypes.ErrGRPCFutureRev},
		{"put without key", &pb.PutRequest{}, rpctypes.ErrGRPCEmptyKey},
		{"put of value to ignore", &pb.PutRequest{Key: key, Value: key, IgnoreValue: true}, rpctypes.ErrGRPCValueProvided},
		{"put of lease to ignore", &pb.PutRequest{Key: key, Lease: 1, IgnoreLease: true}, rpctypes.ErrGRPCLeaseProvided},
		{"put keeping a value that is not there", &pb.PutRequest{Key: []byte("z"), IgnoreValue: true}, rpctypes.ErrGRPCKeyNotFound},
		{"put with unknown lease", &pb.PutRequest{Key: key, Lease: 5}, rpctypes.ErrGRPCLeaseNotFound},
		{"put too large", &pb.PutRequest{Key: key, Value: make([]byte, defaultMaxRequestBytes)}, rpctypes.ErrGRPCRequestTooLarge},
		{"delete without key", &pb.DeleteRangeRequest{}, rpctypes.ErrGRPCEmptyKey},
		{"txn with 129 operations", txn(puts(129)...), rpctypes.ErrGRPCTooManyOps},
		{"txn with 100 and 29 nested", txn(append(puts(100), opTxn(txn(puts(29)...)))...), rpctypes.ErrGRPCTooManyOps},
		{"txn putting a key twice", txn(opPut("k", ""), opPut("k", "")), rpctypes.ErrGRPCDuplicateKey},
		{"txn putting what it deletes", txn(opPut("k", ""), opDelete("a", "z")), rpctypes.ErrGRPCDuplicateKey},
		{"txn comparing nothing", &pb.TxnRequest{Compare: []*pb.Compare{{}}}, rpctypes.ErrGRPCEmptyKey},
		{"txn with an empty operation", txn(&pb.RequestOp{}), rpctypes.ErrGRPCKeyNotFound},
		{"reading txn of compacted revision", txn(opRange(&pb.RangeRequest{Key: key, Revision: 3})), rpctypes.ErrGRPCCompacted},
		{"writing txn of compacted revision", txn(opPut("b", ""), opRange(&pb.RangeRequest{Key: key, Revision: 3})), rpctypes.ErrGRPCCompacted},
		{"writing txn of future revision", txn(opPut("b", ""), opRange(&pb.RangeRequest{Key: key, Revision: 70})), rpctypes.ErrGRPCFutureRev},
		{"compaction of the compacted", &pb.CompactionRequest{Revision: 4}, rpctypes.ErrGRPCCompacted},
		{"compaction of the future", &pb.CompactionRequest{Revision: 7}, rpctypes.ErrGRPCFutureRev},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantError(t, r.do(ctx, c.do), c.want) })
	}
	if got := r.localRevision(ctx); got != 6 {
		t.Fatalf("refused requests moved the revision to %d", got)
	}
}

func (r *rig) do(ctx context.Context, m proto.Message) (err error) {
	switch q := m.(type) {
	case *pb.RangeRequest:
		_, err = r.kv.Range(ctx, q)
	case *pb.PutRequest:
		_, err = r.kv.Put(ctx, q)
	case *pb.DeleteRangeRequest:
		_, err = r.kv.DeleteRange(ctx, q)
	case *pb.TxnRequest:
		_, err = r.kv.Txn(ctx, q)
	case *pb.CompactionRequest:
		_, err = r.kv.Compact(ctx, q)
	}
	return err
}

// Semantics that trip re-implementers, 14.
func TestPutKeepsValueOrLeaseOnlyWhereThereIsOne(t *testing.T) {
	r := newRig(t)
	ctx := testContext(t)
	r.put(t, "a", "1")
	got, err := r.kv.Put(ctx, &pb.PutRequest{Key: []byte("a"), IgnoreValue: true, PrevKv: true})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.PrevKv.Value) != "1" || got.PrevKv.ModRevision != 2 || got.Header.Revision != 3 {
		t.Fatalf("got %v", got)
	}
	read, err := r.kv.Range(ctx, &pb.RangeRequest{Key: []byte("a")})
	if err != nil || string(read.Kvs[0].Value) != "1" || read.Kvs[0].Version != 2 {
		t.Fatalf("got %v, %v", read, err)
	}
	for _, q := range []*pb.PutRequest{{Key: []byte("b"), IgnoreValue: true}, {Key: []byte("b"), IgnoreLease: true}} {
		wantError(t, r.do(ctx, q), rpctypes.ErrGRPCKeyNotFound)
	}
}

// Semantics that trip re-implementers, 15.
func TestEveryResponseCarriesTheHeader(t *testing.T) {
	r := newRig(t)
	ctx := testContext(t)
	whole := func(revision int64) *pb.ResponseHeader {
		return &pb.ResponseHeader{ClusterId: testCluster, MemberId: testMember, RaftTerm: 7, Revision: revision}
	}
	members, care, users := pb.NewClusterClient(r.conn), pb.NewMaintenanceClient(r.conn), pb.NewAuthClient(r.conn)
	type answer interface{ GetHeader() *pb.ResponseHeader }
	cases := []struct {
		name     string
		call     func() (answer, error)
		revision int64
	}{
		{"range of an empty store", func() (answer, error) { return r.kv.Range(ctx, &pb.RangeRequest{Key: []byte("a")}) }, 1},
		{"put", func() (answer, error) { return r.kv.Put(ctx, &pb.PutRequest{Key: []byte("a")}) }, 2},
		{"delete of nothing", func() (answer, error) { return r.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("z")}) }, 2},
		{"delete", func() (answer, error) { return r.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("a")}) }, 3},
		{"txn", func() (answer, error) { return r.kv.Txn(ctx, &pb.TxnRequest{Success: puts(3)}) }, 4},
		{"reading txn", func() (answer, error) {
			return r.kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{opRange(&pb.RangeRequest{Key: []byte("a"), Revision: 2})}})
		}, 4},
		{"range of the past", func() (answer, error) { return r.kv.Range(ctx, &pb.RangeRequest{Key: []byte("a"), Revision: 2}) }, 4},
		{"serializable range", func() (answer, error) {
			return r.kv.Range(ctx, &pb.RangeRequest{Key: []byte("a"), Serializable: true})
		}, 4},
		{"compaction", func() (answer, error) { return r.kv.Compact(ctx, &pb.CompactionRequest{Revision: 3}) }, 4},
		{"status", func() (answer, error) { return care.Status(ctx, &pb.StatusRequest{}) }, 4},
		{"alarm", func() (answer, error) { return care.Alarm(ctx, &pb.AlarmRequest{}) }, 4},
		{"hash", func() (answer, error) { return care.Hash(ctx, &pb.HashRequest{}) }, 4},
		{"hash of keys", func() (answer, error) { return care.HashKV(ctx, &pb.HashKVRequest{}) }, 4},
		{"defragment", func() (answer, error) { return care.Defragment(ctx, &pb.DefragmentRequest{}) }, 0},
		{"member list", func() (answer, error) { return members.MemberList(ctx, &pb.MemberListRequest{}) }, 0},
		{"auth status", func() (answer, error) { return users.AuthStatus(ctx, &pb.AuthStatusRequest{}) }, 0},
	}
	for _, c := range cases {
		a, err := c.call()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(whole(c.revision), a.GetHeader(), protocmp.Transform()); diff != "" {
			t.Fatalf("header of %s:\n%s", c.name, diff)
		}
	}
}

func TestTxnNestsAndCompares(t *testing.T) {
	r := newRig(t)
	ctx := testContext(t)
	r.put(t, "a", "1") // 2
	eq := func(key string, target pb.Compare_CompareTarget, set func(*pb.Compare)) *pb.Compare {
		c := &pb.Compare{Key: []byte(key), Target: target}
		set(c)
		return c
	}
	got, err := r.kv.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{
			eq("a", pb.Compare_VALUE, func(c *pb.Compare) { c.TargetUnion = &pb.Compare_Value{Value: []byte("1")} }),
			eq("a", pb.Compare_MOD, func(c *pb.Compare) { c.TargetUnion = &pb.Compare_ModRevision{ModRevision: 2} }),
			eq("a", pb.Compare_CREATE, func(c *pb.Compare) { c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: 2} }),
			eq("a", pb.Compare_VERSION, func(c *pb.Compare) {
				c.TargetUnion, c.Result = &pb.Compare_Version{Version: 2}, pb.Compare_LESS
			}),
			eq("a", pb.Compare_LEASE, func(c *pb.Compare) {}), // no operand: 0
			eq("none", pb.Compare_CREATE, func(c *pb.Compare) { c.TargetUnion = &pb.Compare_CreateRevision{} }),
		},
		Success: []*pb.RequestOp{
			opPut("b", "2"),
			opTxn(&pb.TxnRequest{
				Compare: []*pb.Compare{eq("b", pb.Compare_VALUE, func(c *pb.Compare) { c.TargetUnion = &pb.Compare_Value{Value: []byte("2")} })},
				Success: []*pb.RequestOp{opPut("c", "then")},
				Failure: []*pb.RequestOp{opPut("c", "else")}, // compares see the store before
			}),
			opRange(&pb.RangeRequest{Key: []byte("b"), RangeEnd: []byte{0}, KeysOnly: true}),
			opDelete("a", ""),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %s", got.Succeeded, describe(got.Responses))
	want := "true put txn(false put) range(b,c of 2) del(1)"
	if text != want || got.Header.Revision != 3 {
		t.Fatalf("got %s at %d, want %s at 3", text, got.Header.Revision, want)
	}
}

// TestTxnIsServedLocallyOnlyIfItSaysSo asks for transactions that only read while no majority answers.
func TestTxnIsServedLocallyOnlyIfItSaysSo(t *testing.T) {
	r := newRig(t)
	r.put(t, "a", "1")
	r.group.breakDown(lockstep.ErrNoQuorum, false)
	is := []*pb.Compare{{Key: []byte("a"), Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte("1")}}}
	reads := func(serializable bool) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), Serializable: serializable}}}
	}
	nested := func(t *pb.TxnRequest) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: t}}
	}
	for name, c := range map[string]struct {
		txn   *pb.TxnRequest
		local bool
	}{
		"serializable ranges":     {&pb.TxnRequest{Compare: is, Success: []*pb.RequestOp{reads(true)}, Failure: []*pb.RequestOp{reads(true)}}, true},
		"one that is not":         {&pb.TxnRequest{Success: []*pb.RequestOp{reads(true)}, Failure: []*pb.RequestOp{reads(false)}}, false},
		"a nested one":            {&pb.TxnRequest{Success: []*pb.RequestOp{reads(true), nested(&pb.TxnRequest{Success: []*pb.RequestOp{reads(true)}})}}, false},
		"a nested one's compares": {&pb.TxnRequest{Success: []*pb.RequestOp{nested(&pb.TxnRequest{Compare: is})}}, false},
		"compares alone":          {&pb.TxnRequest{Compare: is}, false},
	} {
		if _, err := r.kv.Txn(testContext(t), c.txn); (err == nil) != c.local {
			t.Errorf("%s: answered from this host's state: %v, want %v: %v", name, err == nil, c.local, err)
		}
	}
}

func TestReadingTakesNoPlaceInTheLog(t *testing.T) {
	r := newRig(t)
	r.put(t, "a", "1")
	ctx := testContext(t)
	for _, local := range []bool{false, true} {
		q := &pb.RangeRequest{Key: []byte("a"), Serializable: local}
		if err := r.do(ctx, q); err != nil {
			t.Fatal(err)
		}
		got, err := r.kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{opRange(q)}})
		if err != nil || describe(got.Responses) != "range(a of 1)" {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	if r.group.index != 1 {
		t.Fatalf("the log has %d commands, want 1", r.group.index)
	}
}

func describe(rs []*pb.ResponseOp) string {
	var out []string
	for _, r := range rs {
		switch {
		case r.GetResponsePut() != nil:
			out = append(out, "put")
		case r.GetResponseTxn() != nil:
			out = append(out, fmt.Sprintf("txn(%v %s)", r.GetResponseTxn().Succeeded, describe(r.GetResponseTxn().Responses)))
		case r.GetResponseRange() != nil:
			var keys []string
			for _, k := range r.GetResponseRange().Kvs {
				keys = append(keys, string(k.Key))
			}
			out = append(out, fmt.Sprintf("range(%s of %d)", strings.Join(keys, ","), r.GetResponseRange().Count))
		case r.GetResponseDeleteRange() != nil:
			out = append(out, fmt.Sprintf("del(%d)", r.GetResponseDeleteRange().Deleted))
		}
	}
	return strings.Join(out, " ")
}

func TestRangeOptions(t *testing.T) {
	r := newRig(t)
	for i, k := range []string{"a", "c", "b"} {
		r.put(t, k, fmt.Sprint(9-i)) // a=9@2 c=8@3 b=7@4
	}
	r.put(t, "a", "0") // 5
	all := func(change func(*pb.RangeRequest)) *pb.RangeRequest {
		q := &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("d")}
		change(q)
		return q
	}
	cases := []struct {
		q    *pb.RangeRequest
		want string
	}{
		{all(func(q *pb.RangeRequest) {}), "a=0 b=7 c=8 of 3"},
		{all(func(q *pb.RangeRequest) { q.Limit = 2 }), "a=0 b=7 of 3 more"},
		{all(func(q *pb.RangeRequest) { q.Limit = 3 }), "a=0 b=7 c=8 of 3"},
		{all(func(q *pb.RangeRequest) { q.SortOrder = pb.RangeRequest_DESCEND }), "c=8 b=7 a=0 of 3"},
		{all(func(q *pb.RangeRequest) { q.SortTarget = pb.RangeRequest_MOD }), "c=8 b=7 a=0 of 3"},
		{all(func(q *pb.RangeRequest) {
			q.SortTarget, q.SortOrder, q.Limit = pb.RangeRequest_VALUE, pb.RangeRequest_DESCEND, 1
		}), "c=8 of 3 more"},
		{all(func(q *pb.RangeRequest) { q.SortTarget, q.SortOrder = pb.RangeRequest_CREATE, pb.RangeRequest_ASCEND }), "a=0 c=8 b=7 of 3"},
		{all(func(q *pb.RangeRequest) {
			q.SortTarget, q.SortOrder = pb.RangeRequest_VERSION, pb.RangeRequest_DESCEND
		}), "a=0 b=7 c=8 of 3"},
		{all(func(q *pb.RangeRequest) { q.KeysOnly = true }), "a= b= c= of 3"},
		{all(func(q *pb.RangeRequest) { q.CountOnly = true }), "of 3"},
		{all(func(q *pb.RangeRequest) { q.Revision = 3 }), "a=9 c=8 of 2"},
		{all(func(q *pb.RangeRequest) { q.MinModRevision = 4 }), "a=0 b=7 of 3"},
		{all(func(q *pb.RangeRequest) { q.MaxModRevision = 4 }), "b=7 c=8 of 3"},
		{all(func(q *pb.RangeRequest) { q.MinCreateRevision, q.Limit = 3, 1 }), "b=7 of 3 more"},
		{all(func(q *pb.RangeRequest) { q.MaxCreateRevision = 2 }), "a=0 of 3"},
		{&pb.RangeRequest{Key: []byte("b"), RangeEnd: []byte{0}}, "b=7 c=8 of 2"},
		{&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}, "a=0 b=7 c=8 of 3"},
		{&pb.RangeRequest{Key: []byte("b")}, "b=7 of 1"},
		{&pb.RangeRequest{Key: []byte("x")}, "of 0"},
	}
	for _, c := range cases {
		got, err := r.kv.Range(testContext(t), c.q)
		if err != nil {
			t.Fatalf("%v: %v", c.q, err)
		}
		if text := sayRange(got); text != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.q, text, c.want)
		}
		if merged := r.rangeStream(t, c.q); !proto.Equal(merged, got) {
			t.Errorf("%v: merged stream is %v, range %v", c.q, merged, got)
		}
	}
}

func sayRange(r *pb.RangeResponse) string {
	var b strings.Builder
	for _, k := range r.Kvs {
		fmt.Fprintf(&b, "%s=%s ", k.Key, k.Value)
	}
	fmt.Fprintf(&b, "of %d", r.Count)
	if r.More {
		b.WriteString(" more")
	}
	return b.String()
}

func (r *rig) rangeStream(t *testing.T, q *pb.RangeRequest) *pb.RangeResponse {
	t.Helper()
	s, err := r.kv.RangeStream(testContext(t), q)
	if err != nil {
		t.Fatal(err)
	}
	merged := &pb.RangeResponse{}
	for {
		part, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return merged
		}
		if err != nil {
			t.Fatal(err)
		}
		proto.Merge(merged, part.RangeResponse)
	}
}

func TestRangeStreamComesInPieces(t *testing.T) {
	r := newRig(t)
	value := strings.Repeat("v", 256<<10)
	for i := range 20 {
		r.put(t, fmt.Sprintf("k%02d", i), value)
	}
	q := &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")}
	s, err := r.kv.RangeStream(testContext(t), q)
	if err != nil {
		t.Fatal(err)
	}
	n, parts := 0, 0
	for {
		part, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		parts++
		n += len(part.RangeResponse.Kvs)
		if last := n == 20; last != (part.RangeResponse.Header != nil) || last != (part.RangeResponse.Count == 20) {
			t.Fatalf("part %d with %d of 20 keys has header %v, count %d", parts, n, part.RangeResponse.Header, part.RangeResponse.Count)
		}
	}
	if parts < 5 {
		t.Fatalf("5 MB came in %d parts", parts)
	}
}

// Semantics that trip re-implementers, 16: Unavailable is what a client tries elsewhere; anything else is final.
func TestFailuresOfTheGroupInWordsOfEtcd(t *testing.T) {
	r := newRig(t, func(o *Options) { o.RequestTimeout = 10 * time.Millisecond })
	wrap := func(err error) error { return &lockstep.Error{Op: "Propose", Group: 1, Err: err} }
	cases := []struct {
		fail error
		hang bool
		want error
	}{
		{wrap(lockstep.ErrBusy), false, rpctypes.ErrGRPCRequestTooManyRequests},
		{wrap(lockstep.ErrTooLarge), false, rpctypes.ErrGRPCRequestTooLarge},
		{wrap(lockstep.ErrNoSpace), false, rpctypes.ErrGRPCNoSpace},
		{wrap(lockstep.ErrDropped), false, rpctypes.ErrGRPCLeaderChanged},
		{wrap(lockstep.ErrClosed), false, rpctypes.ErrGRPCStopped},
		{wrap(lockstep.ErrQuarantined), false, rpctypes.ErrGRPCUnhealthy},
		{wrap(lockstep.ErrNoQuorum), false, rpctypes.ErrGRPCTimeout},
		{wrap(context.DeadlineExceeded), false, rpctypes.ErrGRPCTimeout},
		{nil, true, rpctypes.ErrGRPCTimeout},
	}
	for _, c := range cases {
		r.group.breakDown(c.fail, c.hang)
		wantError(t, r.do(testContext(t), &pb.PutRequest{Key: []byte("a")}), c.want)
		wantError(t, r.do(testContext(t), &pb.RangeRequest{Key: []byte("a")}), c.want)
		if err := r.do(testContext(t), &pb.RangeRequest{Key: []byte("a"), Serializable: true}); err != nil {
			t.Fatalf("a serializable read needs nobody, and got %v", err)
		}
	}
	r.group.breakDown(&lockstep.Error{Op: "Propose", Outcome: lockstep.NotCommitted, Err: lockstep.ErrNoQuorum}, false)
	wantError(t, r.do(testContext(t), &pb.PutRequest{Key: []byte("a")}), rpctypes.ErrGRPCNoLeader)
	r.group.breakDown(nil, true)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := r.do(ctx, &pb.PutRequest{Key: []byte("a")}); status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("the client's own deadline gave %v", err)
	}
}

func TestRequestNeedingALeaderFailsAtOnceWithoutOne(t *testing.T) {
	r := newRig(t)
	r.status.Store(&Status{Term: 7})
	ctx := metadata.AppendToOutgoingContext(testContext(t), rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	wantError(t, r.do(ctx, &pb.RangeRequest{Key: []byte("a"), Serializable: true}), rpctypes.ErrGRPCNoLeader)
	r.status.Store(&Status{Term: 7, Leader: 1, Learner: true})
	wantError(t, r.do(ctx, &pb.PutRequest{Key: []byte("a")}), rpctypes.ErrGRPCNotSupportedForLearner)
}

// Semantics that trip re-implementers, 23.
func TestLimitsThatClientsKnow(t *testing.T) {
	r := newRig(t)
	ctx := testContext(t)
	fits := &pb.PutRequest{Key: []byte("a"), Value: bytes.Repeat([]byte("v"), 3<<19-64)}
	if err := r.do(ctx, fits); err != nil {
		t.Fatalf("1.5 MiB less a few bytes: %v", err)
	}
	wantError(t, r.do(ctx, &pb.PutRequest{Key: []byte("a"), Value: make([]byte, 3<<19+1)}), rpctypes.ErrGRPCRequestTooLarge)
	// Within the overhead it is the server that refuses, beyond it the transport.
	wantError(t, r.do(ctx, &pb.PutRequest{Key: []byte("a"), Value: make([]byte, 2<<20-64)}), rpctypes.ErrGRPCRequestTooLarge)
	if err := r.do(ctx, &pb.PutRequest{Key: []byte("a"), Value: make([]byte, 2<<20+1)}); status.Code(err) != codes.ResourceExhausted {
		t.Fatalf("want ResourceExhausted, got %v", err)
	}
	big := make([]byte, 1<<20)
	for i := range 8 { // answers have no limit
		if err := r.do(ctx, &pb.PutRequest{Key: []byte{byte('0' + i)}, Value: big}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.kv.Range(ctx, &pb.RangeRequest{Key: []byte("0"), RangeEnd: []byte("9")})
	if err != nil || len(got.Kvs) != 8 {
		t.Fatalf("8 MiB at once: %v", err)
	}
}

func TestStatusMembersAndAlarms(t *testing.T) {
	r := newRig(t)
	ctx := testContext(t)
	care := pb.NewMaintenanceClient(r.conn)
	r.put(t, "a", "1")
	r.status.Store(&Status{Term: 7, Leader: 3, Commit: 9, Applied: 8, NoSpace: true})
	got, err := care.Status(ctx, &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != "3.7.3" || got.StorageVersion != "3.7.0" || got.Leader != 3 || got.RaftIndex != 9 ||
		got.RaftTerm != 7 || got.RaftAppliedIndex != 8 || got.DbSize == 0 || got.DbSizeInUse == 0 || got.DowngradeInfo == nil || len(got.Errors) != 1 {
		t.Fatalf("got %v", got)
	}
	alarms, err := care.Alarm(ctx, &pb.AlarmRequest{})
	if err != nil || len(alarms.Alarms) != 1 || alarms.Alarms[0].Alarm != pb.AlarmType_NOSPACE || alarms.Alarms[0].MemberID != testMember {
		t.Fatalf("got %v, %v", alarms, err)
	}
	if alarms, err = care.Alarm(ctx, &pb.AlarmRequest{Alarm: pb.AlarmType_CORRUPT}); err != nil || len(alarms.Alarms) != 0 {
		t.Fatalf("got %v, %v", alarms, err)
	}
	list, err := pb.NewClusterClient(r.conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
	if err != nil || len(list.Members) != 1 || list.Members[0].ClientURLs[0] != "http://127.0.0.1:2379" {
		t.Fatalf("got %v, %v", list, err)
	}
	a, err := care.HashKV(ctx, &pb.HashKVRequest{})
	if err != nil || a.Hash == 0 || a.HashRevision != 2 || a.CompactRevision != -1 {
		t.Fatalf("got %v, %v", a, err)
	}
}

func TestWhatIsNotBuiltSaysSo(t *testing.T) {
	r := newRig(t)
	ctx := testContext(t)
	_, grant := pb.NewLeaseClient(r.conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 5})
	_, add := pb.NewClusterClient(r.conn).MemberAdd(ctx, &pb.MemberAddRequest{})
	_, move := pb.NewMaintenanceClient(r.conn).MoveLeader(ctx, &pb.MoveLeaderRequest{})
	_, enable := pb.NewAuthClient(r.conn).AuthEnable(ctx, &pb.AuthEnableRequest{})
	stream, snapshot := pb.NewMaintenanceClient(r.conn).Snapshot(ctx, &pb.SnapshotRequest{})
	if snapshot == nil {
		_, snapshot = stream.Recv()
	}
	for i, err := range []error{grant, add, move, enable, snapshot} {
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("call %d: want Unimplemented, got %v", i, err)
		}
	}
	if said := status.Convert(grant).Message(); said != "etcdserver: Lockstep has no leases yet" {
		t.Errorf("a grant is refused with %q", said)
	}
	for _, c := range []struct {
		err  error
		says string
	}{{move, "lockstep member priority ID 9"}, {snapshot, "etcdctl make-mirror"}, {enable, "no users and roles"}} {
		if said := status.Convert(c.err).Message(); !strings.Contains(said, c.says) {
			t.Errorf("refused with %q, want what to do instead: %q", said, c.says)
		}
	}
	_, err := pb.NewAuthClient(r.conn).Authenticate(ctx, &pb.AuthenticateRequest{})
	wantError(t, err, rpctypes.ErrGRPCAuthNotEnabled)
}

func TestHealthAndReflection(t *testing.T) {
	r := newRig(t)
	ctx := testContext(t)
	check := func() healthpb.HealthCheckResponse_ServingStatus {
		got, err := healthpb.NewHealthClient(r.conn).Check(ctx, &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Status
	}
	r.SetServing(false)
	if got := check(); got != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Fatal(got)
	}
	r.SetServing(true)
	if got := check(); got != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(got)
	}
	s, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Recv()
	if err != nil || !strings.Contains(got.String(), "etcdserverpb.KV") {
		t.Fatalf("got %v, %v", got, err)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	_, _ = s.Recv() // the end
}
