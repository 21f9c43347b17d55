package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/raft"
)

// DrawToken makes a token for one command of a group, of the log time that this replica has executed: none
// before it has caught up, which would be forgotten already. No I/O.
func (h *Host) DrawToken(id raft.GroupID) (session.Token, error) {
	g := h.Replica(id)
	if g == nil {
		return session.Token{}, notCommitted(fmt.Errorf("%w: group %d", ErrNoReplica, id))
	}
	if why := g.catchingUp(); why != "" {
		return session.Token{}, notCommitted(fmt.Errorf("%w: %s", ErrRecovering, why))
	}
	return session.Draw(session.Time(g.lane.time.Load()), h.env.Rand().Uint64()), nil
}

// ProposeAs sends a copy of cmd under a token until it is answered: whoever sends it, and how often, it runs
// at most once.
func (h *Host) ProposeAs(ctx context.Context, id raft.GroupID, t session.Token, cmd []byte) (Result, error) {
	header := session.Header{Kind: session.Once, Token: t}
	c, err := h.insist(ctx, id, func() *session.Header { return &header }, cmd)
	return c.Result, err
}

// Lookup puts a fence into the log, and tells by it what became of the command under a token: only what
// stands before the fence has run, and nothing behind it will.
func (h *Host) Lookup(ctx context.Context, id raft.GroupID, t session.Token) (Result, error) {
	header := session.Header{Kind: session.Fence, Token: t}
	c, err := h.insist(ctx, id, func() *session.Header { return &header }, nil)
	var fault *Fault
	if errors.As(err, &fault) && fault.Outcome == NotCommitted && !errors.Is(err, ErrNever) {
		err = unknown(fault.Err) // the fence is not in the log, which says nothing about the command
	}
	return c.Result, err
}
