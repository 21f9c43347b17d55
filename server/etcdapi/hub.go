package etcdapi

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// hub reads each new revision of the group once, from a View, and tells the watchers that it
// concerns. It keeps the most recent revisions in a window of bounded size. A watcher has no queue:
// it has the revision from which it is to be told, and takes the rest from the window, or, if it was
// too slow for that, from a View. So a watcher that nobody reads costs as much as any other.
//
//	        a change concerns it                 all sent, nothing newer
//	synced ---------------------> behind -----------------------------> synced
//	                              behind, and compacted --> canceled
//
// It does nothing while there are no watchers.
type hub struct {
	group       Group
	windowBytes int
	wake        chan struct{} // there is a first watcher

	mu       sync.Mutex
	revision int64         // all watchers are synced up to it, or behind
	index    machine.Index // a View at it has revision
	window   []*change     // one per revision, without a gap; the last is revision
	bytes    int           // in window
	dropped  int           // places of the window's array that are no longer used
	prevs    int           // watchers that want previous values
	watchers int
	keys     map[string]map[*watcher]struct{} // of one key
	spans    map[*watcher]struct{}            // of several
}

// change is one revision as it is sent. It is never changed once it is in the window.
type change struct {
	revision int64
	bytes    int
	prevs    bool // with holds the previous values
	events   []*mvccpb.Event
	with     []*mvccpb.Event // the same, with PrevKv
}

// watcher is one subscription. Its first block never changes; the second is guarded by hub.mu; the
// third belongs to the stream's task.
type watcher struct {
	id              int64
	key, end        []byte // end nil: key alone; empty: all from key on
	noPut, noDelete bool
	prev, fragment  bool
	progress        bool
	compacted       int64 // revision, when it was created
	stream          *stream

	from   int64 // first revision that it has not been told
	behind bool  // it is in the stream's ready list

	told bool // something since the last progress notification was due
}

func newHub(g Group, windowBytes int) *hub {
	return &hub{
		group: g, windowBytes: windowBytes, wake: make(chan struct{}, 1),
		keys: map[string]map[*watcher]struct{}{}, spans: map[*watcher]struct{}{},
	}
}

// retryAfter is how long the hub and the streams wait before they ask a group again that could not
// answer.
const retryAfter = 50 * time.Millisecond

// run is the hub's task, until ctx ends.
func (h *hub) run(ctx context.Context, e env.Env, log *slog.Logger) {
	pause := e.NewWaiter()
	for ctx.Err() == nil {
		h.mu.Lock()
		idle, after := h.watchers == 0, h.index
		h.mu.Unlock()
		if idle {
			select {
			case <-h.wake:
			case <-ctx.Done():
			}
			continue
		}
		if err := h.follow(ctx, after); err != nil && ctx.Err() == nil {
			log.Debug("watch hub waits", "err", err)
			_ = pause.Wait(ctx, e.Clock().Now()+retryAfter) // a timeout is what it is for
		}
	}
}

// follow waits for the next index and hands out what it brought.
func (h *hub) follow(ctx context.Context, after machine.Index) error {
	index, err := h.group.Wait(ctx, after)
	if err != nil {
		return err
	}
	pinned, at, err := h.group.View(ctx, lockstep.ReadOptions{Level: lockstep.AtLeast, After: index})
	if err != nil {
		return err
	}
	defer pinned.Close()
	v := pinned.(*kv.View)
	h.mu.Lock()
	from, prevs := h.revision, h.prevs > 0
	h.mu.Unlock()
	if v.Revision() <= from {
		h.mu.Lock()
		h.index = max(h.index, at)
		h.mu.Unlock()
		return nil
	}
	events, err := v.Recent(from)
	if errors.Is(err, kv.ErrCompacted) {
		h.skip(v.Revision(), at)
		return nil
	}
	if err != nil {
		return err
	}
	var changes []*change
	bytes := 0
	for e := range events {
		if n := len(changes); n == 0 || changes[n-1].revision != e.KV.ModRevision {
			if bytes > h.windowBytes {
				h.skip(v.Revision(), at) // as after a long lag: the window could not hold them
				return nil
			}
			changes = append(changes, &change{revision: e.KV.ModRevision, prevs: prevs})
		}
		bytes += changes[len(changes)-1].add(&e)
	}
	h.hand(changes, v.Revision(), at)
	return nil
}

// skip makes every watcher look for itself: the changes between are no longer to be had in one go.
func (h *hub) skip(revision int64, at machine.Index) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := h.revision + 1
	h.window, h.bytes, h.dropped = nil, 0, 0
	h.revision, h.index = revision, max(h.index, at)
	for w := range h.spans {
		h.look(w, from)
	}
	for _, ws := range h.keys {
		for w := range ws {
			h.look(w, from)
		}
	}
}

// look makes a watcher search the revisions from one on, unless it begins above all of them.
func (h *hub) look(w *watcher, from int64) {
	if from = max(from, w.from); from <= h.revision {
		h.mark(w, from)
	}
}

// add appends an event of the machine, and gives the bytes that it takes.
func (c *change) add(e *kv.Event) int {
	m, before := message(e), c.bytes
	c.events = append(c.events, m)
	c.bytes += eventBytes(m)
	if c.prevs {
		p := &mvccpb.Event{Type: m.Type, Kv: m.Kv, PrevKv: former(e)}
		c.bytes += eventBytes(p)
		c.with = append(c.with, p)
	}
	return c.bytes - before
}

// former is the previous value of an event; nil for a key that is created, also when the same
// transaction deleted it before.
func former(e *kv.Event) *mvccpb.KeyValue {
	if !e.Delete && e.KV.CreateRevision == e.KV.ModRevision {
		return nil
	}
	return keyValue(e.Prev())
}

