package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// A task is what a process of its own is asked to do: one point, or to be a server.
type task struct {
	Do                  string // a row; etcd, host: be a server, or a replica, until killed
	Peer                string
	Dir                 string
	Program             string // of Lockstep
	Clients             int
	Size                int // of a command, in bytes
	Writes              int // of a hundred operations of the row of reads
	Groups              int
	Crowd               int // clients beside, who are not measured and all put to group 1
	Pipelined           bool
	Warm                time.Duration
	Duration            time.Duration
	Puts                int           // before an idle window, a restart, a look at memory
	Times               int           // that a leader is killed, or a follower restarted
	Heartbeat, Election time.Duration // zero: the engine's defaults
	State               int64         // bytes of state that a snapshot writes
	Profile             string        // prefix of profiles; empty: none

	// Of a process that serves until it is killed.
	Number int
	Hosts  []string
	Client string // address for clients, or for the parent
}

func (t *task) timings() timings { return timings{t.Heartbeat, t.Election} }

// child does a task and prints its point as JSON.
func child(text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return fmt.Errorf("read task: %w", err)
	}
	var p point
	var err error
	switch t.Do {
	case "write", "read", "groups":
		p, err = inProcess(t)
	case "server":
		p, err = server(t)
	case "idle":
		p, err = idle(t)
	case "trace":
		p, err = trace(t)
	case "failover":
		p, err = failover(t)
	case "restart":
		p, err = restart(t)
	case "memory":
		p, err = memory(t)
	case "host":
		return host(t)
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
	if why := asUnable(err); why != "" {
		p = point{Unable: why}
	} else if err != nil {
		return err
	}
	p.Peer = t.Peer
	return json.NewEncoder(os.Stdout).Encode(p)
}

// pipelines are the clients of a pipelined load; they share what is outstanding.
const pipelines = 64

// inProcess measures operations on three hosts in this process.
func inProcess(t task) (point, error) {
	e, err := engineOf(t.Peer)
	if err != nil {
		return point{}, err
	}
	three, err := openTrio(t.Dir, t.Groups, e.open)
	if err != nil {
		return point{}, err
	}
	defer three.close()
	l := load{
		on: three, clients: t.Clients, size: t.Size, warm: t.Warm, duration: t.Duration,
		cpu: ownCPU, profile: newProfile(t.Profile),
	}
	switch {
	case t.Do == "read":
		l.reads, l.hot = 100-t.Writes, readKeys
		if err := fill(three.put, readKeys, t.Size, 256); err != nil {
			return point{}, err
		}
	case t.Do == "groups":
		l.groups, l.hot = t.Groups, uint64(max(keys/t.Groups, 8))
		if t.Crowd > 0 {
			crowd := start(&load{on: three, clients: t.Crowd, size: t.Size})
			defer crowd.stop()
		}
	case t.Pipelined:
		w, err := three.start(1, putCommand(1, 1, t.Size))
		if err != nil {
			return point{}, err
		}
		if err := w.wait(); err != nil {
			return point{}, err
		}
		l.clients = min(t.Clients, pipelines)
		l.window = t.Clients / l.clients
	}
	return drive(l)
}

// readKeys are filled before reads are measured, and read.
const readKeys = 8192
