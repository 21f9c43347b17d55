package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"
)

// diskBytes is room for the logs of three replicas, but not for their growth.
const diskBytes = 1 << 30

// smallDisk mounts a file system of its own for the test; only root may.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("lockstep-e2e", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		if errors.Is(err, syscall.EPERM) {
			t.Skip("only root may mount a small file system")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file until there is no space, and returns its path.
func fill(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// TestDiskFull fills the disk of all replicas: writes are refused with etcd's words for it, reads and
// votes go on, nothing acknowledged is lost, and writes come back by themselves within ten seconds of
// the space.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t)
	c := startTrioIn(t, 3, dir)
	filler := fill(t, dir)
	client := c.newClient()
	stored := writeUntilFull(t, c)
	t.Logf("%d puts of 1 MiB until there was no space", stored)

	read := func(what string, opts ...clientv3.OpOption) {
		t.Helper()
		within(t, 5*time.Second, what, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			r, err := client.Get(ctx, fmt.Sprintf("full/%04d", stored-1), opts...)
			if err == nil && len(r.Kvs) != 1 {
				t.Fatalf("%s: the last acknowledged put is gone", what)
			}
			return err
		})
	}
	read("read while the disk is full")
	old := c.awaitLeader(5 * time.Second)
	old.pause(t)
	within(t, 5*time.Second, "elect a leader while the disk is full", func(ctx context.Context) error {
		rest := trio{replicas: c.others(old), t: t}
		if rest.leader(ctx) == nil {
			return errors.New("nobody leads")
		}
		return nil
	})
	// A linearizable read needs the new leader's first entry, which needs a little space on a majority.
	read("serializable read with the new leader while the disk is full", clientv3.WithSerializable())
	old.resume(t)
	within(t, 5*time.Second, "tell that the disk is full", func(ctx context.Context) error {
		for _, r := range c.replicas {
			if s, err := r.report(ctx); err == nil && s.Disk == "full" {
				return nil
			}
		}
		return errors.New("no /status says so")
	})

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	took := within(t, 10*time.Second, "write after space returned", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := client.Put(ctx, "after", "value")
		return err
	})
	t.Logf("a put was done %v after space returned", took)
	c.converge(20 * time.Second)
	for i := range stored {
		r, err := client.Get(t.Context(), fmt.Sprintf("full/%04d", i))
		if err != nil || len(r.Kvs) != 1 || len(r.Kvs[0].Value) != 1<<20 {
			t.Fatalf("put %d was acknowledged and is not there: %v", i, err)
		}
	}
}

// writeUntilFull puts until one is refused for want of space, and returns how many were acknowledged.
// Of the put that was on its way to the disk when there was no more space, nobody knows: it may time out.
func writeUntilFull(t *testing.T, c *trio) int {
	t.Helper()
	kv := pb.NewKVClient(dial(t, c.awaitLeader(5*time.Second).client))
	value := make([]byte, 1<<20)
	stored, unknown := 0, 0
	for stored < 2*diskBytes/len(value) && unknown < 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := kv.Put(ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "full/%04d", stored), Value: value})
		cancel()
		want, got := status.Convert(rpctypes.ErrGRPCNoSpace), status.Convert(err)
		switch {
		case err == nil:
			stored++
		case got.Code() == want.Code() && got.Message() == want.Message():
			return stored
		default:
			unknown++
			t.Logf("put %d on a full disk: %v", stored, err)
		}
	}
	t.Fatalf("after %d acknowledged puts, none is refused for want of space", stored)
	return 0
}
