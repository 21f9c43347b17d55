package e2e

import (
	"context"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestNoQuorum kills two of three: what needs a majority fails within bounds with a code that makes
// clients try elsewhere, a serializable read is answered, and all comes back with one more replica.
func TestNoQuorum(t *testing.T) {
	t.Parallel()
	c := startTrio(t, 3)
	last := c.replicas[0]
	client := c.newClient()
	if _, err := client.Put(t.Context(), "key", "value"); err != nil {
		t.Fatal(err)
	}
	c.converge(10 * time.Second)
	for _, r := range c.others(last) {
		r.kill(t)
	}
	kv := pb.NewKVClient(dial(t, last.client))
	for name, call := range map[string]func(context.Context) error{
		"put": func(ctx context.Context) error { _, err := kv.Put(ctx, &pb.PutRequest{Key: key("key")}); return err },
		"linearizable read": func(ctx context.Context) error {
			_, err := kv.Range(ctx, &pb.RangeRequest{Key: key("key")})
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		began := time.Now()
		err := call(ctx)
		cancel()
		if took := time.Since(began); status.Code(err) != codes.Unavailable || took > 10*time.Second {
			t.Errorf("%s without a majority: %v after %v, want Unavailable within 10 s", name, err, took)
		} else {
			t.Logf("%s without a majority: %v after %v", name, err, took)
		}
	}
	r, err := kv.Range(t.Context(), &pb.RangeRequest{Key: key("key"), Serializable: true})
	if err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Value) != "value" {
		t.Errorf("serializable read without a majority: %v, %v", r, err)
	}
	c.replicas[1].start(t)
	c.serving(10 * time.Second)
}
