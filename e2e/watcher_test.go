package e2e

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A watcher gathers all events from revision 1 on. etcd's client goes on at another server, after the
// last revision that it saw, when its own dies.
type watcher struct {
	mu       sync.Mutex
	events   []*clientv3.Event
	revision int64
	err      error
	changed  chan struct{}
}

func startWatcher(ctx context.Context, client *clientv3.Client) *watcher {
	w := &watcher{changed: make(chan struct{})}
	answers := client.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(1))
	go func() {
		for r := range answers {
			w.mu.Lock()
			w.events = append(w.events, r.Events...)
			if n := len(w.events); n > 0 {
				w.revision = w.events[n-1].Kv.ModRevision
			}
			if err := r.Err(); err != nil {
				w.err = err
			}
			close(w.changed)
			w.changed = make(chan struct{})
			w.mu.Unlock()
		}
	}()
	return w
}

// await waits until the watcher has seen revision.
func (w *watcher) await(ctx context.Context, revision int64) error {
	for {
		w.mu.Lock()
		at, err, changed := w.revision, w.err, w.changed
		w.mu.Unlock()
		switch {
		case err != nil:
			return fmt.Errorf("watch ended at revision %d: %w", at, err)
		case at >= revision:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("watcher is at revision %d of %d: %w", at, revision, ctx.Err())
		}
	}
}

// check compares the events with the store, in which each revision made one key: there is one event for
// each revision from 2 on, in order, with the key that the store has.
func (w *watcher) check(kvs []*mvccpb.KeyValue, revision int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	made := make(map[int64]*mvccpb.KeyValue, len(kvs))
	for _, k := range kvs {
		made[k.ModRevision] = k
	}
	next := int64(2)
	for _, e := range w.events {
		want := made[next]
		switch {
		case e.Kv.ModRevision != next:
			return fmt.Errorf("event of revision %d comes where %d is next", e.Kv.ModRevision, next)
		case want == nil:
			return fmt.Errorf("event of revision %d, key %q: the store has nothing of it", next, e.Kv.Key)
		case e.Type != clientv3.EventTypePut || !bytes.Equal(e.Kv.Key, want.Key) || !bytes.Equal(e.Kv.Value, want.Value):
			return fmt.Errorf("event of revision %d is %v of %q, the store has %q", next, e.Type, e.Kv.Key, want.Key)
		}
		next++
	}
	if next != revision+1 {
		return fmt.Errorf("the last event is of revision %d, the store is at %d", next-1, revision)
	}
	return nil
}
