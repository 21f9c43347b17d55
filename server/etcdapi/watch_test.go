package etcdapi

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// watching is one stream, read by the test.
type watching struct {
	t      testing.TB
	stream pb.Watch_WatchClient
	cancel context.CancelFunc
}

func (r *rig) watch(t testing.TB, creates ...*pb.WatchCreateRequest) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	stream, err := pb.NewWatchClient(r.conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	w := &watching{t, stream, cancel}
	for _, c := range creates {
		w.create(c)
	}
	return w
}

func (w *watching) create(c *pb.WatchCreateRequest) {
	w.t.Helper()
	w.do(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: c}})
}

func (w *watching) cancelWatch(id int64) {
	w.t.Helper()
	w.do(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
}

func (w *watching) askProgress() {
	w.t.Helper()
	w.do(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
}

func (w *watching) do(r *pb.WatchRequest) {
	w.t.Helper()
	if err := w.stream.Send(r); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watching) next() *pb.WatchResponse {
	w.t.Helper()
	r, err := w.stream.Recv()
	if err != nil {
		w.t.Fatal(err)
	}
	if r.Header.ClusterId != testCluster || r.Header.MemberId != testMember || r.Header.RaftTerm != 7 || r.Header.Revision == 0 && r.CompactRevision == 0 {
		w.t.Fatalf("header of %v is not whole", r)
	}
	return r
}

// say is a response in one line.
func say(r *pb.WatchResponse) string {
	var b strings.Builder
	fmt.Fprintf(&b, "id=%d", r.WatchId)
	for _, is := range []struct {
		name string
		set  bool
	}{{"created", r.Created}, {"canceled", r.Canceled}, {"fragment", r.Fragment}} {
		if is.set {
			b.WriteString(" " + is.name)
		}
	}
	if r.CompactRevision != 0 {
		fmt.Fprintf(&b, " compacted=%d", r.CompactRevision)
	}
	if r.CancelReason != "" {
		fmt.Fprintf(&b, " %q", r.CancelReason)
	}
	for _, e := range r.Events {
		kind := "put"
		if e.Type == mvccpb.Event_DELETE {
			kind = "del"
		}
		fmt.Fprintf(&b, " %s(%s=%s@%d", kind, e.Kv.Key, e.Kv.Value, e.Kv.ModRevision)
		if e.PrevKv != nil {
			fmt.Fprintf(&b, " was %s", e.PrevKv.Value)
		}
		b.WriteString(")")
	}
	return b.String()
}

func (w *watching) want(lines ...string) {
	w.t.Helper()
	for _, want := range lines {
		if got := say(w.next()); got != want {
			w.t.Fatalf("response differs:\n got %s\nwant %s", got, want)
		}
	}
}

// events reads n events, however they are batched, and tells them in one line each.
func (w *watching) events(n int) (out []*mvccpb.Event) {
	w.t.Helper()
	for len(out) < n {
		out = append(out, w.next().Events...)
	}
	return out
}

// Semantics that trip re-implementers, 9.
func TestWatchAnswersCreateBeforeEvents(t *testing.T) {
	r := newRig(t)
	r.put(t, "a", "1") // 2
	r.put(t, "a", "2") // 3
	w := r.watch(t)
	cases := []struct {
		create *pb.WatchCreateRequest
		want   []string
	}{
		{&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 2}, []string{"id=0 created", "id=0 put(a=1@2) put(a=2@3)"}},
		{&pb.WatchCreateRequest{Key: []byte("a")}, []string{"id=1 created"}},
		{&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 3, WatchId: 2}, []string{"id=2 created", "id=2 put(a=2@3)"}},
		{&pb.WatchCreateRequest{Key: []byte("b")}, []string{"id=3 created"}}, // 2 is taken
		{&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 3}, []string{`id=-1 created canceled "mvcc: duplicate watch ID provided on the WatchStream"`}},
		{&pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")}, []string{`id=-1 created canceled "mvcc: watcher range is empty"`}},
		{&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: -1}, []string{`id=-1 created canceled "etcdserver: mvcc: required revision has been compacted"`}},
	}
	for _, c := range cases {
		w.create(c.create)
		w.want(c.want...)
	}
}

