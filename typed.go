package lockstep

import (
	"context"

	"github.com/lockstep-rsm/lockstep/machine"
)

// Caller is whatever takes commands and queries: a *Group, a *Session, or a client of the simulator.
type Caller interface {
	Propose(ctx context.Context, cmd []byte) (Result, error)
	Read(ctx context.Context, query []byte, opts ReadOptions) (Result, error)
}

// Client speaks the types of one machine to a Caller.
type Client[S, C, R, Q, A any] struct {
	on Caller
	m  *machine.Typed[S, C, R, Q, A]
}

// Typed gives a Caller the types of a machine made by machine.Define; no type is written out.
func Typed[S, C, R, Q, A any](on Caller, m *machine.Typed[S, C, R, Q, A]) *Client[S, C, R, Q, A] {
	return &Client[S, C, R, Q, A]{on: on, m: m}
}

// Propose is Group.Propose with a command and a result.
func (c *Client[S, C, R, Q, A]) Propose(ctx context.Context, cmd C) (R, error) {
	var none R
	p, err := c.m.EncodeCommand(cmd)
	if err != nil {
		return none, &Error{Op: "Propose", Outcome: NotCommitted, Err: err}
	}
	r, err := c.on.Propose(ctx, p)
	if err != nil {
		return none, err
	}
	out, err := c.m.DecodeReply(r.Data)
	if err != nil {
		return none, &Error{Op: "Propose", Outcome: Committed, Err: err}
	}
	return out, nil
}

// Read is Group.Read with a query and an answer.
func (c *Client[S, C, R, Q, A]) Read(ctx context.Context, query Q, opts ReadOptions) (A, error) {
	var none A
	p, err := c.m.EncodeQuery(query)
	if err != nil {
		return none, &Error{Op: "Read", Outcome: NotCommitted, Err: err}
	}
	r, err := c.on.Read(ctx, p, opts)
	if err != nil {
		return none, err
	}
	return c.m.DecodeAnswer(r.Data)
}
