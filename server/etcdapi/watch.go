package etcdapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
)

// watches is the Watch service.
type watches struct {
	pb.UnimplementedWatchServer
	*Server
}

// invalidWatchID stands where there is no watcher: in refusals, and in what concerns all of a stream.
const invalidWatchID = -1

// Reasons for which etcd's store refuses a watcher. They are no errors of its protocol.
const (
	reasonDuplicateID = "mvcc: duplicate watch ID provided on the WatchStream"
	reasonEmptyRange  = "mvcc: watcher range is empty"
	reasonTooMany     = "lockstep: stream has too many watchers"
)

// The bounds of one stream. Requests beyond are not read until answers are.
const (
	maxPendingRequests = 128
	maxStreamWatchers  = 100_000
)

// stream is one Watch call. All of it belongs to the handler's task, but for ready, which the hub
// guards, and the wake-up.
type stream struct {
	*Server
	ctx      context.Context
	send     func(*pb.WatchResponse) error
	watchers map[int64]*watcher
	nextID   int64
	asked    bool // for progress of the whole stream

	ready []*watcher
	wake  chan struct{}

	progress env.Timer
	due      atomic.Bool // progress notifications are
}

// Watch serves one stream of watchers until the client, this server or the leader goes.
func (s *watches) Watch(out grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse]) error {
	ctx, cancel := context.WithCancel(out.Context())
	defer cancel()
	st := &stream{Server: s.Server, ctx: ctx, send: out.Send, watchers: map[int64]*watcher{}, wake: make(chan struct{}, 1)}
	defer st.close()
	requests := make(chan *pb.WatchRequest, maxPendingRequests)
	broken := make(chan error, 1)
	s.o.Env.Run("watch requests", func() {
		if err := receive(ctx, out, requests); err != nil {
			broken <- err
		}
	})
	err := st.serve(requests, broken)
	if errors.Is(err, context.Canceled) {
		return rpctypes.ErrGRPCWatchCanceled
	}
	return err
}

// receive hands requests over until the stream ends. That the client sends no more is no end.
func receive(ctx context.Context, out grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse], to chan<- *pb.WatchRequest) error {
	for {
		r, err := out.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case to <- r:
		case <-ctx.Done():
			return nil
		}
	}
}

func (st *stream) poke() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

func (st *stream) close() {
	for _, w := range st.watchers {
		st.hub.leave(w)
	}
	if st.progress != nil {
		st.progress.Stop()
	}
}

// serve answers requests and sends events, a page of one watcher at a time, so that neither a
// watcher that catches up nor a busy span keeps the others, or a cancel, waiting.
func (st *stream) serve(requests <-chan *pb.WatchRequest, broken <-chan error) error {
	for {
		w := st.hub.next(st)
		if w == nil {
			if err := st.tellProgress(); err != nil {
				return err
			}
			if err := st.park(requests, broken); err != nil {
				return err
			}
			continue
		}
		if err := st.page(w); err != nil {
			return err
		}
		select {
		case r := <-requests:
			if err := st.handle(r); err != nil {
				return err
			}
		case <-st.ctx.Done():
			return st.ctx.Err()
		case <-st.Server.ctx.Done():
			return rpctypes.ErrGRPCStopped
		default:
		}
	}
}

// park waits for something to do.
func (st *stream) park(requests <-chan *pb.WatchRequest, broken <-chan error) error {
	select {
	case r := <-requests:
		return st.handle(r)
	case err := <-broken:
		return err
	case <-st.ctx.Done():
		return st.ctx.Err()
	case <-st.Server.ctx.Done():
		return rpctypes.ErrGRPCStopped
	case <-st.wake:
		return nil
	}
}

// handle executes one request. One that is empty or unknown is passed over, as in etcd.
func (st *stream) handle(r *pb.WatchRequest) error {
	switch {
	case r.GetCreateRequest() != nil:
		return st.create(r.GetCreateRequest())
	case r.GetCancelRequest() != nil:
		id := r.GetCancelRequest().WatchId
		if w := st.watchers[id]; w != nil {
			st.drop(w)
			return st.send(&pb.WatchResponse{Header: st.header(st.localRevision(st.ctx)), WatchId: id, Canceled: true})
		}
	case r.GetProgressRequest() != nil:
		st.asked = true
	}
	return nil
}

func (st *stream) drop(w *watcher) {
	delete(st.watchers, w.id)
	st.hub.leave(w)
}