func TestWatchBelowCompactionIsCanceledWithItsRevision(t *testing.T) {
	r := newRig(t)
	other := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a")})
	other.want("id=0 created")
	for i := range 4 {
		r.put(t, "a", fmt.Sprint(i)) // 2..5
	}
	if _, err := r.kv.Compact(testContext(t), &pb.CompactionRequest{Revision: 4}); err != nil {
		t.Fatal(err)
	}
	other.want("id=0 put(a=0@2)") // so the hub's window still has what is compacted
	w := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 3})
	w.want("id=0 created", `id=0 canceled compacted=4`)
	// At the compact revision all is there.
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 4})
	w.want("id=1 created", "id=1 put(a=2@4) put(a=3@5)")
}

// Semantics that trip re-implementers, 10.
func TestWatchNeverSplitsARevisionUnlessFragmented(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxRequestBytes = 1 << 20 })
	value := strings.Repeat("x", 100<<10)
	plain := r.watch(t, &pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), PrevKv: true})
	parts := r.watch(t, &pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), Fragment: true, PrevKv: true})
	plain.want("id=0 created")
	parts.want("id=0 created")
	// Keys of 100 KiB; deleting them in one revision shows their values once more: 2.4 MB.
	for i := range 24 {
		r.put(t, fmt.Sprintf("k%02d", i), value)
	}
	plainEvents, partEvents := plain.events(24), parts.events(24)
	if diff := cmp.Diff(keysOf(plainEvents), keysOf(partEvents)); diff != "" {
		t.Fatal(diff)
	}
	if _, err := r.kv.DeleteRange(testContext(t), &pb.DeleteRangeRequest{Key: []byte("k"), RangeEnd: []byte("l")}); err != nil {
		t.Fatal(err)
	}
	if got := plain.next(); len(got.Events) != 24 || got.Fragment {
		t.Fatalf("want 24 deletions at once, got %d, fragment %v", len(got.Events), got.Fragment)
	}
	seen, fragments := 0, 0
	for seen < 24 {
		got := parts.next()
		seen += len(got.Events)
		fragments++
		if got.Fragment != (seen < 24) {
			t.Fatalf("fragment is %v after %d of 24 events", got.Fragment, seen)
		}
	}
	if fragments < 2 {
		t.Fatal("2.4 MB came as one response, though the watcher takes fragments")
	}
}

func TestWatchCatchUpNeverSplitsARevision(t *testing.T) {
	r := newRig(t)
	const revisions, each = 20, 128
	for range revisions {
		if _, err := r.kv.Txn(testContext(t), &pb.TxnRequest{Success: puts(each)}); err != nil {
			t.Fatal(err)
		}
	}
	w := r.watch(t, &pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), StartRevision: 2})
	w.want("id=0 created")
	next := int64(2)
	for next < 2+revisions {
		events := w.next().Events
		if len(events)%each != 0 || events[0].Kv.ModRevision != next {
			t.Fatalf("%d events from revision %d on, want whole revisions of %d from %d on", len(events), events[0].Kv.ModRevision, each, next)
		}
		next += int64(len(events) / each)
	}
}

func TestWatchGetsPreviousValuesThatTheWindowLacks(t *testing.T) {
	r := newRig(t)
	bare := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a")})
	bare.want("id=0 created")
	r.put(t, "a", "1")
	r.put(t, "a", "2")
	// However many responses they come in.
	if got := bare.events(2); len(got) != 2 || got[0].Kv.ModRevision != 2 || got[1].Kv.ModRevision != 3 {
		t.Fatal(got)
	}
	full := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a"), PrevKv: true, StartRevision: 3})
	full.want("id=0 created", "id=0 put(a=2@3 was 1)")
}

func TestWatchSendsNothingAfterCanceled(t *testing.T) {
	r := newRig(t)
	value := strings.Repeat("v", 64<<10)
	for range 100 {
		r.put(t, "a", value) // more than is sent before it is read
	}
	w := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 2})
	w.want("id=0 created")
	w.cancelWatch(0)
	w.create(&pb.WatchCreateRequest{Key: []byte("b"), WatchId: 7})
	w.askProgress()
	canceled := false
	for {
		got := w.next()
		if canceled && got.WatchId == 0 {
			t.Fatalf("after it was canceled, watcher 0 got %.60s", say(got))
		}
		canceled = canceled || got.Canceled
		if got.WatchId == invalidWatchID {
			break
		}
	}
	if !canceled {
		t.Fatal("progress of the stream came before the answer to cancel")
	}
}

