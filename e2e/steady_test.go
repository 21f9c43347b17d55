package e2e

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// compactEvery is after how many puts of one client the history is forgotten: memory would hold half an hour of it.
const compactEvery = 2048

// TestFullLoadElectsNobody has as many clients as fill the machine put for a while, through all replicas, and sees
// that whoever led leads on in the same term, and that no put fails: no load is taken for the loss of a leader.
func TestFullLoadElectsNobody(t *testing.T) {
	d, clients := 10*time.Second, 48
	if *long {
		d = 30 * time.Minute
	}
	c := startTrio(t, 3)
	leader, term := c.awaitLeader(healed), c.term()
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	var puts, failed atomic.Int64
	var longest atomic.Int64
	var all sync.WaitGroup
	for i := range clients {
		client := c.newClient(c.replicas[i%len(c.replicas)])
		all.Go(func() {
			value := string(make([]byte, 128))
			for n := 0; ctx.Err() == nil; n++ {
				if i == 0 && n%compactEvery == compactEvery-1 {
					c.compact(client)
				}
				call, done := context.WithTimeout(t.Context(), requestTimeout)
				began := time.Now()
				_, err := client.Put(call, fmt.Sprintf("%d/%d", i, n%1024), value)
				done()
				took := int64(time.Since(began))
				for old := longest.Load(); took > old && !longest.CompareAndSwap(old, took); old = longest.Load() {
				}
				puts.Add(1)
				if err != nil && failed.Add(1) == 1 {
					t.Errorf("after %v: %v", time.Duration(took), err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d puts in %v, %.0f a second; the longest took %v", puts.Load(), d, float64(puts.Load())/d.Seconds(), time.Duration(longest.Load()).Round(time.Millisecond))
	if n := failed.Load(); n > 0 {
		t.Errorf("%d puts failed", n)
	}
	if now, at := c.awaitLeader(healed), c.term(); now != leader || at != term {
		t.Errorf("replica %s led in term %d; replica %s leads in term %d", leader.name, term, now.name, at)
	}
}

// compact forgets all but the newest revision.
func (c *trio) compact(client *clientv3.Client) {
	ctx, done := context.WithTimeout(c.t.Context(), requestTimeout)
	defer done()
	r, err := client.Get(ctx, "nothing")
	if err == nil {
		_, err = client.Compact(ctx, r.Header.Revision)
	}
	if err != nil {
		c.t.Errorf("compact: %v", err)
	}
}