// create answers first and joins the hub then, so that the created response precedes all events.
func (st *stream) create(r *pb.WatchCreateRequest) error {
	v, at, err := st.view(st.ctx, lockstep.Stale)
	if err != nil {
		return st.answer(st.ctx, err)
	}
	now, compacted := v.Revision(), v.CompactRevision()
	_ = v.Close()

	w := st.watcher(r, now)
	if reason := st.refuse(w, r); reason != "" {
		return st.send(&pb.WatchResponse{
			Header: st.header(now), WatchId: invalidWatchID, Created: true, Canceled: true, CancelReason: reason,
		})
	}
	if err := st.send(&pb.WatchResponse{Header: st.header(now), WatchId: w.id, Created: true}); err != nil {
		return err
	}
	if w.from < compacted {
		return st.compacted(w, compacted)
	}
	w.compacted = compacted
	st.watchers[w.id] = w
	st.hub.join(w, now, at)
	if w.progress && st.progress == nil {
		st.arm()
	}
	return nil
}

func (st *stream) watcher(r *pb.WatchCreateRequest, now int64) *watcher {
	w := &watcher{
		id: r.WatchId, key: r.Key, stream: st, from: r.StartRevision,
		prev: r.PrevKv, fragment: r.Fragment, progress: r.ProgressNotify,
		noPut:    slices.Contains(r.Filters, pb.WatchCreateRequest_NOPUT),
		noDelete: slices.Contains(r.Filters, pb.WatchCreateRequest_NODELETE),
	}
	if w.from == 0 {
		w.from = now + 1
	}
	if len(w.key) == 0 {
		w.key = []byte{0}
	}
	switch {
	case len(r.RangeEnd) == 1 && r.RangeEnd[0] == 0:
		w.end = []byte{}
	case len(r.RangeEnd) > 0:
		w.end = r.RangeEnd
	}
	return w
}

// refuse gives a new watcher its id, or says why it cannot be.
func (st *stream) refuse(w *watcher, r *pb.WatchCreateRequest) (reason string) {
	switch {
	case r.StartRevision < 0:
		return rpctypes.ErrCompacted.Error()
	case len(w.end) > 0 && bytes.Compare(w.key, w.end) >= 0:
		return reasonEmptyRange
	case len(st.watchers) >= maxStreamWatchers:
		return reasonTooMany
	case w.id != 0 && st.watchers[w.id] != nil:
		return reasonDuplicateID
	case w.id != 0:
		return ""
	}
	for st.watchers[st.nextID] != nil {
		st.nextID++
	}
	w.id = st.nextID
	st.nextID++
	return ""
}

// compacted ends a watcher whose next revision has been forgotten. As in etcd, the compact revision is
// all that it says: no reason, and no revision of the store.
func (st *stream) compacted(w *watcher, compacted int64) error {
	return st.send(&pb.WatchResponse{
		Header: st.header(0), WatchId: w.id, Canceled: true, CompactRevision: compacted,
	})
}

func (st *stream) arm() {
	every := st.o.ProgressInterval
	// Spread, so that the watchers of a restarted client are not all told at once.
	every += every * tenth(st.o.Env.Rand().Uint64()) / 1024
	st.progress = st.o.Env.Clock().AfterFunc(every, func() {
		st.due.Store(true)
		st.poke()
	})
}

// tenth scales a random number to a tenth of 1024.
func tenth(random uint64) time.Duration { return time.Duration(random % 103) }

// tellProgress sends what is due once all events are sent. The revision of a notification promises
// that every event up to it was sent before on this stream; so it is never 0, and a watcher that is
// behind gets none.
func (st *stream) tellProgress() error {
	if st.due.CompareAndSwap(true, false) {
		st.arm()
		for _, id := range slices.Sorted(maps.Keys(st.watchers)) {
			if err := st.notify(st.watchers[id]); err != nil {
				return err
			}
		}
	}
	if !st.asked {
		return nil
	}
	revision, ok := st.hub.synced(maps.Values(st.watchers))
	if len(st.watchers) == 0 {
		revision = st.localRevision(st.ctx)
	}
	if !ok || revision == 0 {
		return nil // asked again when the last of them is synced
	}
	st.asked = false
	return st.send(&pb.WatchResponse{Header: st.header(revision), WatchId: invalidWatchID})
}

// notify tells one watcher that nothing happened, unless something did.
func (st *stream) notify(w *watcher) error {
	told := w.told
	w.told = false
	if !w.progress || told {
		return nil
	}
	revision, ok := st.hub.synced(slices.Values([]*watcher{w}))
	if !ok {
		return nil
	}
	return st.send(&pb.WatchResponse{Header: st.header(revision), WatchId: w.id})
}
