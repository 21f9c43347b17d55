package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestKilledLeaderLosesNothing kills the leader ten times with -9, twice within a second of a restart,
// while two kinds of clients write real files. Nothing acknowledged is lost, doubled or reordered, on
// any replica.
func TestKilledLeaderLosesNothing(t *testing.T) {
	files := corpus(t)
	c := startTrio(t, 3)
	watch := startWatcher(t.Context(), c.newClient())
	digests := newDigests()
	w := startCrowd(t, c, files)
	kills, quick := 10, 0
	if *long {
		kills = 50
	}
	for kill := range kills {
		began := time.Now()
		atOnce := kill%4 == 3 // the next kill follows a restart at once
		victim := c.awaitLeader(10 * time.Second)
		victim.kill(t)
		killed := time.Now()
		acknowledged(t, w, killed, 1, "acknowledge a write after the leader was killed")
		t.Logf("kill %d: replica %s; found after %v, next write after %v", kill+1, victim.name, killed.Sub(began), time.Since(killed))
		next := c.awaitLeader(10 * time.Second)
		victim.start(t)
		if atOnce && kill+1 < kills {
			next.kill(t)
			if d := time.Since(victim.started); d < time.Second {
				quick++
			}
			acknowledged(t, w, time.Now(), 1, "acknowledge a write after two leaders were killed")
			next.start(t)
		}
		digests.sample(t, c)
		acknowledged(t, w, time.Now(), 20, "go on")
	}
	within(t, 2*time.Minute, "write the whole corpus", func(context.Context) error {
		if w.rounds() < 1 {
			return fmt.Errorf("%d of %d files", w.next.Load(), len(files))
		}
		return nil
	})
	w.end()
	if quick < 2 {
		t.Errorf("%d leaders were killed within a second of a restart, want 2", quick)
	}
	ok, failed, reads := w.counts()
	t.Logf("%d files, %d rounds; %d writes acknowledged, %d requests failed, %d reads", len(files), w.rounds(), ok, failed, reads)
	checkAll(t, c, w, watch)
	digests.equal(t, c)
}

func acknowledged(t *testing.T, w *crowd, since time.Time, n int, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := w.await(ctx, since, n); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// checkAll holds every replica, alone, to the ledger.
func checkAll(t *testing.T, c *trio, w *crowd, watch *watcher) {
	t.Helper()
	select {
	case err := <-w.wrong:
		t.Error(err)
	default:
	}
	if err := w.checkOrder(); err != nil {
		t.Error(err)
	}
	revision := c.converge(20 * time.Second)
	for _, r := range c.replicas {
		client := c.newClient(r)
		kvs, at := everything(t, client, prefix)
		if at != revision {
			t.Errorf("replica %s is at revision %d, want %d", r.name, at, revision)
		}
		if err := w.checkStored(kvs); err != nil {
			t.Errorf("replica %s: %v", r.name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		again := startWatcher(ctx, client)
		for _, w := range []*watcher{watch, again} {
			if err := w.await(ctx, revision); err != nil {
				t.Errorf("replica %s: %v", r.name, err)
			} else if err := w.check(kvs, revision); err != nil {
				t.Errorf("replica %s: %v", r.name, err)
			}
		}
		cancel()
	}
}

// converge waits until all replicas, asked alone, are at one revision with one hash, and returns it.
func (c *trio) converge(d time.Duration) (revision int64) {
	c.t.Helper()
	within(c.t, d, "converge", func(ctx context.Context) error {
		var first *pb.HashKVResponse
		for _, r := range c.replicas {
			h, err := r.hash(ctx)
			switch {
			case err != nil:
				return fmt.Errorf("replica %s: %w", r.name, err)
			case first == nil:
				first = h
			case h.Header.Revision != first.Header.Revision:
				return fmt.Errorf("replica %s is at revision %d, the first at %d", r.name, h.Header.Revision, first.Header.Revision)
			case h.Hash != first.Hash || h.CompactRevision != first.CompactRevision:
				c.t.Fatalf("replica %s has hash %x at revision %d, the first %x", r.name, h.Hash, h.Header.Revision, first.Hash)
			}
		}
		revision = first.Header.Revision
		return nil
	})
	return revision
}

func (r *replica) hash(ctx context.Context) (*pb.HashKVResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := plainConn(r.client)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return pb.NewMaintenanceClient(conn).HashKV(ctx, &pb.HashKVRequest{})
}

// digests are what the replicas reported at marks, by index.
type digests map[uint64]string

func newDigests() digests { return digests{} }

// sample asks each replica that answers, and compares with what was said of the same index before.
func (d digests) sample(t testing.TB, c *trio) (newest map[uint64]int) {
	t.Helper()
	newest = map[uint64]int{}
	for _, r := range c.replicas {
		s, err := r.report(t.Context())
		if err != nil {
			continue
		}
		for _, g := range s.Groups {
			if g.Group != 1 || g.DigestIndex == 0 {
				continue
			}
			newest[g.DigestIndex]++
			if known, ok := d[g.DigestIndex]; ok && known != g.Digest {
				t.Errorf("replica %s has digest %s at index %d, another %s", r.name, g.Digest, g.DigestIndex, known)
			}
			d[g.DigestIndex] = g.Digest
		}
	}
	return newest
}

// equal waits until all replicas have reported a digest at one index.
func (d digests) equal(t testing.TB, c *trio) {
	t.Helper()
	within(t, 20*time.Second, "report digests at one index", func(context.Context) error {
		newest := d.sample(t, c)
		for _, n := range newest {
			if n == len(c.replicas) {
				return nil
			}
		}
		return errors.New(fmt.Sprint("replicas by index of their digest: ", newest))
	})
}
