package e2e

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A troupe is the replicas of one "lockstep up", which starts them itself.
type troupe struct {
	trio
	up    *process
	data  string
	mu    sync.Mutex
	lines []string // that it printed
}

// upPorts finds a port for clients and one for hosts such that those of the other replicas are free too, and
// none is above 32767, where the system takes ports for the near ends of connections.
func upPorts(t testing.TB) (client, host int) {
	t.Helper()
	for range 100 {
		client, host = 1100+2*rand.IntN(800), 0
		host = client + 1
		free := true
		for _, add := range []int{0, 20000, 30000} {
			for _, port := range []int{client, host} {
				l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+add))
				if err != nil {
					free = false
					continue
				}
				_ = l.Close()
			}
		}
		if free {
			return client, host
		}
	}
	t.Fatal("no free ports for lockstep up")
	return 0, 0
}

// startUp runs "lockstep up" until it says that it is ready.
func startUp(t testing.TB, data string, client, host int) *troupe {
	t.Helper()
	u := &troupe{data: data}
	u.t = t
	cmd := exec.Command(program(t), "up", "--data", data, "--client-port", fmt.Sprint(client), "--host-port", fmt.Sprint(host))
	cmd.Env, cmd.Stderr = environment(), os.Stderr
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	if u.up, err = startProcess(cmd); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	go u.listen(read)
	t.Cleanup(func() { u.close(t) })
	within(t, 20*time.Second, "be ready", func(context.Context) error {
		if !u.up.alive() {
			t.Fatalf("lockstep up has ended: %v", u.up.err)
		}
		if u.said("ready ") {
			return nil
		}
		return fmt.Errorf("it said %q", u.all())
	})
	for _, line := range u.all() {
		if rest, ok := strings.CutPrefix(line, "replica "); ok {
			f := facts(rest)
			u.replicas = append(u.replicas, &replica{name: f["id"], client: f["client"], host: f["host"], log: filepath.Join(data, f["id"]+".log")})
		}
	}
	if len(u.replicas) != 3 {
		t.Fatalf("lockstep up tells of %d replicas: %q", len(u.replicas), u.all())
	}
	return u
}

func (u *troupe) listen(from *os.File) {
	defer from.Close()
	for lines := bufio.NewScanner(from); lines.Scan(); {
		u.mu.Lock()
		u.lines = append(u.lines, lines.Text())
		u.mu.Unlock()
	}
}

func (u *troupe) all() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.lines...)
}

func (u *troupe) said(begin string) bool {
	for _, line := range u.all() {
		if strings.HasPrefix(line, begin) {
			return true
		}
	}
	return false
}

// facts are the k=v of a line.
func facts(line string) map[string]string {
	m := map[string]string{}
	for _, f := range strings.Fields(line) {
		if k, v, ok := strings.Cut(f, "="); ok {
			m[k] = v
		}
	}
	return m
}

func (u *troupe) close(t testing.TB) {
	u.up.end()
	if t.Failed() || *keep {
		t.Logf("lockstep up said:\n%s", strings.Join(u.all(), "\n"))
		for _, r := range u.replicas {
			t.Logf("log of replica %s:\n%s", r.name, r.tail())
		}
	}
}

// leads waits for the replica that leads by /status, and its process.
func (u *troupe) leads(d time.Duration) (r *replica, pid int) {
	u.t.Helper()
	within(u.t, d, "find a leader", func(ctx context.Context) error {
		for _, r = range u.replicas {
			s, err := r.report(ctx)
			if err != nil {
				continue
			}
			for _, g := range s.Groups {
				if g.Group == 1 && g.Role == "leader" && g.State == "serving" {
					pid = s.PID
					return nil
				}
			}
		}
		return fmt.Errorf("nobody leads")
	})
	return r, pid
}

// serve waits until all replicas serve.
func (u *troupe) serve(d time.Duration) {
	u.t.Helper()
	within(u.t, d, "have three replicas serve", func(ctx context.Context) error {
		for _, r := range u.replicas {
			s, err := r.report(ctx)
			if err != nil {
				return err
			}
			if len(s.Groups) == 0 || s.Groups[len(s.Groups)-1].State != "serving" {
				return fmt.Errorf("replica %s: %+v", r.name, s)
			}
		}
		return nil
	})
}

// TestFailoverWithinTwoSeconds kills the leader under "lockstep up": with default settings, the next put
// through etcdctl is done within two seconds, and the dead replica is started again.
func TestFailoverWithinTwoSeconds(t *testing.T) {
	client, host := upPorts(t)
	u := startUp(t, t.TempDir(), client, host)
	etcdctl, err := exec.LookPath("etcdctl")
	if err != nil {
		t.Fatalf("etcdctl is not here: install etcd-client: %v", err)
	}
	for round := range 3 {
		u.serve(20 * time.Second)
		leader, pid := u.leads(5 * time.Second)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("kill leader %d: %v", pid, err)
		}
		took := within(t, 2*time.Second, "put after the leader was killed", func(context.Context) error {
			r := run(t, 5*time.Second, nil, etcdctl, "--endpoints", strings.Join(u.endpoints(), ","), "put", "key", fmt.Sprint(round))
			if r.code != 0 || r.out != "OK\n" {
				return fmt.Errorf("exit %d: %s%s", r.code, r.out, r.stderr)
			}
			return nil
		})
		if took > 2*time.Second {
			t.Errorf("the put took %v", took)
		}
		t.Logf("round %d: replica %s, pid %d, killed; put done after %v", round, leader.name, pid, took)
	}
	u.serve(20 * time.Second)
	if r := lockstep(t, 10*time.Second, "get", "key", "--endpoints", strings.Join(u.endpoints(), ",")); r.code != 0 || !strings.Contains(r.out, "2") {
		t.Errorf("get: exit %d: %s%s", r.code, r.out, r.stderr)
	}
	began := time.Now()
	if err := u.up.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !u.up.wait(10*time.Second) || u.up.cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("lockstep up does not stop cleanly: %v", u.up.err)
	}
	t.Logf("stopped after %v", time.Since(began))
}

// TestUpVanishes kills "lockstep up" itself: its replicas stop within two seconds, and the next one
// comes back with the data.
func TestUpVanishes(t *testing.T) {
	client, host := upPorts(t)
	data := t.TempDir()
	u := startUp(t, data, client, host)
	endpoints := strings.Join(u.endpoints(), ",")
	if r := lockstep(t, 10*time.Second, "put", "key", "value", "--endpoints", endpoints); r.code != 0 {
		t.Fatalf("put: exit %d: %s%s", r.code, r.out, r.stderr)
	}
	var pids []int
	for _, r := range u.replicas {
		s, err := r.report(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, s.PID)
	}
	u.up.end()
	within(t, 2*time.Second, "have the replicas stop", func(context.Context) error {
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil && !zombie(pid) {
				return fmt.Errorf("process %d runs on", pid)
			}
		}
		return nil
	})
	startUp(t, data, client, host)
	if r := lockstep(t, 10*time.Second, "get", "key", "--endpoints", endpoints); r.code != 0 || !strings.Contains(r.out, "value") {
		t.Errorf("get: exit %d: %s%s", r.code, r.out, r.stderr)
	}
}

// zombie reports whether a process has ended and nobody has waited for it.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(b), ") Z ")
}
