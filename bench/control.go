package main

import (
	"fmt"
	"net"
	"net/rpc"
)

// Control is what a parent may ask of a replica in a process of its own, by net/rpc. It is safe for
// concurrent use.
type Control struct{ r replica }

// PutArgs are a put for one group.
type PutArgs struct {
	Group int
	Cmd   []byte
}

// FillArgs ask for so many puts, some at once, to group 1.
type FillArgs struct{ Puts, Size, Clients int }

// Put returns when the put is on the disks of a majority and executed here.
func (c *Control) Put(a PutArgs, _ *struct{}) error { return c.r.put(a.Group, a.Cmd) }

// Leads tells whether this replica leads the group.
func (c *Control) Leads(group int, leads *bool) error {
	*leads = c.r.leads(group)
	return nil
}

// Applied is the index up to which this replica of the group has executed.
func (c *Control) Applied(group int, index *uint64) error {
	*index = c.r.applied(group)
	return nil
}

// Fill returns when all puts are done.
func (c *Control) Fill(a FillArgs, _ *struct{}) error {
	return fill(c.r.put, a.Puts, a.Size, a.Clients)
}

// host runs one replica, under its parent's control, until the parent kills it or dies.
func host(t task) error {
	e, err := engineOf(t.Peer)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", t.Client)
	if err != nil {
		return fmt.Errorf("listen for the parent: %w", err)
	}
	r, err := e.open(place{number: t.Number, addrs: t.Hosts, dir: t.Dir, groups: t.Groups, timings: t.timings()})
	if err != nil {
		return err
	}
	s := rpc.NewServer()
	if err := s.Register(&Control{r}); err != nil {
		return err
	}
	s.Accept(l)
	return nil
}
