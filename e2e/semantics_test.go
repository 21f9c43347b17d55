package e2e

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// TestSemantics asks both for what trips those who build etcd's API anew. Each case says what etcd must
// answer; that Lockstep answers the same, field by field, is checked with each request.
func TestSemantics(t *testing.T) {
	p := newPair(t, oneReplica(t))
	for _, c := range []struct {
		name string
		run  func(*testing.T, pair)
	}{
		{"empty store has revision one", emptyStore}, // first: the others fill it
		{"one revision for each request with an effect", oneRevision},
		{"create revision and version begin anew after a delete", lifeOfKey},
		{"operations of a transaction see those before", orderInside},
		{"transactions are checked before they run", txnChecks},
		{"compares look at every key of a span", spanCompares},
		{"a read of a lost revision fails the transaction before it runs", txnReads},
		{"ranges count, cut, filter and sort", ranges},
		{"compaction is legal up to now and reads at it stay", compactions},
		{"watches answer creates and cancels", watchAnswers},
		{"events of one revision stay together", watchFragments},
		{"every header names cluster, member and term", headers},
		{"errors have etcd's codes and words", errorWords},
		{"requests up to a limit", limits},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, p) })
	}
}

func key(k string) []byte { return []byte(k) }

func (p pair) put(t *testing.T, k, v string) *pb.PutResponse {
	t.Helper()
	return wants[*pb.PutResponse](t, p, &pb.PutRequest{Key: key(k), Value: []byte(v)})
}

func (p pair) get(t *testing.T, k string) *pb.RangeResponse {
	t.Helper()
	return wants[*pb.RangeResponse](t, p, &pb.RangeRequest{Key: key(k)})
}

// wants asks both and returns the common answer, which is no error.
func wants[T proto.Message](t *testing.T, p pair, request proto.Message) T {
	t.Helper()
	a := p.same(t, request)
	m, ok := a.message.(T)
	if !ok {
		t.Fatalf("%T {%s}: %v", request, brief(request), a)
	}
	return m
}

// refuses asks both and checks the common error.
func (p pair) refuses(t *testing.T, want error, request proto.Message) {
	t.Helper()
	a := p.same(t, request)
	if got, want := status.Convert(a.err), status.Convert(want); got.Code() != want.Code() || got.Message() != want.Message() {
		t.Errorf("%T {%s}: %v, want %v", request, brief(request), a, want)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func emptyStore(t *testing.T, p pair) {
	equal(t, "revision of an empty store", p.get(t, "none").Header.Revision, 1)
	equal(t, "revision of the first write", p.put(t, "first", "").Header.Revision, 2)
}

func oneRevision(t *testing.T, p pair) {
	r := p.get(t, "none").Header.Revision
	none := wants[*pb.DeleteRangeResponse](t, p, &pb.DeleteRangeRequest{Key: key("none")})
	equal(t, "revision after a delete of nothing", none.Header.Revision, r)
	read := wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Success: []*pb.RequestOp{get("none")}})
	equal(t, "revision after a transaction that reads", read.Header.Revision, r)
	many := wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Success: []*pb.RequestOp{put("one/a", "1"), put("one/b", "2"), put("one/c", "3")}})
	equal(t, "revision after a transaction with three puts", many.Header.Revision, r+1)
	gone := wants[*pb.DeleteRangeResponse](t, p, &pb.DeleteRangeRequest{Key: key("one/"), RangeEnd: key("one0"), PrevKv: true})
	equal(t, "revision after a delete of three keys", gone.Header.Revision, r+2)
	equal(t, "deleted keys", gone.Deleted, 3)
}

func lifeOfKey(t *testing.T, p pair) {
	created := p.put(t, "life", "1").Header.Revision
	changed := p.put(t, "life", "2").Header.Revision
	k := p.get(t, "life").Kvs[0]
	equal(t, "create revision", k.CreateRevision, created)
	equal(t, "mod revision", k.ModRevision, changed)
	equal(t, "version", k.Version, 2)
	w := p.watch(t)
	w.create(t, &pb.WatchCreateRequest{Key: key("life"), StartRevision: created, PrevKv: true})
	w.create(t, &pb.WatchCreateRequest{Key: key("life"), StartRevision: created})
	wants[*pb.DeleteRangeResponse](t, p, &pb.DeleteRangeRequest{Key: key("life")})
	again := p.put(t, "life", "3").Header.Revision
	k = p.get(t, "life").Kvs[0]
	equal(t, "create revision after a delete", k.CreateRevision, again)
	equal(t, "version after a delete", k.Version, 1)
	told := w.told(t, again)
	for _, id := range []int64{0, 1} {
		e := told[id].events
		if len(e) != 4 {
			t.Fatalf("watch %d: events %v, want 4", id, e)
		}
		equal(t, "key of the delete's event", string(e[2].Kv.Key), "life")
		equal(t, "mod revision of the delete's event", e[2].Kv.ModRevision, changed+1)
		equal(t, "value and version in the delete's event", len(e[2].Kv.Value)+int(e[2].Kv.Version)+int(e[2].Kv.CreateRevision), 0)
		equal(t, "previous value is there", e[2].PrevKv != nil, id == 0)
	}
}