// What a view brings may overlap what the first watcher has brought meanwhile.
func TestHubHandsEachRevisionOnce(t *testing.T) {
	h := newHub(nil, 1<<20)
	st := &stream{wake: make(chan struct{}, 1)}
	w := &watcher{key: []byte("a"), stream: st, from: 5}
	at := func(revision int64) *change {
		return &change{revision: revision, events: []*mvccpb.Event{{Kv: &mvccpb.KeyValue{Key: []byte("a"), ModRevision: revision}}}}
	}
	h.join(w, 4, 4)
	h.hand([]*change{at(3), at(4), at(5)}, 5, 5)
	h.hand([]*change{at(4), at(5), at(6)}, 6, 6)
	changes, from, to, _, ok := h.recent(w)
	if !ok || from != 5 || to != 6 || len(changes) != 2 || changes[0].revision != 5 || changes[1].revision != 6 {
		t.Fatalf("got %d changes from %d to %d, %v", len(changes), from, to, ok)
	}
	if _, ok := h.synced(func(yield func(*watcher) bool) { yield(w) }); ok {
		t.Fatal("a watcher that is behind counts as synced")
	}
	h.done(w, 6)
	if revision, ok := h.synced(func(yield func(*watcher) bool) { yield(w) }); !ok || revision != 6 {
		t.Fatalf("synced up to %d, %v", revision, ok)
	}
}

func keysOf(events []*mvccpb.Event) (keys []string) {
	for _, e := range events {
		keys = append(keys, string(e.Kv.Key))
	}
	return keys
}

// Semantics that trip re-implementers, 11.
// TestWatchOfTheNewestSurvivesACompactionInOneBatch compacts in the batch that also wrote: a watcher
// that had been told everything before is told the rest, as a compaction concerns the past only.
func TestWatchOfTheNewestSurvivesACompactionInOneBatch(t *testing.T) {
	r := newRig(t)
	at := r.put(t, "a", "1") // 2
	w := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a")})
	w.want("id=0 created")
	put := func(v string) kv.Op { return kv.Op{Put: &kv.Put{Key: []byte("a"), Value: []byte(v)}} }
	r.group.batch(t, put("2"), put("3"), put("4"), kv.Op{Compact: &kv.Compact{Revision: at + 3}})
	w.want("id=0 put(a=2@3) put(a=3@4) put(a=4@5)")
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 4})
	w.want("id=1 created", "id=1 canceled compacted=5")
}

// TestHubTakesNoMoreThanItsWindowHolds brings a hub 20,000 revisions further at once, as a snapshot does.
// It looks at some of them, and lets its watchers search the rest for themselves.
func TestHubTakesNoMoreThanItsWindowHolds(t *testing.T) {
	g := newFakeGroup(t)
	ops := make([]kv.Op, 20_000)
	for i := range ops {
		ops[i].Put = &kv.Put{Key: []byte("k"), Value: []byte("v")}
	}
	g.batch(t, ops...)
	allocated := testing.AllocsPerRun(1, func() {
		h := newHub(g, 64<<10)
		h.revision = 1
		if err := h.follow(testContext(t), 0); err != nil {
			t.Fatal(err)
		}
		if h.revision != 20_001 || h.bytes > h.windowBytes {
			t.Errorf("the hub is at %d with %d bytes", h.revision, h.bytes)
		}
	})
	if allocated > 4000 {
		t.Errorf("a hub with a window of 64 KiB allocated %v times", allocated)
	}
}

func TestWatchProgressPromisesThatAllWasSent(t *testing.T) {
	r := newRig(t, func(o *Options) { o.ProgressInterval = time.Second })
	w := r.watch(t)
	w.askProgress()
	if got := w.next(); say(got) != "id=-1" || got.Header.Revision != 1 {
		t.Fatalf("progress of a stream without watchers is %v", got)
	}
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), ProgressNotify: true})
	w.create(&pb.WatchCreateRequest{Key: []byte("b")})
	w.want("id=0 created", "id=1 created")
	r.put(t, "z", "") // concerns nobody
	r.clock.pending(t, 1)
	eventually(t, "hub", func() bool { return r.hubRevision() == 2 })
	r.clock.advance(2 * time.Second)
	if got := w.next(); say(got) != "id=0" || got.Header.Revision != 2 {
		t.Fatalf("want progress of watcher 0 at revision 2, got %v", got)
	}
	r.put(t, "a", "1")
	w.want("id=0 put(a=1@3)")
	r.clock.pending(t, 1)
	r.clock.advance(2 * time.Second) // an event was sent since: none is due
	w.askProgress()
	if got := w.next(); say(got) != "id=-1" || got.Header.Revision != 3 {
		t.Fatalf("want progress of the stream at revision 3, got %v", got)
	}
	r.clock.pending(t, 1)
	r.clock.advance(2 * time.Second)
	if got := w.next(); say(got) != "id=0" || got.Header.Revision != 3 {
		t.Fatalf("want progress of watcher 0 at revision 3, got %v", got)
	}
}

