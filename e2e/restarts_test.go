package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestManyRestarts kills one replica again and again after a put: each time it is back within three
// seconds with all puts, however often it has been started before.
func TestManyRestarts(t *testing.T) {
	restarts := 8
	if *long {
		restarts = 40
	}
	c := startTrio(t, 1)
	r := c.replicas[0]
	for i := range restarts {
		client := c.newClient()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := client.Put(ctx, fmt.Sprintf("restart/%02d", i), "value")
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		r.kill(t)
		r.start(t)
		t.Logf("start %d: first put after %v", i+2, c.serving(3*time.Second))
		kvs, _ := everything(t, client, "restart/")
		if len(kvs) != i+1 {
			t.Fatalf("%d puts are there after start %d, want %d", len(kvs), i+2, i+1)
		}
		_ = client.Close()
	}
}
