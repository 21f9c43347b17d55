package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAcknowledgedWritesAreOnAMajoritysDisks looks at the system calls: before a put is answered, the log's write
// of its bytes has come back on two of three replicas, through a descriptor that syncs each write, or followed
// by a sync of its own. Every such call is held back, so that an answer that does not wait for it comes first.
func TestAcknowledgedWritesAreOnAMajoritysDisks(t *testing.T) {
	for name, flags := range map[string][]string{"direct": nil, "fdatasync": {"--fdatasync"}} {
		t.Run(name, func(t *testing.T) {
			c := startTrio(t, 3, flags...)
			client := c.newClient()
			if _, err := client.Put(t.Context(), "connected", ""); err != nil {
				t.Fatal(err)
			}
			traces := make([]*trace, len(c.replicas))
			for i, r := range c.replicas {
				traces[i] = traceCalls(t, r)
			}
			acked := map[string]time.Time{}
			for i := range 10 {
				token := fmt.Sprintf("durable-%d-%d", i, time.Now().UnixNano())
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				_, err := client.Put(ctx, "key", token)
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				acked[token] = time.Now()
			}
			for i := range traces {
				traces[i].end(t)
			}
			for token, at := range acked {
				n := 0
				for _, tr := range traces {
					if d, ok := tr.durable(t, token); ok && !d.After(at) {
						n++
					}
				}
				if n < 2 {
					t.Errorf("%s was acknowledged when %d of 3 replicas had it on disk", token, n)
				}
			}
		})
	}
}

// holdBack is for how long each call that makes durable is delayed.
const holdBack = 30 * time.Millisecond

// A trace is what strace saw of one replica's writes and syncs.
type trace struct {
	prefix  string
	strace  *process
	replica *replica
	calls   []call
}

// A call is one completed system call on a file.
type call struct {
	name, fd, file, args string
	began, ended         time.Time
}

// traceCalls attaches to a replica until end.
func traceCalls(t *testing.T, r *replica) *trace {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("this test needs strace: install Debian's package of that name")
	}
	tr := &trace{prefix: filepath.Join(t.TempDir(), "calls"), replica: r}
	cmd := exec.Command(strace, "-f", "-ff", "-o", tr.prefix, "-ttt", "-T", "-y", "-s", "65536",
		"-e", "trace=pwrite64,fdatasync", "-e", fmt.Sprintf("inject=pwrite64,fdatasync:delay_enter=%d", holdBack.Microseconds()), "-p", strconv.Itoa(r.process.pid()))
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if tr.strace, err = startProcess(cmd); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "attached") {
			go func() { // it must not block on what it says later
				for lines.Scan() {
				}
			}()
			return tr
		}
		t.Logf("strace: %s", lines.Text())
	}
	t.Fatal("strace cannot attach to the replica: run this test as root")
	return nil
}

var callLine = regexp.MustCompile(`^(\d+\.\d+) (pwrite64|fdatasync)\((\d+)<([^>]*)>(.*) = \d+ .*<(\d+\.\d+)>$`)

// end detaches, and reads what was seen.
func (tr *trace) end(t *testing.T) {
	t.Helper()
	_ = tr.strace.cmd.Process.Signal(os.Interrupt)
	if !tr.strace.wait(20 * time.Second) {
		tr.strace.end()
		t.Fatal("strace does not end")
	}
	files, err := filepath.Glob(tr.prefix + ".*") // one for each thread
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.Split(text, []byte("\n")) {
			m := callLine.FindStringSubmatch(string(line))
			if m == nil {
				continue
			}
			began := seconds(t, m[1])
			tr.calls = append(tr.calls, call{m[2], m[3], m[4], m[5], time.Unix(0, 0).Add(began), time.Unix(0, 0).Add(began + seconds(t, m[6]))})
		}
	}
}

func seconds(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s + "s")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// durable is when the log's write of these bytes was on disk, for all that the system calls tell.
func (tr *trace) durable(t *testing.T, token string) (at time.Time, ok bool) {
	t.Helper()
	for _, w := range tr.calls {
		if w.name != "pwrite64" || !strings.Contains(w.args, token) || !strings.Contains(w.file, "/wal/") {
			continue
		}
		if tr.syncsEachWrite(t, w.fd) {
			if !ok || w.ended.Before(at) {
				at, ok = w.ended, true
			}
			continue
		}
		for _, s := range tr.calls {
			if s.name == "fdatasync" && s.fd == w.fd && s.file == w.file && !s.began.Before(w.ended) && (!ok || s.ended.Before(at)) {
				at, ok = s.ended, true
			}
		}
	}
	return at, ok
}

// syncsEachWrite says whether a descriptor of the replica, which runs on, was opened with O_DSYNC.
func (tr *trace) syncsEachWrite(t *testing.T, fd string) bool {
	t.Helper()
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", tr.replica.process.pid(), fd))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(info), "\n") {
		if octal, found := strings.CutPrefix(line, "flags:"); found {
			flags, err := strconv.ParseInt(strings.TrimSpace(octal), 8, 64)
			if err != nil {
				t.Fatal(err)
			}
			return flags&syscall.O_DSYNC != 0
		}
	}
	t.Fatalf("no flags in %s", info)
	return false
}