func orderInside(t *testing.T, p pair) {
	r := p.get(t, "none").Header.Revision
	a := wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Success: []*pb.RequestOp{
		get("in"), put("in", "1"), get("in"), nested(get("in"), remove("gone")), put("out", "2"), get("out"),
	}})
	equal(t, "keys before the put", len(a.Responses[0].GetResponseRange().Kvs), 0)
	seen := a.Responses[2].GetResponseRange()
	equal(t, "keys after the put", len(seen.Kvs), 1)
	equal(t, "revision in the header of a nested answer", seen.Header.Revision, r+1)
	w := p.watch(t)
	w.create(t, &pb.WatchCreateRequest{Key: key("order/"), RangeEnd: key("order0"), PrevKv: true})
	wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Success: []*pb.RequestOp{put("order/b", ""), put("order/a", ""), put("order/c", "")}})
	wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Success: []*pb.RequestOp{remove("order/c"), put("order/d", "")}})
	order := ""
	for _, e := range w.told(t, r+3)[0].events {
		order += string(e.Kv.Key[len("order/"):])
	}
	equal(t, "order of events", order, "baccd")
}

func txnChecks(t *testing.T, p pair) {
	before := p.get(t, "none").Header.Revision
	var full, over []*pb.RequestOp
	for i := range 128 {
		full = append(full, put("ops/"+strconv.Itoa(i), ""))
	}
	over = append(append(over, full...), put("ops/128", ""))
	compare := &pb.Compare{Key: key("ops"), TargetUnion: &pb.Compare_Version{}}
	var compares []*pb.Compare
	for range 129 {
		compares = append(compares, compare)
	}
	p.refuses(t, rpctypes.ErrGRPCTooManyOps, &pb.TxnRequest{Success: over})
	p.refuses(t, rpctypes.ErrGRPCTooManyOps, &pb.TxnRequest{Failure: over})
	p.refuses(t, rpctypes.ErrGRPCTooManyOps, &pb.TxnRequest{Compare: compares})
	p.refuses(t, rpctypes.ErrGRPCTooManyOps, &pb.TxnRequest{Success: []*pb.RequestOp{nested(over...)}})
	p.refuses(t, rpctypes.ErrGRPCEmptyKey, &pb.TxnRequest{Success: []*pb.RequestOp{put("", "")}})
	p.refuses(t, rpctypes.ErrGRPCEmptyKey, &pb.TxnRequest{Compare: []*pb.Compare{{}}})
	p.refuses(t, rpctypes.ErrGRPCDuplicateKey, &pb.TxnRequest{Success: []*pb.RequestOp{put("a", "1"), put("a", "2")}})
	p.refuses(t, rpctypes.ErrGRPCDuplicateKey, &pb.TxnRequest{Success: []*pb.RequestOp{put("a", "1"), nested(put("a", "2"))}})
	p.refuses(t, rpctypes.ErrGRPCDuplicateKey, &pb.TxnRequest{Failure: []*pb.RequestOp{put("a", "1"), remove("a")}})
	equal(t, "revision after refusals", p.get(t, "none").Header.Revision, before)
	wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Success: full, Failure: full})
	wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Success: []*pb.RequestOp{put("a", "1")}, Failure: []*pb.RequestOp{remove("a")}})
	wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Success: []*pb.RequestOp{remove("a"), remove("a")}})
	wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Success: []*pb.RequestOp{nested(nested(put("a", "1")))}})
}

func spanCompares(t *testing.T, p pair) {
	p.put(t, "span/1", "x")
	p.put(t, "span/2", "x")
	all := func(c *pb.Compare) bool {
		t.Helper()
		return wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Compare: []*pb.Compare{c}}).Succeeded
	}
	value := func(k, end, v string) *pb.Compare {
		return &pb.Compare{Key: key(k), RangeEnd: key(end), Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte(v)}}
	}
	equal(t, "value of all of a span", all(value("span/", "span0", "x")), true)
	p.put(t, "span/2", "y")
	equal(t, "value of one of a span", all(value("span/", "span0", "x")), false)
	for _, end := range []string{"", "nowhere0"} {
		equal(t, "value of nothing", all(value("nowhere/", end, "")), false)
		for target, c := range map[pb.Compare_CompareTarget]*pb.Compare{
			pb.Compare_VERSION: {TargetUnion: &pb.Compare_Version{}},
			pb.Compare_CREATE:  {TargetUnion: &pb.Compare_CreateRevision{}},
			pb.Compare_MOD:     {TargetUnion: &pb.Compare_ModRevision{}},
			pb.Compare_LEASE:   {TargetUnion: &pb.Compare_Lease{}},
		} {
			c.Key, c.RangeEnd, c.Target = key("nowhere/"), key(end), target
			equal(t, fmt.Sprintf("%v of nothing is zero", target), all(c), true)
			c.Result = pb.Compare_GREATER
			equal(t, fmt.Sprintf("%v of nothing is above zero", target), all(c), false)
		}
	}
}

