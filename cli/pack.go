package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/host"
	"github.com/lockstep-rsm/lockstep/server/admin"
)

// pack is the processes of lockstep up. They hold the reading end of a pipe of which nobody but this
// process has the writing end: when it goes, however it goes, they read the end and stop.
type pack struct {
	env      env.Env
	replicas []*replica
	read     *os.File
	write    *os.File
	exits    chan *replica // each process's end
	running  sync.WaitGroup
}

// replica is one of them. What changes is guarded by mu.
type replica struct {
	n                      int
	client, host, dir, log string
	program                string
	args                   []string
	standing               host.Standing // where others belonged to a cluster
	late                   bool          // it had no data then, or was about to join it

	mu      sync.Mutex
	process *os.Process
	ended   error // of the last process; nil while one runs
	began   time.Duration
	hostID  uint64
	leads   bool
	delay   time.Duration
}

// The pause before a replica is started again doubles from the first to the last, and is the first
// again for one that ran for so long.
const (
	firstRestart = time.Second
	lastRestart  = 10 * time.Second
	stopPatience = 5 * time.Second
)

var errRunning = errors.New("it runs")

func newPack(e env.Env) (*pack, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make lifeline: %w", err)
	}
	return &pack{env: e, read: r, write: w, exits: make(chan *replica, maxReplicas)}, nil
}

// start runs a process until it ends.
func (g *pack) start(r *replica) {
	r.mu.Lock()
	r.ended, r.began = nil, g.env.Clock().Now()
	r.mu.Unlock()
	started := make(chan struct{})
	g.running.Add(1)
	g.env.Run("replica process", func() {
		defer g.running.Done()
		// The system counts the thread that started a process as its parent.
		runtime.LockOSThread()
		err := g.run(r, started)
		if err == nil {
			err = errors.New("exit status 0")
		}
		r.mu.Lock()
		r.process, r.ended = nil, err
		r.mu.Unlock()
		g.exits <- r
	})
	<-started
}

func (g *pack) run(r *replica, started chan<- struct{}) error {
	var once sync.Once
	begun := func() { once.Do(func() { close(started) }) }
	defer begun()
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.Command(r.program, r.args...)
	c.Stderr, c.Stdout = log, log
	c.ExtraFiles = []*os.File{g.read} // descriptor 3 there
	c.Env = append(os.Environ(), lifelineEnv+"=3")
	c.SysProcAttr = ownGroup()
	if err := c.Start(); err != nil {
		return err
	}
	r.mu.Lock()
	r.process = c.Process
	r.mu.Unlock()
	begun()
	return c.Wait()
}

// failed gives a replica whose process has ended; nil if all run.
func (g *pack) failed() *replica {
	for _, r := range g.replicas {
		r.mu.Lock()
		ended := r.ended
		r.mu.Unlock()
		if ended != nil {
			return r
		}
	}
	return nil
}

// watch starts ended replicas again, until ctx ends. It says each end and start, and then calls ended.
func (g *pack) watch(ctx context.Context, say func(line string), ended func()) {
	again := make(chan *replica, maxReplicas)
	var timers []env.Timer
	defer func() {
		for _, t := range timers {
			t.Stop()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-g.exits:
			pause := r.pause(g.env.Clock().Now())
			say(fmt.Sprintf("exited id=%d why=%q restart_seconds=%.0f", r.id(), r.why(), pause.Seconds()))
			ended()
			timers = append(timers[max(0, len(timers)-maxReplicas):], g.env.Clock().AfterFunc(pause, func() { again <- r }))
		case r := <-again:
			g.start(r)
			say(r.line())
		}
	}
}

// empty says whether the replica has no data.
func (r *replica) empty() bool {
	names, err := os.ReadDir(r.dir)
	return os.IsNotExist(err) || err == nil && len(names) == 0
}

// pause is how long to wait before the next start.
func (r *replica) pause(now time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.delay == 0 || now-r.began > lastRestart {
		r.delay = firstRestart
		return r.delay
	}
	r.delay = min(2*r.delay, lastRestart)
	return r.delay
}

// stop asks all to end, and ends those that do not within stopPatience.
func (g *pack) stop() {
	g.signal(syscall.SIGTERM)
	kill := g.env.Clock().AfterFunc(stopPatience, func() { g.signal(syscall.SIGKILL) })
	g.running.Wait()
	kill.Stop()
}

func (g *pack) signal(s syscall.Signal) {
	for _, r := range g.replicas {
		r.mu.Lock()
		if r.process != nil {
			_ = r.process.Signal(s) // it may have ended already
		}
		r.mu.Unlock()
	}
}

// close lets go of the lifeline. All processes have ended, or will.
func (g *pack) close() {
	g.stop()
	_ = g.read.Close()
	_ = g.write.Close()
}

func (r *replica) pid() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process == nil {
		return 0
	}
	return r.process.Pid
}

func (r *replica) why() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		return errRunning.Error()
	}
	return r.ended.Error()
}

// id is the host's number, as it said, else its place.
func (r *replica) id() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hostID != 0 {
		return r.hostID
	}
	return uint64(r.n + 1)
}

func (r *replica) note(s *admin.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hostID, r.leads = uint64(s.ID), leads(s)
}

// leads says whether a server leads a group and serves it.
func leads(s *admin.Status) bool {
	return slices.ContainsFunc(s.Groups, func(g lockstep.GroupStatus) bool { return g.Role == "leader" && g.State == "serving" })
}

// line is one fact, for programs.
func (r *replica) line() string {
	return fmt.Sprintf("replica id=%d client=%s host=%s pid=%d", r.id(), r.client, r.host, r.pid())
}

// self is the program to run replicas with: this one, by the name it was started with.
func self() (string, error) {
	if path, err := exec.LookPath(os.Args[0]); err == nil {
		return path, nil
	}
	return os.Executable()
}
