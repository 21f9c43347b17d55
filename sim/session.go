package sim

import (
	"bytes"
	"context"
	"errors"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim/check"
)

// Session is the client as a caller whose commands go through sessions, one on each life of a host that
// it calls: a command is sent again, by the engine, until it is answered, and the judges know that it
// runs once. After an eviction the next command opens another.
func (c *Client) Session() lockstep.Caller {
	return &sessions{caller: c.a, held: make([]held, len(c.r.hosts))}
}

// sessions are a client's, by host.
type sessions struct {
	*caller
	held []held
}

// held is a session on one life of a host.
type held struct {
	life int
	s    *lockstep.Session
}

// Propose implements lockstep.Caller.
func (s *sessions) Propose(ctx context.Context, cmd []byte) (lockstep.Result, error) {
	call := &check.Call{Input: bytes.Clone(cmd)}
	return s.call(call, func(g *lockstep.Group) (lockstep.Result, error) {
		own, life := &s.held[s.host], s.c.r.hosts[s.host].life
		if own.s == nil || own.life != life {
			opened, err := g.Session(ctx)
			if err != nil {
				return lockstep.Result{}, &lockstep.Error{Op: "Session", Group: groupID, Outcome: lockstep.NotCommitted, Err: err}
			}
			*own = held{life, opened}
		}
		r, err := own.s.Propose(ctx, cmd)
		if errors.Is(err, lockstep.ErrEvicted) {
			own.s = nil
		}
		return r, err
	})
}