func (r *rig) hubRevision() int64 {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	return r.hub.revision
}

func TestWatchProgressWaitsForAWatcherThatIsBehind(t *testing.T) {
	r := newRig(t)
	value := strings.Repeat("v", 4<<10)
	const n = 3000
	for i := range n {
		r.put(t, fmt.Sprintf("k%d", i%7), value)
	}
	w := r.watch(t, &pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), StartRevision: 2})
	w.askProgress()
	seen := 0
	for {
		got := w.next()
		if got.WatchId == invalidWatchID {
			if seen != n || got.Header.Revision != n+1 {
				t.Fatalf("progress at revision %d after %d of %d events", got.Header.Revision, seen, n)
			}
			return
		}
		seen += len(got.Events)
	}
}

// Semantics that trip re-implementers, 12.
func TestWatchCancelIsAnsweredAndFinal(t *testing.T) {
	r := newRig(t)
	w := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a")}, &pb.WatchCreateRequest{Key: []byte("b")})
	w.want("id=0 created", "id=1 created")
	w.cancelWatch(77) // not there: no answer
	w.cancelWatch(0)
	w.want("id=0 canceled")
	r.put(t, "a", "1")
	r.put(t, "b", "1")
	w.want("id=1 put(b=1@3)")
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 2})
	w.want("id=2 created", "id=2 put(a=1@2)")
}

