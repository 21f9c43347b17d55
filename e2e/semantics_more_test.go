package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func compactions(t *testing.T, p pair) {
	r := p.put(t, "compact", "1").Header.Revision
	p.put(t, "compact", "2")
	p.refuses(t, rpctypes.ErrGRPCFutureRev, &pb.CompactionRequest{Revision: r + 2})
	wants[*pb.CompactionResponse](t, p, &pb.CompactionRequest{Revision: r})
	p.refuses(t, rpctypes.ErrGRPCCompacted, &pb.CompactionRequest{Revision: r})
	p.refuses(t, rpctypes.ErrGRPCCompacted, &pb.CompactionRequest{Revision: r - 1})
	p.refuses(t, rpctypes.ErrGRPCCompacted, &pb.CompactionRequest{Revision: 0})
	p.refuses(t, rpctypes.ErrGRPCCompacted, &pb.RangeRequest{Key: key("compact"), Revision: r - 1})
	at := wants[*pb.RangeResponse](t, p, &pb.RangeRequest{Key: key("compact"), Revision: r})
	equal(t, "value at the compact revision", string(at.Kvs[0].Value), "1")
	w := p.watch(t)
	w.create(t, &pb.WatchCreateRequest{Key: key("compact"), StartRevision: r})
	equal(t, "events from the compact revision", len(w.told(t, r+1)[0].events), 2)
	wants[*pb.CompactionResponse](t, p, &pb.CompactionRequest{Revision: r + 1, Physical: true})
	equal(t, "value at the newest, compacted, revision", string(p.get(t, "compact").Kvs[0].Value), "2")
}

// told waits until both have told all up to revision, compares, and returns the stories.
func (w *twin) told(t *testing.T, revision int64) map[int64]*story {
	t.Helper()
	w.each(t, "synchronise watch", func(ctx context.Context, f *feed) error { return f.sync(ctx, revision) })
	if err := w.differ(); err != nil {
		t.Fatal(err)
	}
	told, err := w.feeds[0].stories()
	if err != nil {
		t.Fatal(err)
	}
	return told
}

// canceled waits until both have told that n watches ended.
func (w *twin) canceled(t *testing.T, n int) {
	t.Helper()
	w.each(t, "end watch", func(ctx context.Context, f *feed) error {
		return f.until(ctx, func(l []*pb.WatchResponse) bool {
			return count(l, func(r *pb.WatchResponse) bool { return r.Canceled }) >= n
		})
	})
}

func watchAnswers(t *testing.T, p pair) {
	r := p.put(t, "watch", "before").Header.Revision
	w := p.watch(t)
	w.create(t, &pb.WatchCreateRequest{Key: key("watch")})
	w.create(t, &pb.WatchCreateRequest{Key: key("watch"), StartRevision: r})
	w.create(t, &pb.WatchCreateRequest{Key: key("watch"), WatchId: 7})
	w.create(t, &pb.WatchCreateRequest{Key: key("watch"), WatchId: 7}) // refused, the first goes on
	w.create(t, &pb.WatchCreateRequest{Key: key("watch"), StartRevision: -1})
	w.create(t, &pb.WatchCreateRequest{Key: key("watch"), RangeEnd: key("a")}) // an empty span
	w.create(t, &pb.WatchCreateRequest{})
	now := p.put(t, "watch", "now").Header.Revision
	told := w.told(t, now)
	equal(t, "events from now on", len(told[0].events), 1)
	equal(t, "events from a revision on", len(told[1].events), 2)
	equal(t, "answers to refused creates", len(told[-1].created), 3)
	equal(t, "events of the chosen id", len(told[7].events), 1)
	before := 0
	for _, f := range w.feeds {
		before = count(f.all(), func(r *pb.WatchResponse) bool { return r.Canceled })
	}
	w.each(t, "cancel", func(_ context.Context, f *feed) error { return f.cancel(0) })
	w.canceled(t, before+1)
	w.each(t, "cancel what is unknown", func(_ context.Context, f *feed) error { return f.cancel(99) })
	p.put(t, "watch", "later")
	equal(t, "events after the cancel", len(w.told(t, now+1)[0].events), 1)
	wants[*pb.CompactionResponse](t, p, &pb.CompactionRequest{Revision: now})
	old := p.watch(t)
	old.create(t, &pb.WatchCreateRequest{Key: key("watch"), StartRevision: r})
	old.canceled(t, 1)
	told = old.told(t, 0)
	equal(t, "answers to a lost start", fmt.Sprint(len(told[0].created), len(told[0].canceled)), "1 1")
	equal(t, "compact revision told", told[0].canceled[0].CompactRevision, now)
}

func watchFragments(t *testing.T, p pair) {
	value := strings.Repeat("v", 200<<10)
	r := p.get(t, "none").Header.Revision
	for i := range 20 {
		p.put(t, fmt.Sprintf("big/%02d", i), value)
	}
	w := p.watch(t)
	for _, fragment := range []bool{false, true} {
		w.create(t, &pb.WatchCreateRequest{Key: key("big/"), RangeEnd: key("big0"), StartRevision: r + 1, PrevKv: true, Fragment: fragment})
	}
	wants[*pb.DeleteRangeResponse](t, p, &pb.DeleteRangeRequest{Key: key("big/"), RangeEnd: key("big0")})
	for id := range int64(2) {
		equal(t, "events", len(w.told(t, r+21)[id].events), 40)
	}
	for i, s := range p.sides() {
		parts := map[int64]int{}
		for _, m := range w.feeds[i].all() {
			switch {
			case m.Fragment:
				parts[m.WatchId]++
			case parts[m.WatchId] > 0 && len(m.Events) == 0:
				t.Errorf("%s: watch %d: the part after a fragment is empty", s.name, m.WatchId)
			}
		}
		if parts[0] != 0 || parts[1] == 0 {
			t.Errorf("%s: fragments by watch: %v, want some of watch 1 alone", s.name, parts)
		}
	}
}

