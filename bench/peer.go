package main

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// An engine makes replicas in this process.
type engine interface {
	// open starts a replica of three, or of as many as addrs has. It may wait for the others.
	open(p place) (replica, error)
}

// A place is where one replica lives.
type place struct {
	number int // its own, from 1
	addrs  []string
	dir    string
}

func (p place) addr() string { return p.addrs[p.number-1] }

// A replica takes commands of putCommand.
type replica interface {
	// put returns when cmd is on the disks of a majority and executed here. It may keep cmd.
	put(cmd []byte) error
	leads() bool
	close()
}

// putTimeout bounds a put, with the engines that ask for a bound.
const putTimeout = 5 * time.Second

// engineOf finds an engine by the name of a peer.
func engineOf(name string) (engine, error) {
	kind, variant, _ := strings.Cut(name, "-")
	switch kind {
	case "lockstep":
		return lockstepEngine{fdatasync: variant == "fdatasync"}, nil
	case "etcd":
		return etcdEngine{}, nil
	case "hashicorp":
		return hashicorpEngine{tuned: variant == "tuned"}, nil
	case "dragonboat":
		if e, ok := dragonboatVariants[variant]; ok {
			return e, nil
		}
	}
	return nil, fmt.Errorf("unknown peer %q: see docs/performance.md", name)
}

// freeAddrs finds addresses of loopback that nobody listens on.
func freeAddrs(n int) ([]string, error) {
	addrs := make([]string, n)
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // all at the end: each port is another
		addrs[i] = l.Addr().String()
	}
	return addrs, nil
}
