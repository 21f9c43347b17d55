package etcdapi

import (
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// A page is what one watcher is sent at once: whole revisions, up to a bound in events and bytes that
// only its last revision may pass. A page of a catch-up also ends after so many changes of others.
const (
	maxPageEvents = 1000
	maxPageBytes  = 1 << 20
	maxPageScan   = 100_000
)

// page sends w the next page of what it has not been told.
func (st *stream) page(w *watcher) error {
	if st.watchers[w.id] != w {
		return nil // canceled while it was queued
	}
	changes, from, to, at, ok := st.hub.recent(w)
	var events []*mvccpb.Event
	through := to
	if ok {
		events, through = w.pick(changes, to)
	} else {
		var compacted int64
		var err error
		events, through, compacted, err = st.catchUp(w, from, to, at)
		switch {
		case errors.Is(err, kv.ErrCompacted):
			st.drop(w)
			return st.compacted(w, compacted)
		case errors.Is(err, lockstep.ErrClosed) || st.ctx.Err() != nil:
			return st.answer(st.ctx, err)
		case err != nil:
			st.o.Env.Clock().AfterFunc(retryAfter, func() { st.hub.again(w) })
			return nil
		}
	}
	if len(events) > 0 {
		w.told = true
		if err := st.sendEvents(w, through, events); err != nil {
			return err
		}
	}
	st.hub.done(w, through)
	return nil
}

// pick takes a page from the window.
func (w *watcher) pick(changes []*change, to int64) (events []*mvccpb.Event, through int64) {
	size := 0
	for _, c := range changes {
		if len(events) >= maxPageEvents || size >= maxPageBytes {
			return events, c.revision - 1
		}
		list := c.events
		if w.prev {
			list = c.with
		}
		for _, e := range list {
			if w.holds(e.Kv.Key) && w.wants(e) {
				events = append(events, e)
				size += eventBytes(e)
			}
		}
	}
	return events, to
}

// catchUp takes a page from a View; compacted is its compact revision.
func (st *stream) catchUp(w *watcher, from, to int64, at machine.Index) (events []*mvccpb.Event, through, compacted int64, err error) {
	pinned, _, err := st.o.Group.View(st.ctx, lockstep.ReadOptions{Level: lockstep.AtLeast, After: at})
	if err != nil {
		return nil, 0, 0, err
	}
	defer pinned.Close()
	v := pinned.(*kv.View)
	changes, err := v.Events(from-1, min(to, v.Revision()))
	if err != nil {
		return nil, 0, v.CompactRevision(), err
	}
	size, scanned, last := 0, 0, from-1
	for e := range changes {
		if e.KV.ModRevision != last && (len(events) >= maxPageEvents || size >= maxPageBytes || scanned >= maxPageScan) {
			return events, last, 0, nil
		}
		last = e.KV.ModRevision
		scanned++
		if !w.holds(e.KV.Key) || e.Delete && w.noDelete || !e.Delete && w.noPut {
			continue
		}
		m := message(&e)
		if w.prev {
			m.PrevKv = former(&e)
		}
		events = append(events, m)
		size += eventBytes(m)
	}
	return events, min(to, v.Revision()), 0, nil
}

// sendEvents sends a page, in fragments if the watcher takes them and it is long.
func (st *stream) sendEvents(w *watcher, revision int64, events []*mvccpb.Event) error {
	whole := &pb.WatchResponse{Header: st.header(revision), WatchId: w.id, Events: events}
	most := st.o.MaxRequestBytes + requestOverheadBytes
	if !w.fragment || len(events) < 2 || proto.Size(whole) < most {
		return st.send(whole)
	}
	for len(events) > 0 {
		n, size := 0, 0
		for n < len(events) && (n == 0 || size+proto.Size(events[n]) < most) {
			size += proto.Size(events[n]) + 8
			n++
		}
		part := &pb.WatchResponse{Header: st.header(revision), WatchId: w.id, Events: events[:n], Fragment: n < len(events)}
		if err := st.send(part); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}
