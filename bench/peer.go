package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// An engine makes replicas in this process.
type engine interface {
	// open starts a replica of three, or of as many as addrs has. It may wait for the others.
	open(p place) (replica, error)
}

// A place is where one host lives, and what it holds.
type place struct {
	number  int // its own, from 1
	addrs   []string
	dir     string
	groups  int // numbered from 1. 0: one
	timings timings
}

// timings of elections; zero: the engine's defaults.
type timings struct{ Heartbeat, Election time.Duration }

func (p place) addr() string { return p.addrs[p.number-1] }

func (p place) groupCount() int { return max(p.groups, 1) }

// A replica takes commands of putCommand, for each group that its host holds.
type replica interface {
	// put returns when cmd is on the disks of a majority and executed here. It may keep cmd.
	put(group int, cmd []byte) error
	// start is put without the wait.
	start(group int, cmd []byte) (waiter, error)
	// get reads a key, linearizably.
	get(group int, key uint64) error
	leads(group int) bool
	// applied is an index that grows with what is executed here.
	applied(group int) uint64
	close()
}

// A waiter waits, once, for the end of what was started.
type waiter interface{ wait() error }

// unable says why a peer cannot do a row. It is no failure: the row shows it.
type unable string

func (u unable) Error() string { return string(u) }

const (
	oneGroup      = unable("has one group only")
	noPipeline    = unable("its API blocks: no pipelined proposals")
	noServer      = unable("is a library, not a server")
	noReplication = unable("its leader is fixed, and it does not recover: it is a probe, not an engine")
)

// putTimeout bounds a put, with the engines that ask for a bound.
const putTimeout = 5 * time.Second

// engineOf finds an engine by the name of a peer.
func engineOf(name string) (engine, error) {
	kind, variant, _ := strings.Cut(name, "-")
	switch {
	case name == "lockstep", name == "lockstep-fdatasync":
		return lockstepEngine{fdatasync: variant == "fdatasync"}, nil
	case name == "floor", name == "floor-direct":
		return floorEngine{direct: variant == "direct"}, nil
	case name == "etcd":
		return etcdEngine{}, nil
	case name == "hashicorp", name == "hashicorp-tuned":
		return hashicorpEngine{tuned: variant == "tuned"}, nil
	case kind == "dragonboat":
		if e, ok := dragonboatVariants[variant]; ok {
			return e, nil
		}
	}
	return nil, fmt.Errorf("unknown peer %q: see docs/performance.md", name)
}

// asUnable finds the reason why a peer cannot do a row; empty: err is something else.
func asUnable(err error) string {
	var u unable
	if errors.As(err, &u) {
		return string(u)
	}
	return ""
}
