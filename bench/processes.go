package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/freeport"
)

// processes are three server processes of one cluster, each with an endpoint of the etcd v3 API.
type processes struct {
	endpoints []string
	commands  []*exec.Cmd
}

// startProcesses starts servers: the program of Lockstep, or etcd in copies of this program.
func startProcesses(peer, program, dir string) (*processes, error) {
	addrs, err := freeport.Addrs(6)
	if err != nil {
		return nil, err
	}
	hosts, clients := addrs[:3], addrs[3:]
	s := &processes{endpoints: clients}
	for i := range 3 {
		home := filepath.Join(dir, strconv.Itoa(i+1))
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, err
		}
		var c *exec.Cmd
		switch peer {
		case "lockstep":
			c = exec.Command(program, "serve", "--data", home, "--client", clients[i], "--host", hosts[i],
				"--founders", strings.Join(hosts, ","), "--log-level", "error")
		case "etcd":
			c, err = childCommand(task{Do: "etcd", Dir: home, Number: i + 1, Hosts: hosts, Client: clients[i]})
			if err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("start server: peer %q has none", peer)
		}
		c.Stderr = os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			s.stop()
			return nil, fmt.Errorf("start server: %w", err)
		}
		s.commands = append(s.commands, c)
	}
	return s, nil
}

// cpu is the processor time that the servers have used.
func (s *processes) cpu() (sum time.Duration) {
	for _, c := range s.commands {
		sum += cpuOf(c.Process.Pid)
	}
	return sum
}

// stop kills the servers: the run is over, their data is thrown away.
func (s *processes) stop() {
	for _, c := range s.commands {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

// childCommand runs a task in a process of its own: a copy of this program.
func childCommand(t task) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return exec.Command(self, "child", string(text)), nil
}

// runChild runs a task in a process of its own and returns its point.
func runChild(t task, bound time.Duration) (point, error) {
	c, err := childCommand(t)
	if err != nil {
		return point{}, err
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return point{}, fmt.Errorf("start %s of %s: %w", t.Do, t.Peer, err)
	}
	stuck := time.AfterFunc(bound, func() { _ = c.Process.Kill() })
	err = c.Wait()
	if !stuck.Stop() {
		return point{}, fmt.Errorf("run %s of %s: not done within %v", t.Do, t.Peer, bound)
	}
	if err != nil {
		return point{}, fmt.Errorf("run %s of %s: %w", t.Do, t.Peer, err)
	}
	var p point
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		return point{}, fmt.Errorf("read the point of %s: %w", t.Peer, err)
	}
	return p, nil
}
