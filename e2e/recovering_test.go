package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestWatchOfRestartedReplicasBeginsNow kills all replicas and watches from now on as soon as one of
// them listens again: history is neither replayed nor said to be compacted.
func TestWatchOfRestartedReplicasBeginsNow(t *testing.T) {
	c := startTrio(t, 3)
	client := c.newClient(c.awaitLeader(10 * time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 4 {
		if _, err := client.Put(ctx, "hello", fmt.Sprintf("v%d", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range c.replicas {
		r.kill(t)
	}
	for _, r := range c.replicas {
		r.start(t)
	}
	r := c.replicas[2]
	within(t, 10*time.Second, "listen", func(context.Context) error {
		if status, said := r.get(t, "/version"); status != http.StatusOK {
			return fmt.Errorf("/version answers %d %s", status, said)
		}
		return nil
	})
	cmd := exec.Command(program(t), "watch", "hello", "--endpoints", r.client)
	cmd.Env = environment()
	var stderr bytes.Buffer
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, &stderr
	watch, err := startProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.end()
	lines := make(chan string, 1)
	go func() {
		seen := make([]byte, 64)
		n, _ := out.Read(seen)
		lines <- string(seen[:n])
		_, _ = io.Copy(io.Discard, out)
	}()
	c.serving(30 * time.Second)
	for n := 5; ; n++ { // the watch is there at some moment
		if _, err := client.Put(ctx, "hello", fmt.Sprintf("v%d", n)); err != nil {
			t.Fatal(err)
		}
		again := time.NewTimer(100 * time.Millisecond)
		select {
		case first := <-lines:
			again.Stop()
			if old := "v1 v2 v3 v4"; !strings.HasPrefix(first, "PUT\nhello\nv") || strings.Contains(old, strings.Fields(first)[2]) {
				t.Errorf("the first event of a watch from now on, after a restart, is %q", first)
			}
			return
		case <-watch.ended:
			again.Stop()
			t.Fatalf("the watch ended: %v\n%s", watch.err, &stderr)
		case <-again.C:
		}
	}
}

// TestReplicaAloneAfterRestartIsNeverEmpty kills all replicas and starts one: it says what it lacks
// instead of showing a store before everything, and it is no reason to restart it.
func TestReplicaAloneAfterRestartIsNeverEmpty(t *testing.T) {
	t.Parallel()
	c := startTrio(t, 3)
	client := c.newClient(c.awaitLeader(10 * time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := client.Put(ctx, "hello", "v1"); err != nil {
		t.Fatal(err)
	}
	for _, r := range c.replicas {
		r.kill(t)
	}
	r := c.replicas[0]
	r.start(t)
	within(t, 10*time.Second, "live", func(context.Context) error {
		if status, said := r.get(t, "/livez"); status != http.StatusOK {
			return fmt.Errorf("/livez answers %d %s", status, said)
		}
		return nil
	})
	if status, said := r.get(t, "/readyz/serializable_read"); status != http.StatusServiceUnavailable || !strings.Contains(said, "not yet known to be committed") {
		t.Errorf("/readyz/serializable_read answers %d %s", status, said)
	}
	got := lockstep(t, 20*time.Second, "get", "hello", "--serializable", "--endpoints", r.client)
	if got.code == 0 || got.out != "" || !strings.Contains(got.stderr, "recovering") {
		t.Errorf("a serializable get exits with %d: %q %q", got.code, got.out, got.stderr)
	}
	c.replicas[1].start(t)
	c.serving(30 * time.Second)
	within(t, 10*time.Second, "read", func(context.Context) error {
		got := lockstep(t, 20*time.Second, "get", "hello", "--serializable", "--endpoints", r.client)
		if got.code != 0 || got.out != "v1\n" {
			return fmt.Errorf("a serializable get exits with %d: %q %q", got.code, got.out, got.stderr)
		}
		return nil
	})
}

// get asks for one path of the replica.
func (r *replica) get(t testing.TB, path string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	a, err := client.Get("http://" + r.client + path)
	if err != nil {
		return 0, err.Error()
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		return 0, err.Error()
	}
	return a.StatusCode, string(b)
}
