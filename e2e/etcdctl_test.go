package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestEtcdctlAtEachEndpoint uses Debian's etcdctl as people do, against each of three servers.
func TestEtcdctlAtEachEndpoint(t *testing.T) {
	c := startTrio(t, 3)
	etcdctl, err := exec.LookPath("etcdctl")
	if err != nil {
		t.Fatalf("etcdctl is not here: install etcd-client: %v", err)
	}
	for i, r := range c.replicas {
		ask := func(stdin, want string, args ...string) {
			t.Helper()
			got := run(t, 10*time.Second, []byte(stdin), etcdctl, append([]string{"--endpoints", r.client}, args...)...)
			if got.code != 0 || got.out != want {
				t.Errorf("etcdctl %s: exit %d, %q, want %q; %s", strings.Join(args, " "), got.code, got.out, want, got.stderr)
			}
		}
		key, value := fmt.Sprintf("key/%d", i), "hello"
		ask("", "OK\n", "put", key, value)
		ask("", key+"\n"+value+"\n", "get", key)
		ask("", value+"\n", "get", key, "--print-value-only")
		ask("value(\""+key+"\") = \"hello\"\n\nput "+key+" bye\n\nput "+key+" lost\n\n", "SUCCESS\n\nOK\n", "txn")
		ask("", "1\n", "del", key)
		ask("", "", "get", key)
		first := 2 + int64(3*i) // each round makes three revisions
		seen := watchByEtcdctl(t, etcdctl, r.client, "key/", first)
		want := fmt.Sprintf("PUT\n%[1]s\nhello\nPUT\n%[1]s\nbye\nDELETE\n%[1]s\n\n", key)
		within(t, 10*time.Second, "see the changes through etcdctl watch", func(context.Context) error {
			if got := seen(); got != want {
				return fmt.Errorf("%q, want %q", got, want)
			}
			return nil
		})
	}
	members := run(t, 10*time.Second, nil, etcdctl, "--endpoints", c.replicas[1].client, "member", "list")
	if lines := strings.Count(members.out, "started"); members.code != 0 || lines != 3 {
		t.Errorf("etcdctl member list: exit %d, %s%s", members.code, members.out, members.stderr)
	}
	health := run(t, 20*time.Second, nil, etcdctl, "--endpoints", strings.Join(c.endpoints(), ","), "endpoint", "health")
	if health.code != 0 || strings.Count(health.out+health.stderr, "is healthy") != 3 {
		t.Errorf("etcdctl endpoint health: exit %d, %s%s", health.code, health.out, health.stderr)
	}
	state := run(t, 20*time.Second, nil, etcdctl, "--endpoints", strings.Join(c.endpoints(), ","), "endpoint", "status", "-w", "table")
	if state.code != 0 || strings.Count(state.out, "true") != 1 {
		t.Errorf("etcdctl endpoint status: exit %d, %s%s, want one leader", state.code, state.out, state.stderr)
	}
}

// watchByEtcdctl runs "etcdctl watch" on a prefix from a revision on until the test ends, and tells what it
// has printed.
func watchByEtcdctl(t *testing.T, etcdctl, endpoint, prefix string, from int64) (seen func() string) {
	t.Helper()
	cmd := exec.Command(etcdctl, "--endpoints", endpoint, "watch", "--prefix", prefix, "--rev", strconv.FormatInt(from, 10))
	cmd.Env = environment()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := spawn(cmd, nil); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var text bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			mu.Lock()
			text.WriteString(lines.Text() + "\n")
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return text.String()
	}
}
