package lockstep

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/lockstep-rsm/lockstep/machine"
)

// Caller is whatever takes commands and queries: a *Group, a *Session, or a client of the simulator.
type Caller interface {
	Propose(ctx context.Context, cmd []byte) (Result, error)
	Read(ctx context.Context, query []byte, opts ReadOptions) (Result, error)
}

// Client speaks the types of one machine to a Caller, in one life of its group: one that is destroyed and created
// again wants another Client. Safe for concurrent use.
type Client[S, C, R, Q, A any] struct {
	on   Caller
	m    *machine.Typed[S, C, R, Q, A]
	seen atomic.Uint64
}

// Typed gives a Caller the types of a machine made by machine.Define; no type is written out.
func Typed[S, C, R, Q, A any](on Caller, m *machine.Typed[S, C, R, Q, A]) *Client[S, C, R, Q, A] {
	return &Client[S, C, R, Q, A]{on: on, m: m}
}

// Propose is Group.Propose, or Session.Propose, with a command and a result.
func (c *Client[S, C, R, Q, A]) Propose(ctx context.Context, cmd C) (R, error) {
	return c.write("Propose", cmd, func(p []byte) (Result, error) { return c.on.Propose(ctx, p) })
}

// ProposeAs is Group.ProposeAs with a command and a result. Typed was given the group, or a session of it; on another
// Caller it is ErrOptions.
func (c *Client[S, C, R, Q, A]) ProposeAs(ctx context.Context, t Token, cmd C) (R, error) {
	return c.write("ProposeAs", cmd, func(p []byte) (Result, error) {
		g, err := c.group("ProposeAs", NotCommitted)
		if err != nil {
			return Result{}, err
		}
		return g.ProposeAs(ctx, t, p)
	})
}

// Lookup is Group.Lookup with a result. As ProposeAs it wants a group or a session.
func (c *Client[S, C, R, Q, A]) Lookup(ctx context.Context, t Token) (R, error) {
	g, err := c.group("Lookup", Unknown)
	if err != nil {
		var none R
		return none, err
	}
	r, err := g.Lookup(ctx, t)
	return c.result("Lookup", r, err)
}

// Read is Group.Read with a query and an answer. At level AtLeast it sees all that the client has written and read.
func (c *Client[S, C, R, Q, A]) Read(ctx context.Context, query Q, opts ReadOptions) (A, error) {
	var none A
	p, err := c.m.EncodeQuery(query)
	if err != nil {
		return none, &Error{Op: "Read", Outcome: NotCommitted, Err: err}
	}
	if opts.Level == AtLeast {
		opts.After = max(opts.After, c.Seen())
	}
	r, err := c.on.Read(ctx, p, opts)
	c.saw(r.Index) // of a refusal, too
	if err != nil {
		return none, err
	}
	out, err := c.m.DecodeAnswer(r.Data)
	if err != nil {
		return none, &Error{Op: "Read", Outcome: NotCommitted, Err: err}
	}
	return out, nil
}

// Seen is the newest index that a result, a refusal or an answer of this client was of, or an error that is Committed;
// 0: none yet. Whoever is told it, and reads at AtLeast with it as After, sees what this client has seen.
func (c *Client[S, C, R, Q, A]) Seen() Index { return Index(c.seen.Load()) }

func (c *Client[S, C, R, Q, A]) saw(index Index) {
	for old := c.seen.Load(); uint64(index) > old && !c.seen.CompareAndSwap(old, uint64(index)); old = c.seen.Load() {
	}
}

// write encodes, sends, decodes.
func (c *Client[S, C, R, Q, A]) write(op string, cmd C, send func([]byte) (Result, error)) (R, error) {
	p, err := c.m.EncodeCommand(cmd)
	if err != nil {
		var none R
		return none, &Error{Op: op, Outcome: NotCommitted, Err: err}
	}
	r, err := send(p)
	return c.result(op, r, err)
}

func (c *Client[S, C, R, Q, A]) result(op string, r Result, err error) (R, error) {
	var none R
	c.saw(r.Index) // of a refusal, too, and of a result that is kept no more
	if err != nil {
		return none, err
	}
	out, err := c.m.DecodeReply(r.Data)
	if err != nil {
		return none, &Error{Op: op, Outcome: Committed, Err: err}
	}
	return out, nil
}

// group is the one whose tokens count.
func (c *Client[S, C, R, Q, A]) group(op string, outcome Outcome) (*Group, error) {
	switch on := c.on.(type) {
	case *Group:
		return on, nil
	case *Session:
		return on.g, nil
	}
	return nil, &Error{Op: op, Outcome: outcome, Err: fmt.Errorf("%w: tokens are of a Group: a %T has none", ErrOptions, c.on)}
}