func TestWatchStreamDoesNotDeadlockWhenClientDoesNotRead(t *testing.T) {
	r := newRig(t)
	w := r.watch(t)
	value := strings.Repeat("v", 8<<10)
	w.create(&pb.WatchCreateRequest{Key: []byte("a")})
	for range 200 {
		r.put(t, "a", value)
	}
	// The server's sends are blocked now; requests pile up behind them, and nothing else stops.
	sent := make(chan error, 1)
	go func() {
		for i := range 500 {
			if err := w.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("a"), WatchId: int64(i + 1)}}}); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	other := r.watch(t, &pb.WatchCreateRequest{Key: []byte("b")})
	other.want("id=0 created")
	r.put(t, "b", "1")
	if got := other.next(); len(got.Events) != 1 {
		t.Fatalf("another stream got %v", got)
	}
	created := 0
	for created < 501 {
		if w.next().Created {
			created++
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func TestWatchStalledWatcherGetsEverythingInBoundedMemory(t *testing.T) {
	r := newRig(t, func(o *Options) { o.WatchWindowBytes = 1 << 20 })
	stalled := r.watch(t, &pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), PrevKv: true})
	stalled.want("id=0 created")
	live := r.watch(t, &pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l")})
	live.want("id=0 created")
	const n = 5000
	value := strings.Repeat("v", 2<<10)
	for i := range n {
		r.put(t, fmt.Sprintf("k%d", i%10), fmt.Sprint(i)+value)
		if got := live.events(1); got[0].Kv.ModRevision != int64(i+2) {
			t.Fatalf("the live watcher got revision %d after %d puts", got[0].Kv.ModRevision, i+1)
		}
	}
	r.hub.mu.Lock()
	kept := r.hub.bytes
	r.hub.mu.Unlock()
	if kept > 1<<20+(1<<14) {
		t.Fatalf("the window holds %d bytes, at most %d are allowed", kept, 1<<20)
	}
	for i, e := range stalled.events(n) {
		if e.Kv.ModRevision != int64(i+2) || i >= 10 && (e.PrevKv == nil || !strings.HasPrefix(string(e.PrevKv.Value), fmt.Sprint(i-10)+"v")) {
			t.Fatalf("event %d has revision %d, previous %.20v", i, e.Kv.ModRevision, e.PrevKv)
		}
	}
	runtime.KeepAlive(r)
}

func TestWatchSlowWatcherIsToldOfCompaction(t *testing.T) {
	r := newRig(t, func(o *Options) { o.WatchWindowBytes = 1 })
	w := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a")})
	w.want("id=0 created")
	value := strings.Repeat("v", 32<<10)
	const n = 200
	for range n {
		r.put(t, "a", value)
	}
	if _, err := r.kv.Compact(testContext(t), &pb.CompactionRequest{Revision: n + 1}); err != nil {
		t.Fatal(err)
	}
	last := int64(1)
	for {
		got := w.next()
		for _, e := range got.Events {
			if e.Kv.ModRevision != last+1 {
				t.Fatalf("revision %d follows %d", e.Kv.ModRevision, last)
			}
			last++
		}
		if got.Canceled {
			if got.CompactRevision != n+1 || last >= n {
				t.Fatalf("canceled with %v after revision %d", got.CompactRevision, last)
			}
			return
		}
	}
}

func TestWatchFiltersPrevKVAndSpans(t *testing.T) {
	r := newRig(t)
	w := r.watch(t,
		&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 1, PrevKv: true},
		&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 2, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}},
		&pb.WatchCreateRequest{RangeEnd: []byte{0}, WatchId: 3, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}},
		&pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("d"), WatchId: 4},
		&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 5, StartRevision: 4},
	)
	w.want("id=1 created", "id=2 created", "id=3 created", "id=4 created", "id=5 created")
	r.put(t, "a", "1") // 2
	r.put(t, "a", "2") // 3
	if _, err := r.kv.DeleteRange(testContext(t), &pb.DeleteRangeRequest{Key: []byte("a")}); err != nil {
		t.Fatal(err) // 4
	}
	r.put(t, "c", "1") // 5
	r.put(t, "d", "1") // 6
	got := map[int64]string{}
	eventCount := 0
	for eventCount < 10 {
		resp := w.next()
		eventCount += len(resp.Events)
		_, line, _ := strings.Cut(say(resp), " ")
		got[resp.WatchId] += line + " "
	}
	want := map[int64]string{
		1: "put(a=1@2) put(a=2@3 was 1) del(a=@4 was 2) ",
		2: "del(a=@4) ",
		3: "put(a=1@2) put(a=2@3) put(c=1@5) put(d=1@6) ",
		4: "put(c=1@5) ",
		5: "del(a=@4) ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestWatchOneViewServesAllWatchers(t *testing.T) {
	r := newRig(t)
	var all []*watching
	for range 50 {
		w := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a")})
		w.want("id=0 created")
		all = append(all, w)
	}
	before := r.group.views.Load()
	r.put(t, "a", "1")
	for _, w := range all {
		w.want("id=0 put(a=1@2)")
	}
	if n := r.group.views.Load() - before; n > 2 {
		t.Fatalf("one revision for 50 watchers took %d views, want 1", n)
	}
}

func TestWatchNeedingALeaderEndsWithIt(t *testing.T) {
	r := newRig(t)
	ctx := metadata.AppendToOutgoingContext(testContext(t), rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	stream, err := pb.NewWatchClient(r.conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	plain := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a")})
	plain.want("id=0 created")
	r.clock.pending(t, 1)
	leaderless := *r.status.Load()
	leaderless.Leader = 0
	r.status.Store(&leaderless)
	go func() {
		for range 4 {
			r.clock.pending(t, 1)
			r.clock.advance(time.Second)
		}
	}()
	_, err = stream.Recv()
	if !errors.Is(rpctypes.Error(err), rpctypes.ErrNoLeader) {
		t.Fatalf("want %v, got %v", rpctypes.ErrNoLeader, err)
	}
	r.put(t, "a", "1")
	plain.want("id=0 put(a=1@2)") // who did not ask is not disturbed
}

func TestWatchEndsWithServer(t *testing.T) {
	r := newRig(t)
	w := r.watch(t, &pb.WatchCreateRequest{Key: []byte("a")})
	w.want("id=0 created")
	r.Close()
	_, err := w.stream.Recv()
	if status.Code(err) != codes.Unavailable {
		t.Fatalf("want Unavailable, got %v", err)
	}
}
