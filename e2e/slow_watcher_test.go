package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	stalledWatchers = 20
	stalledPuts     = 5000
	stalledValue    = 4 << 10
	stall           = 30 * time.Second
	maxStalledBytes = 256 << 20 // the store itself takes some 40 MiB of it; all watchers' events would take 400 more
)

// TestStalledWatcher lets watchers read nothing for a while under 5,000 puts: then they get all events,
// in order, and meanwhile the replica did not keep them for each.
func TestStalledWatcher(t *testing.T) {
	t.Parallel()
	c := startTrio(t, 1)
	r := c.replicas[0]
	client := c.newClient()
	ctx, cancel := context.WithTimeout(t.Context(), stall+2*time.Minute)
	defer cancel()
	var streams []pb.Watch_WatchClient
	for range stalledWatchers {
		s, err := pb.NewWatchClient(dial(t, r.client)).Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		create := &pb.WatchCreateRequest{Key: key("stalled/"), RangeEnd: key("stalled0"), PrevKv: true}
		if err := s.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			t.Fatal(err)
		}
		if m, err := s.Recv(); err != nil || !m.Created {
			t.Fatalf("create watch: %v, %v", m, err)
		}
		streams = append(streams, s)
	}
	before, most, began := r.memory(t), int64(0), time.Now()
	var first int64
	value := string(make([]byte, stalledValue))
	for i := range stalledPuts {
		answer, err := client.Put(ctx, fmt.Sprintf("stalled/%d", i%100), value)
		if err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = answer.Header.Revision
		}
		if i%500 == 0 {
			most = max(most, r.memory(t))
		}
	}
	pass(ctx, stall-time.Since(began)) // the wait is the fault
	most = max(most, r.memory(t))
	t.Logf("stalled for %v; memory %d MiB before, %d MiB at most", time.Since(began), before>>20, most>>20)
	for i, s := range streams {
		next := first
		for next < first+stalledPuts {
			m, err := s.Recv()
			if err != nil || m.Canceled {
				t.Fatalf("watcher %d, at revision %d: %v, %v", i, next, m, err)
			}
			for _, e := range m.Events {
				if e.Kv.ModRevision != next {
					t.Fatalf("watcher %d: event of revision %d comes where %d is next", i, e.Kv.ModRevision, next)
				}
				next++
			}
		}
	}
	most = max(most, r.memory(t))
	if most > before+maxStalledBytes {
		t.Errorf("memory grew from %d to %d MiB", before>>20, most>>20)
	}
}
