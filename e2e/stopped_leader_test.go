package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestStoppedLeader stops the leader's process: another leads within three seconds. Reads that reach the
// old leader meanwhile wait in its sockets; when it goes on, it must not answer them from its old term,
// in which it saw nothing of the new leader's writes.
func TestStoppedLeader(t *testing.T) {
	c := startTrio(t, 3)
	for round := range 3 {
		old := c.awaitLeader(10 * time.Second)
		status, err := old.status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kv := pb.NewKVClient(dial(t, old.client))
		key := []byte("key")
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: key, Value: fmt.Append(nil, "old ", round)}); err != nil {
			t.Fatal(err)
		}
		old.pause(t)
		value := fmt.Append(nil, "new ", round)
		var written *pb.PutResponse
		client := c.newClient(c.others(old)...)
		took := within(t, 3*time.Second, "put at another after the leader was stopped", func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			r, err := client.Put(ctx, string(key), string(value))
			written = (*pb.PutResponse)(r)
			return err
		})
		t.Logf("round %d: replica %s stopped in term %d; put at another after %v", round, old.name, status.RaftTerm, took)
		answers := make(chan answer)
		const reads = 20
		for range reads { // they begin after the new write was acknowledged
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				r, err := kv.Range(ctx, &pb.RangeRequest{Key: key})
				answers <- answer{r, err}
			}()
		}
		pass(t.Context(), 100*time.Millisecond) // so that they are in its sockets when it goes on
		old.resume(t)
		resumed := time.Now()
		refused := 0
		for range reads {
			a := <-answers
			checkFresh(t, a, status.RaftTerm, written, value)
			if a.err != nil {
				refused++
			}
		}
		t.Logf("replica %s went on: %d reads answered, %d refused, within %v", old.name, reads-refused, refused, time.Since(resumed))
		c.serving(10 * time.Second)
	}
	c.converge(10 * time.Second)
}

func checkFresh(t *testing.T, a answer, old uint64, written *pb.PutResponse, value []byte) {
	t.Helper()
	if a.err != nil {
		return // it may refuse
	}
	r := a.message.(*pb.RangeResponse)
	switch {
	case r.Header.Revision < written.Header.Revision:
		t.Errorf("the stopped leader answers a read at revision %d; %d was acknowledged before the read began", r.Header.Revision, written.Header.Revision)
	case r.Header.RaftTerm <= old:
		t.Errorf("the stopped leader answers a read in term %d, it was stopped in %d", r.Header.RaftTerm, old)
	case len(r.Kvs) != 1 || string(r.Kvs[0].Value) != string(value):
		t.Errorf("the stopped leader answers %v, want %q", r.Kvs, value)
	}
}

// TestKillAll kills every replica at one moment: after the restart all that was acknowledged is back,
// and the first put is done within three seconds.
func TestKillAll(t *testing.T) {
	c := startTrio(t, 3)
	watch := startWatcher(t.Context(), c.newClient())
	w := startCrowd(t, c, corpus(t))
	for range 2 {
		acknowledged(t, w, time.Now(), 100, "write before all are killed")
		for _, r := range c.replicas {
			if err := r.process.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range c.replicas {
			<-r.process.ended
		}
		for _, r := range c.replicas {
			r.start(t)
		}
		t.Logf("first put %v after the start", c.serving(3*time.Second))
	}
	acknowledged(t, w, time.Now(), 100, "write after all were killed")
	w.end()
	ok, failed, reads := w.counts()
	t.Logf("%d writes acknowledged, %d requests failed, %d reads", ok, failed, reads)
	checkAll(t, c, w, watch)
}
