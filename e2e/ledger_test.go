package e2e

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// An entry is one request that a client made, and what it was told.
type entry struct {
	who        string
	key        string
	value      []byte
	write      bool
	begin, end time.Time
	revision   int64 // of the answer's header
	err        error
}

// A ledger is what all clients did. Each key is written once, so that a repeated write shows.
type ledger struct {
	mu      sync.Mutex
	entries []entry
	changed chan struct{} // closed and replaced with each entry
}

func newLedger() *ledger { return &ledger{changed: make(chan struct{})} }

// add notes a finished request.
func (l *ledger) add(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
	close(l.changed)
	l.changed = make(chan struct{})
}

// await waits until n writes that began after since were acknowledged.
func (l *ledger) await(ctx context.Context, since time.Time, n int) error {
	for {
		l.mu.Lock()
		acknowledged, changed := 0, l.changed
		for _, e := range slices.Backward(l.entries) {
			if e.end.Before(since) {
				break
			}
			if e.write && e.err == nil && e.begin.After(since) {
				acknowledged++
			}
		}
		l.mu.Unlock()
		if acknowledged >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d writes were acknowledged: %w", acknowledged, n, ctx.Err())
		}
	}
}

// any picks an acknowledged write; ok is false while there is none.
func (l *ledger) any(pick func(n int) int) (e entry, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 20 {
		if len(l.entries) == 0 {
			break
		}
		if e = l.entries[pick(len(l.entries))]; e.write && e.err == nil {
			return e, true
		}
	}
	return e, false
}

// writes is every write by its key.
func (l *ledger) writes() map[string]entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]entry, len(l.entries))
	for _, e := range l.entries {
		if e.write {
			all[e.key] = e
		}
	}
	return all
}

// counts tells how the writes ended.
func (l *ledger) counts() (acknowledged, failed, reads int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		switch {
		case e.err != nil:
			failed++
		case e.write:
			acknowledged++
		default:
			reads++
		}
	}
	return acknowledged, failed, reads
}

// checkOrder finds two answers whose revisions go back in real time: an answer to a request that began
// after another had ended must not be older.
func (l *ledger) checkOrder() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var done []entry
	for _, e := range l.entries {
		if e.err == nil {
			done = append(done, e)
		}
	}
	byEnd := slices.Clone(done)
	slices.SortFunc(byEnd, func(a, b entry) int { return a.end.Compare(b.end) })
	slices.SortFunc(done, func(a, b entry) int { return a.begin.Compare(b.begin) })
	var newest entry
	next := 0
	for _, e := range done {
		for ; next < len(byEnd) && byEnd[next].end.Before(e.begin); next++ {
			if byEnd[next].revision > newest.revision {
				newest = byEnd[next]
			}
		}
		if e.revision < newest.revision {
			return fmt.Errorf("revisions go back: %s of %s (write %t) ended at %v with revision %d; %s of %s (write %t) began at %v and has %d",
				newest.who, newest.key, newest.write, newest.end, newest.revision, e.who, e.key, e.write, e.begin, e.revision)
		}
	}
	return nil
}

// checkStored compares what a store holds below prefix with the ledger: each acknowledged write is
// there as it was written and when its answer says, each other one is there or not, once at most, and
// there is nothing else.
func (l *ledger) checkStored(kvs []*mvccpb.KeyValue) error {
	writes := l.writes()
	for _, k := range kvs {
		e, ok := writes[string(k.Key)]
		switch {
		case !ok:
			return fmt.Errorf("key %q was never written", k.Key)
		case !bytes.Equal(k.Value, e.value):
			return fmt.Errorf("key %q holds %d bytes that differ from the %d written", k.Key, len(k.Value), len(e.value))
		case k.Version != 1 || k.CreateRevision != k.ModRevision:
			return fmt.Errorf("key %q was sent once and has version %d, created at %d, modified at %d", k.Key, k.Version, k.CreateRevision, k.ModRevision)
		case e.err == nil && k.ModRevision != e.revision:
			return fmt.Errorf("key %q is of revision %d, its writer was told %d", k.Key, k.ModRevision, e.revision)
		}
		delete(writes, string(k.Key))
	}
	for key, e := range writes {
		if e.err == nil {
			return fmt.Errorf("key %q is lost: %s was told revision %d at %v", key, e.who, e.revision, e.end)
		}
	}
	return nil
}

// everything reads all keys below prefix, in pages, from the replica of client alone.
func everything(t testing.TB, client *clientv3.Client, prefix string) (kvs []*mvccpb.KeyValue, revision int64) {
	t.Helper()
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		r, err := client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithSerializable(), clientv3.WithLimit(500), clientv3.WithRev(revision))
		cancel()
		if err != nil {
			t.Fatalf("read %q: %v", from, err)
		}
		if revision == 0 {
			revision = r.Header.Revision
		}
		kvs = append(kvs, r.Kvs...)
		if !r.More {
			return kvs, revision
		}
		from = string(kvs[len(kvs)-1].Key) + "\x00"
	}
}