// message is an event in etcd's form.
func message(e *kv.Event) *mvccpb.Event {
	if e.Delete {
		return &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: e.KV.Key, ModRevision: e.KV.ModRevision}}
	}
	return &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: keyValue(e.KV)}
}

// eventBytes is about what an event takes in memory.
func eventBytes(e *mvccpb.Event) int {
	n := 192 + len(e.Kv.Key) + len(e.Kv.Value)
	if e.PrevKv != nil {
		n += 128 + len(e.PrevKv.Key) + len(e.PrevKv.Value)
	}
	return n
}

// hand puts changes into the window and marks the watchers that they concern.
func (h *hub) hand(changes []*change, revision int64, at machine.Index) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		if c.revision <= h.revision {
			continue // a first watcher came meanwhile, and brought the hub further
		}
		h.window = append(h.window, c)
		h.bytes += c.bytes
		h.revision = c.revision
		for _, e := range c.events {
			h.tell(e, c.revision)
		}
	}
	h.revision, h.index = max(h.revision, revision), max(h.index, at)
	h.trim()
}

// trim keeps the window within its bound. What a stream has taken from it stays valid.
func (h *hub) trim() {
	n := 0
	for n < len(h.window)-1 && h.bytes > h.windowBytes {
		h.bytes -= h.window[n].bytes
		n++
	}
	h.window, h.dropped = h.window[n:], h.dropped+n
	if h.dropped > len(h.window) {
		h.window, h.dropped = slices.Clone(h.window), 0 // else the array would keep what was dropped
	}
}

func (h *hub) tell(e *mvccpb.Event, revision int64) {
	for w := range h.keys[string(e.Kv.Key)] {
		if w.wants(e) {
			h.mark(w, revision)
		}
	}
	for w := range h.spans {
		if w.holds(e.Kv.Key) && w.wants(e) {
			h.mark(w, revision)
		}
	}
}

// mark makes a watcher behind from a revision on, unless it begins later or is behind already.
func (h *hub) mark(w *watcher, revision int64) {
	if w.behind || revision < w.from {
		return
	}
	w.behind, w.from = true, revision
	h.queue(w)
}

func (h *hub) queue(w *watcher) {
	w.stream.ready = append(w.stream.ready, w)
	w.stream.poke()
}

// again queues a watcher that is still behind, after a View could not be had.
func (h *hub) again(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue(w)
}

// next takes the watcher that has waited longest for its stream's task; nil if there is none.
func (h *hub) next(st *stream) *watcher {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(st.ready) == 0 {
		st.ready = nil
		return nil
	}
	w := st.ready[0]
	st.ready[0] = nil
	st.ready = st.ready[1:]
	return w
}

// holds reports whether the key is in the watcher's span.
func (w *watcher) holds(key []byte) bool {
	if w.end == nil {
		return bytes.Equal(w.key, key)
	}
	return bytes.Compare(key, w.key) >= 0 && (len(w.end) == 0 || bytes.Compare(key, w.end) < 0)
}

// wants reports whether the watcher's filters let an event of its span through.
func (w *watcher) wants(e *mvccpb.Event) bool {
	if e.Type == mvccpb.Event_DELETE {
		return !w.noDelete
	}
	return !w.noPut
}

// join makes w a watcher from w.from on; now is a revision that this host has reached.
func (h *hub) join(w *watcher, now int64, at machine.Index) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == 0 && now > h.revision {
		h.revision, h.index = now, max(h.index, at)
		h.window, h.bytes, h.dropped = nil, 0, 0
	}
	h.watchers++
	if w.prev {
		h.prevs++
	}
	if w.end == nil {
		if h.keys[string(w.key)] == nil {
			h.keys[string(w.key)] = map[*watcher]struct{}{}
		}
		h.keys[string(w.key)][w] = struct{}{}
	} else {
		h.spans[w] = struct{}{}
	}
	h.look(w, w.from)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// leave forgets a watcher.
func (h *hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers--
	if w.prev {
		h.prevs--
	}
	if w.end == nil {
		delete(h.keys[string(w.key)], w)
		if len(h.keys[string(w.key)]) == 0 {
			delete(h.keys, string(w.key))
		}
	} else {
		delete(h.spans, w)
	}
	if h.watchers == 0 {
		h.window, h.bytes, h.dropped = nil, 0, 0
	}
}

// recent gives the changes from w.from up to the newest, if the window still has them all, and the
// newest revision with an index at which a View has it.
func (h *hub) recent(w *watcher) (changes []*change, from, to int64, at machine.Index, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from, to, at = w.from, h.revision, h.index
	if from > to {
		return nil, from, to, at, true
	}
	if len(h.window) == 0 || h.window[0].revision > from {
		return nil, from, to, at, false
	}
	changes = h.window[from-h.window[0].revision:]
	// The window remembers previous values that a compaction has taken from the store, and from etcd.
	if w.prev && (from <= w.compacted || slices.ContainsFunc(changes, func(c *change) bool { return !c.prevs })) {
		return nil, from, to, at, false
	}
	return changes, from, to, at, true
}

// done notes that w was told everything through a revision. If there is more, its stream is told.
func (h *hub) done(w *watcher, through int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.from = max(w.from, through+1)
	w.behind = w.from <= h.revision
	if w.behind {
		h.queue(w)
	}
}

// synced gives the revision up to which all these watchers were told everything.
func (h *hub) synced(ws func(yield func(*watcher) bool)) (revision int64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ok = true
	for w := range ws {
		ok = ok && !w.behind
	}
	return h.revision, ok
}
