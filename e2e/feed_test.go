package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// A feed is one stream of the Watch service, and all that came over it.
type feed struct {
	stream    pb.Watch_WatchClient
	mu        sync.Mutex
	responses []*pb.WatchResponse
	err       error         // that ended the stream
	changed   chan struct{} // closed and replaced when something comes
}

func openFeed(ctx context.Context, conn *grpc.ClientConn) (*feed, error) {
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return nil, err
	}
	f := &feed{stream: stream, changed: make(chan struct{})}
	go f.receive()
	return f, nil
}

func (f *feed) receive() {
	for {
		r, err := f.stream.Recv()
		f.mu.Lock()
		if err != nil {
			f.err = err
		} else {
			f.responses = append(f.responses, r)
		}
		close(f.changed)
		f.changed = make(chan struct{})
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// all is what came so far.
func (f *feed) all() []*pb.WatchResponse {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.responses)
}

// until waits until is holds for what came.
func (f *feed) until(ctx context.Context, is func([]*pb.WatchResponse) bool) error {
	for {
		f.mu.Lock()
		came, changed, err := f.responses, f.changed, f.err
		f.mu.Unlock()
		switch {
		case is(came):
			return nil
		case err != nil:
			return fmt.Errorf("watch stream ended: %w", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.New("it did not come: " + ctx.Err().Error())
		}
	}
}

// isProgress tells a manual progress answer: one for the whole stream.
func isProgress(r *pb.WatchResponse) bool {
	return r.WatchId == -1 && !r.Created && !r.Canceled && len(r.Events) == 0
}

func isCreated(r *pb.WatchResponse) bool { return r.Created }

func count(list []*pb.WatchResponse, is func(*pb.WatchResponse) bool) (n int) {
	for _, r := range list {
		if is(r) {
			n++
		}
	}
	return n
}

// create asks for one more watch and waits for the answer, good or bad.
func (f *feed) create(ctx context.Context, r *pb.WatchCreateRequest) error {
	before := count(f.all(), isCreated)
	if err := f.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
		return err
	}
	return f.until(ctx, func(l []*pb.WatchResponse) bool { return count(l, isCreated) > before })
}

func (f *feed) cancel(id int64) error {
	return f.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
}

// sync returns once the server has promised that everything up to revision was sent on this stream. It
// asks again and again: etcd says nothing while a watch of the stream is behind.
func (f *feed) sync(ctx context.Context, revision int64) error {
	if !f.watches() {
		return nil
	}
	seen := len(f.all())
	_, err := poll(ctx, 20*time.Second, func(context.Context) error {
		ask := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
		if err := f.stream.Send(ask); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		return f.until(short, func(l []*pb.WatchResponse) bool {
			return !alive(l) || slices.ContainsFunc(l[seen:], func(r *pb.WatchResponse) bool { return isProgress(r) && r.Header.Revision >= revision })
		})
	})
	return err
}

// watches reports whether a watch of the stream is still alive.
func (f *feed) watches() bool { return alive(f.all()) }

func alive(came []*pb.WatchResponse) bool {
	live := 0
	for _, r := range came {
		switch {
		case r.Created && !r.Canceled && r.WatchId >= 0:
			live++
		case r.Canceled && !r.Created && r.WatchId >= 0:
			live--
		}
	}
	return live > 0
}

// A story is what one watch was told, without how it was cut into messages.
type story struct {
	created, canceled []*pb.WatchResponse
	events            []*mvccpb.Event
}

// stories sorts what came by watch, and finds revisions that were cut in two (item 10).
func (f *feed) stories() (map[int64]*story, error) {
	told := map[int64]*story{}
	open := map[int64]*pb.WatchResponse{} // the newest with events, by watch
	for _, r := range f.all() {
		if isProgress(r) {
			continue
		}
		s := told[r.WatchId]
		if s == nil {
			s = &story{}
			told[r.WatchId] = s
		}
		switch {
		case r.Created:
			s.created = append(s.created, r)
		case r.Canceled:
			s.canceled = append(s.canceled, r)
		}
		if len(r.Events) == 0 {
			continue
		}
		last := open[r.WatchId]
		if last != nil && !last.Fragment && last.Events[len(last.Events)-1].Kv.ModRevision == r.Events[0].Kv.ModRevision {
			return nil, fmt.Errorf("watch %d: revision %d is cut in two without a fragment's mark", r.WatchId, r.Events[0].Kv.ModRevision)
		}
		if end := r.Events[len(r.Events)-1].Kv.ModRevision; r.Header.Revision < end {
			return nil, fmt.Errorf("watch %d: header of revision %d carries an event of %d", r.WatchId, r.Header.Revision, end)
		}
		open[r.WatchId] = r
		s.events = append(s.events, r.Events...)
	}
	return told, nil
}

// A twin is one stream to each side, with the same requests.
type twin struct {
	pair
	feeds  [2]*feed
	asked  []*pb.WatchCreateRequest
	cancel context.CancelFunc
}

// begins is the highest revision that a watch of w waits for before it can be told anything.
func (w *twin) begins() (revision int64) {
	for _, r := range w.asked {
		revision = max(revision, r.StartRevision)
	}
	return revision
}

func (p pair) watch(t testing.TB) *twin {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &twin{pair: p, cancel: cancel}
	for i, s := range p.sides() {
		f, err := openFeed(ctx, s.conns[0])
		if err != nil {
			t.Fatalf("watch %s: %v", s.name, err)
		}
		w.feeds[i] = f
	}
	t.Cleanup(cancel)
	return w
}

// each does the same on both streams.
func (w *twin) each(t testing.TB, what string, f func(context.Context, *feed) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i, s := range w.sides() {
		if err := f(ctx, w.feeds[i]); err != nil {
			t.Fatalf("%s on %s: %v\nasked %v\ncame  %v", what, s.name, err, w.asked, w.feeds[i].all())
		}
	}
}

// create asks both for one more watch.
func (w *twin) create(t testing.TB, r *pb.WatchCreateRequest) {
	t.Helper()
	w.asked = append(w.asked, r)
	w.each(t, "create watch", func(ctx context.Context, f *feed) error { return f.create(ctx, r) })
}

// differ compares all stories.
func (w *twin) differ() error {
	want, err := w.feeds[0].stories()
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	got, err := w.feeds[1].stories()
	if err != nil {
		return fmt.Errorf("lockstep: %w", err)
	}
	for id := range want {
		if got[id] == nil {
			return fmt.Errorf("watch %d is unknown to lockstep, asked %v", id, w.asked)
		}
	}
	for id, g := range got {
		if want[id] == nil {
			return fmt.Errorf("watch %d is unknown to etcd, asked %v, lockstep says %v", id, w.asked, g.created)
		}
		if err := differStory(want[id], g); err != nil {
			return fmt.Errorf("watch %d of %v: %w", id, w.asked, err)
		}
	}
	return nil
}

func differStory(want, got *story) error {
	for _, part := range []struct {
		what      string
		want, got []*pb.WatchResponse
	}{{"created", want.created, got.created}, {"canceled", want.canceled, got.canceled}} {
		for i := range max(len(part.want), len(part.got)) {
			w, g := at(part.want, i), at(part.got, i)
			if w == nil || g == nil || !proto.Equal(mapped(w), mapped(g)) {
				return fmt.Errorf("answers differ: %s\netcd     %v\nlockstep %v", part.what, w, g)
			}
		}
	}
	for i := range max(len(want.events), len(got.events)) {
		if w, g := at(want.events, i), at(got.events, i); w == nil || g == nil || !proto.Equal(w, g) {
			before := want.events[max(0, min(i, len(want.events))-3):min(i, len(want.events))]
			return fmt.Errorf("event %d of %d and %d differs\nafter    %v\netcd     %v\nlockstep %v", i, len(want.events), len(got.events), before, w, g)
		}
	}
	return nil
}

// at is element i, nil beyond the end.
func at[T any](list []*T, i int) *T {
	if i >= len(list) {
		return nil
	}
	return list[i]
}
