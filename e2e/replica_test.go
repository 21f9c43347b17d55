package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A replica is one process of "lockstep serve", and what it is started with each time.
type replica struct {
	name         string
	dir, log     string
	client, host string // addresses
	args         []string
	at           *place // nil: where the test itself is

	process *process // nil: not running
	started time.Time
}

// A process is a started program.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended and was waited for
	err   error         // how, once ended is closed
}

func startProcess(cmd *exec.Cmd) (*process, error) { return startProcessIn(cmd, nil) }

func startProcessIn(cmd *exec.Cmd, at *place) (*process, error) {
	if err := spawn(cmd, at); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// alive reports whether the process has not ended.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait waits until it has ended, and reports false after d.
func (p *process) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		return false
	}
}

// end kills it, also while it is stopped.
func (p *process) end() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// start runs the replica. Its log grows over all its lives.
func (r *replica) start(t testing.TB) {
	t.Helper()
	if r.process != nil && r.process.alive() {
		t.Fatalf("replica %s runs already", r.name)
	}
	log, err := os.OpenFile(r.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	fmt.Fprintf(log, "--- started with %s\n", strings.Join(r.args, " "))
	cmd := exec.Command(program(t), r.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = environment()
	r.started = time.Now()
	if r.process, err = startProcessIn(cmd, r.at); err != nil {
		t.Fatalf("start replica %s: %v", r.name, err)
	}
}

// environment is this process's without what would set the program's options.
func environment() (env []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "LOCKSTEP_") && !strings.HasPrefix(e, "ETCDCTL_") {
			env = append(env, e)
		}
	}
	return env
}

// kill is kill -9.
func (r *replica) kill(t testing.TB) {
	t.Helper()
	if !r.process.alive() {
		t.Fatalf("replica %s has ended by itself: %v\n%s", r.name, r.process.err, r.tail())
	}
	r.process.end()
	r.process = nil
}

// pause is SIGSTOP, resume SIGCONT.
// pause returns when the process stands still: the signal stops each of its threads when that runs next, and
// on a busy machine one may finish a request before.
func (r *replica) pause(t testing.TB) {
	t.Helper()
	r.signal(t, syscall.SIGSTOP)
	within(t, 5*time.Second, "stop replica "+r.name, func(context.Context) error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", r.process.cmd.Process.Pid))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("no threads: %v", err)
		}
		for _, file := range threads {
			stat, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if _, state, ok := strings.Cut(string(stat), ") "); !ok || state[0] != 'T' {
				return fmt.Errorf("%s says %s", file, stat)
			}
		}
		return nil
	})
}

func (r *replica) resume(t testing.TB) { r.signal(t, syscall.SIGCONT) }

func (r *replica) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := r.process.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %v to replica %s: %v", s, r.name, err)
	}
}

// tail is the end of the replica's log.
func (r *replica) tail() string {
	b, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(string(b), "\n")
	if n := len(lines); n > 60 && !*keep {
		lines = append([]string{fmt.Sprintf("… %d lines before\n", n-60)}, lines[n-60:]...)
	}
	return strings.Join(lines, "")
}

// said reports whether the replica's log holds text.
func (r *replica) said(text string) bool {
	b, err := os.ReadFile(r.log)
	return err == nil && bytes.Contains(b, []byte(text))
}

// memory is the process's resident memory in bytes.
func (r *replica) memory(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.process.pid()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatalf("process %d tells no VmRSS", r.process.pid())
	return 0
}

// A result is what a finished command left.
type result struct {
	code        int
	out, stderr string
}

// lockstep runs the program to its end, at most d, and returns what it said.
func lockstep(t testing.TB, d time.Duration, args ...string) result {
	t.Helper()
	return run(t, d, nil, program(t), args...)
}

// run executes any program with stdin.
func run(t testing.TB, d time.Duration, stdin []byte, path string, args ...string) result {
	t.Helper()
	cmd := exec.Command(path, args...)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = bytes.NewReader(stdin), &out, &stderr, environment()
	p, err := startProcess(cmd)
	if err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	if !p.wait(d) {
		p.end()
		t.Fatalf("%s %s runs on after %v\nout: %s\nstderr: %s", filepath.Base(path), strings.Join(args, " "), d, &out, &stderr)
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		t.Fatalf("run %s: %v", path, p.err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), stderr.String()}
}
