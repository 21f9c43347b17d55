package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// A task is what a process of its own is asked to do: one point, or to be a server.
type task struct {
	Do       string // write, server, idle, snapshot; etcd: be a server until killed
	Peer     string
	Dir      string
	Program  string // of Lockstep
	Clients  int
	Size     int // of a command, in bytes
	Warm     time.Duration
	Duration time.Duration
	Puts     int    // before an idle window
	State    int64  // bytes of state that a snapshot writes
	Profile  string // prefix of profiles; empty: none

	// Of an etcd server.
	Number int
	Hosts  []string
	Client string
}

// child does a task and prints its point as JSON.
func child(text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return fmt.Errorf("read task: %w", err)
	}
	var p point
	var err error
	switch t.Do {
	case "write":
		p, err = write(t)
	case "server":
		p, err = server(t)
	case "idle":
		p, err = idle(t)
	case "snapshot":
		p, err = snapshot(t)
	case "etcd":
		if _, err := openEtcd(place{number: t.Number, addrs: t.Hosts, dir: t.Dir}, t.Client); err != nil {
			return err
		}
		select {} // until the parent kills it or dies
	default:
		err = fmt.Errorf("unknown task %q", t.Do)
	}
	if err != nil {
		return err
	}
	p.Peer = t.Peer
	return json.NewEncoder(os.Stdout).Encode(p)
}

// write measures puts into three replicas in this process.
func write(t task) (point, error) {
	e, err := engineOf(t.Peer)
	if err != nil {
		return point{}, err
	}
	three, err := openTrio(t.Dir, e.open)
	if err != nil {
		return point{}, err
	}
	defer three.close()
	return drive(load{
		put: three.put, clients: t.Clients, size: t.Size, warm: t.Warm, duration: t.Duration,
		cpu: ownCPU, profile: newProfile(t.Profile),
	})
}