// headers compares the ids on the stream with those of plain answers; those of all plain answers are
// compared with each request.
func headers(t *testing.T, p pair) {
	at := p.put(t, "ids", "1").Header.Revision
	w := p.watch(t)
	w.create(t, &pb.WatchCreateRequest{Key: key("ids"), StartRevision: at})
	w.told(t, at)
	w.each(t, "cancel", func(_ context.Context, f *feed) error { return f.cancel(0) })
	w.canceled(t, 1)
	for i, s := range p.sides() {
		for _, m := range w.feeds[i].all() {
			if h := m.Header; h.GetClusterId() != s.last.ClusterId || h.GetMemberId() != s.last.MemberId || h.GetRaftTerm() != s.last.RaftTerm {
				t.Errorf("%s: header of a watch %v, of a put %v", s.name, h, s.last)
			}
		}
		for name, call := range map[string]func() (interface{ GetHeader() *pb.ResponseHeader }, error){
			"Status": func() (interface{ GetHeader() *pb.ResponseHeader }, error) {
				return pb.NewMaintenanceClient(s.conn()).Status(t.Context(), &pb.StatusRequest{})
			},
			"MemberList": func() (interface{ GetHeader() *pb.ResponseHeader }, error) {
				return pb.NewClusterClient(s.conn()).MemberList(t.Context(), &pb.MemberListRequest{Linearizable: true})
			},
			"HashKV": func() (interface{ GetHeader() *pb.ResponseHeader }, error) {
				return pb.NewMaintenanceClient(s.conn()).HashKV(t.Context(), &pb.HashKVRequest{})
			},
		} {
			a, err := call()
			if err != nil {
				t.Errorf("%s: %s: %v", s.name, name, err)
			} else if h := a.GetHeader(); h.GetClusterId() != s.last.ClusterId || h.GetMemberId() != s.last.MemberId || h.GetRaftTerm() == 0 {
				t.Errorf("%s: header of %s %v, of a put %v", s.name, name, h, s.last)
			}
		}
	}
}

func errorWords(t *testing.T, p pair) {
	p.put(t, "here", "1")
	late := p.get(t, "here").Header.Revision + 1
	p.refuses(t, rpctypes.ErrGRPCEmptyKey, &pb.RangeRequest{})
	p.refuses(t, rpctypes.ErrGRPCEmptyKey, &pb.PutRequest{})
	p.refuses(t, rpctypes.ErrGRPCEmptyKey, &pb.DeleteRangeRequest{})
	p.refuses(t, rpctypes.ErrGRPCEmptyKey, &pb.RangeRequest{SortOrder: 9})
	p.refuses(t, rpctypes.ErrGRPCInvalidSortOption, &pb.RangeRequest{Key: key("a"), SortOrder: 9})
	p.refuses(t, rpctypes.ErrGRPCInvalidSortOption, &pb.RangeRequest{Key: key("a"), SortTarget: -1})
	p.refuses(t, rpctypes.ErrGRPCFutureRev, &pb.RangeRequest{Key: key("a"), Revision: late})
	p.refuses(t, rpctypes.ErrGRPCValueProvided, &pb.PutRequest{Key: key("here"), Value: key("v"), IgnoreValue: true})
	p.refuses(t, rpctypes.ErrGRPCLeaseProvided, &pb.PutRequest{Key: key("here"), Lease: 1, IgnoreLease: true})
	p.refuses(t, rpctypes.ErrGRPCKeyNotFound, &pb.PutRequest{Key: key("nowhere"), IgnoreValue: true})
	p.refuses(t, rpctypes.ErrGRPCKeyNotFound, &pb.PutRequest{Key: key("nowhere"), IgnoreLease: true})
	p.refuses(t, rpctypes.ErrGRPCLeaseNotFound, &pb.PutRequest{Key: key("here"), Lease: 1})
	p.refuses(t, rpctypes.ErrGRPCKeyNotFound, &pb.TxnRequest{Success: []*pb.RequestOp{{}}})
	p.refuses(t, rpctypes.ErrGRPCCompacted, &pb.CompactionRequest{Revision: -1})
}

func limits(t *testing.T, p pair) {
	value := func(n int) *pb.PutRequest { return &pb.PutRequest{Key: key("limit"), Value: make([]byte, n)} }
	for _, n := range []int{1 << 20, 3<<19 - 1<<10} {
		wants[*pb.PutResponse](t, p, value(n))
	}
	p.refuses(t, rpctypes.ErrGRPCRequestTooLarge, value(3<<19))
	p.refuses(t, rpctypes.ErrGRPCRequestTooLarge, value(2<<20-1<<10))
	a := p.same(t, value(2<<20)) // gRPC's own limit, with numbers in its words
	equal(t, "code", status.Code(a.err), codes.ResourceExhausted)
	equal(t, "length of a value that was accepted", len(p.get(t, "limit").Kvs[0].Value), 3<<19-1<<10)
	a = p.same(t, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Limit: 5}) // answers have no limit
	equal(t, "code", status.Code(a.err), codes.OK)
}
