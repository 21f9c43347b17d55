package main

import (
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/freeport"
)

// hosts are three replica processes of one engine.
type hosts []*hostProcess

// A hostProcess is asked through its control.
type hostProcess struct {
	task    task
	command *exec.Cmd
	control *rpc.Client   // nil: it is dead
	ended   time.Duration // processor time of its former processes
}

// startHosts starts three processes and waits until each group has a leader.
func startHosts(t task) (hosts, error) {
	switch {
	case t.Groups > 1 && (t.Peer == "etcd" || strings.HasPrefix(t.Peer, "hashicorp")):
		return nil, oneGroup
	case strings.HasPrefix(t.Peer, "floor"):
		return nil, noReplication
	}
	addrs, err := freeport.Addrs(6)
	if err != nil {
		return nil, err
	}
	s := make(hosts, 3)
	for i := range s {
		own := t
		own.Do, own.Number, own.Hosts, own.Client = "host", i+1, addrs[:3], addrs[3+i]
		own.Dir = filepath.Join(t.Dir, strconv.Itoa(i+1))
		if err := os.MkdirAll(own.Dir, 0o700); err != nil {
			return nil, err
		}
		s[i] = &hostProcess{task: own}
		if err := s[i].start(); err != nil {
			s.stop()
			return nil, err
		}
	}
	for _, h := range s {
		if err := h.dial(); err != nil {
			s.stop()
			return nil, err
		}
	}
	for g := range max(t.Groups, 1) {
		if _, err := s.awaitLeader(g + 1); err != nil {
			s.stop()
			return nil, err
		}
	}
	return s, nil
}

func (h *hostProcess) start() error {
	c, err := childCommand(h.task)
	if err != nil {
		return err
	}
	c.Stderr = os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start host: %w", err)
	}
	h.command = c
	return nil
}

// dial waits until the replica answers: its process listens before that.
func (h *hostProcess) dial() error {
	return poll(openTimeout, func() error {
		c, err := rpc.Dial("tcp", h.task.Client)
		if err != nil {
			return err
		}
		if _, err := ask[bool](c, "Leads", 1); err != nil {
			c.Close()
			return err
		}
		h.control = c
		return nil
	})
}

// ask calls a verb of a Control.
func ask[R any](c *rpc.Client, verb string, args any) (reply R, err error) {
	if c == nil {
		return reply, errors.New("the process is dead")
	}
	return reply, c.Call("Control."+verb, args, &reply)
}

func (h *hostProcess) kill() {
	if h.control != nil {
		h.control.Close()
		h.control = nil
	}
	_ = h.command.Process.Kill()
	_ = h.command.Wait() // it was killed
	if was := h.command.ProcessState; was != nil {
		h.ended += was.UserTime() + was.SystemTime()
	}
}

func (h *hostProcess) pid() int { return h.command.Process.Pid }

// stop kills all: their data is thrown away.
func (s hosts) stop() {
	for _, h := range s {
		if h != nil && h.command != nil {
			h.kill()
		}
	}
}

// awaitLeader returns the place of a group's leader in s.
func (s hosts) awaitLeader(group int) (leader int, err error) {
	err = poll(openTimeout, func() error {
		for i, h := range s {
			if h.control == nil {
				continue
			}
			if leads, err := ask[bool](h.control, "Leads", group); err == nil && leads {
				leader = i
				return nil
			}
		}
		return fmt.Errorf("find leader of group %d: none leads", group)
	})
	return leader, err
}

// awaitApplied waits until a process has executed up to an index of group 1.
func (h *hostProcess) awaitApplied(index uint64, bound time.Duration) error {
	for end := time.Now().Add(bound); ; time.Sleep(time.Millisecond) {
		at, err := ask[uint64](h.control, "Applied", 1)
		if err != nil || at >= index {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("wait until a host has executed %d: it is at %d after %v", index, at, bound)
		}
	}
}

// cpu is the processor time of all their processes so far.
func (s hosts) cpu() (sum time.Duration) {
	for _, h := range s {
		if sum += h.ended; h.control != nil {
			sum += cpuOf(h.pid())
		}
	}
	return sum
}