func txnReads(t *testing.T, p pair) {
	r := p.put(t, "lost", "1").Header.Revision
	p.put(t, "lost", "2")
	wants[*pb.CompactionResponse](t, p, &pb.CompactionRequest{Revision: r + 1})
	at := func(revision int64) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key("lost"), Revision: revision}}}
	}
	p.refuses(t, rpctypes.ErrGRPCCompacted, &pb.TxnRequest{Success: []*pb.RequestOp{put("lost", "3"), at(r)}})
	p.refuses(t, rpctypes.ErrGRPCFutureRev, &pb.TxnRequest{Success: []*pb.RequestOp{put("lost", "3"), at(r + 100)}})
	p.refuses(t, rpctypes.ErrGRPCCompacted, &pb.TxnRequest{Success: []*pb.RequestOp{put("lost", "3"), nested(at(r))}})
	wants[*pb.TxnResponse](t, p, &pb.TxnRequest{Success: []*pb.RequestOp{put("lost", "4")}, Failure: []*pb.RequestOp{at(r)}})
	equal(t, "value", string(p.get(t, "lost").Kvs[0].Value), "4")
}

func get(k string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key(k)}}}
}

func remove(k string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key(k)}}}
}

// nested is a transaction inside of one. It has no compares, so that it does ops.
func nested(ops ...*pb.RequestOp) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: ops}}}
}

func ranges(t *testing.T, p pair) {
	first := p.put(t, "range/b", "2").Header.Revision
	p.put(t, "range/a", "3")
	p.put(t, "range/c", "1")
	p.put(t, "range/c", "0")
	find := func(change func(*pb.RangeRequest)) (string, *pb.RangeResponse) {
		t.Helper()
		r := &pb.RangeRequest{Key: key("range/"), RangeEnd: key("range0")}
		change(r)
		a := wants[*pb.RangeResponse](t, p, r)
		order := ""
		for _, k := range a.Kvs {
			order += string(k.Key[len("range/"):])
		}
		return order, a
	}
	for _, c := range []struct {
		order  string
		more   bool
		change func(*pb.RangeRequest)
	}{
		{"abc", false, func(*pb.RangeRequest) {}},
		{"ab", true, func(r *pb.RangeRequest) { r.Limit = 2 }},
		{"abc", false, func(r *pb.RangeRequest) { r.Limit = 3 }},
		{"cb", true, func(r *pb.RangeRequest) { r.Limit, r.SortOrder = 2, pb.RangeRequest_DESCEND }},
		{"bac", false, func(r *pb.RangeRequest) { r.SortTarget = pb.RangeRequest_CREATE }},
		{"c", true, func(r *pb.RangeRequest) {
			r.Limit, r.SortTarget, r.SortOrder = 1, pb.RangeRequest_VALUE, pb.RangeRequest_ASCEND
		}},
		{"b", true, func(r *pb.RangeRequest) { r.Limit, r.SortTarget = 1, pb.RangeRequest_VALUE }}, // cut with one to spare, then sorted
		{"ac", false, func(r *pb.RangeRequest) { r.MinModRevision = first + 1 }},
		{"a", true, func(r *pb.RangeRequest) { r.Limit, r.MinModRevision = 1, first+1 }},
		{"b", false, func(r *pb.RangeRequest) { r.MaxCreateRevision = first }},
		{"", false, func(r *pb.RangeRequest) { r.CountOnly = true }},
	} {
		order, a := find(c.change)
		equal(t, "order", order, c.order)
		equal(t, "more of "+c.order, a.More, c.more)
		equal(t, "count of "+c.order, a.Count, 3)
	}
	_, a := find(func(r *pb.RangeRequest) { r.KeysOnly = true })
	equal(t, "value and version of keys alone", fmt.Sprintf("%q %d", a.Kvs[2].Value, a.Kvs[2].Version), `"" 2`)
	from := wants[*pb.RangeResponse](t, p, &pb.RangeRequest{Key: key("range/b"), RangeEnd: []byte{0}})
	all := wants[*pb.RangeResponse](t, p, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	if from.Count < 2 || all.Count <= from.Count || !bytes.Equal(from.Kvs[0].Key, key("range/b")) {
		t.Errorf("from a key: %d keys, all: %d", from.Count, all.Count)
	}
}
