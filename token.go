package lockstep

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Token names one command across its client's own crash: draw it with NewToken and store it, then propose
// under it. Its first eight bytes say when it was drawn.
type Token [16]byte

// String is 32 hex digits.
func (t Token) String() string { return hex.EncodeToString(t[:]) }

// NewToken draws a token for one command of this group, of the moment that this replica knows of: one that is
// cut off draws old ones. No I/O. A group remembers a token for
// Settings.TokenTTL after it was drawn, by log time, and no longer than MaxTokens others that were drawn
// later are in use. Errors: ErrNoReplica; ErrRecovering soon after a start.
func (g *Group) NewToken() (Token, error) {
	if err := g.refuse("NewToken"); err != nil {
		return Token{}, err
	}
	t, err := g.h.DrawToken(raft.GroupID(g.id))
	return Token(t), fault("NewToken", g.id, err)
}

// refuseToken is refuse, and the error of the zero token: whoever overlooks that NewToken failed would have
// one command answered with the result of another.
func (g *Group) refuseToken(op string, t Token) error {
	if t == (Token{}) {
		return &Error{Op: op, Group: g.id, Outcome: NotCommitted, Err: fmt.Errorf("%w: the token is zero: draw one with NewToken, and look at its error", ErrOptions)}
	}
	return g.refuse(op)
}

// ProposeAs is Propose under a token, from any host, any number of times: cmd is sent until it is answered,
// runs at most once, and each time its one result is returned. ErrNever: a Lookup was there before.
// ErrForgotten: it ran, and its result was more than is kept (Committed), or the token is older than what is
// remembered, and cmd is not run now (Unknown). ErrOptions: the token was not drawn from this group, or is zero. A token is of one
// command: another one under it gets the result of the first, and is not run. Any
// other error that is NotCommitted is of this call: an earlier one under the token may have run.
func (g *Group) ProposeAs(ctx context.Context, t Token, cmd []byte) (Result, error) {
	if err := g.refuseToken("ProposeAs", t); err != nil {
		return Result{}, err
	}
	r, err := g.h.ProposeAs(ctx, raft.GroupID(g.id), session.Token(t), cmd)
	return result(r), fault("ProposeAs", g.id, err)
}

// Lookup settles what became of the command under a token, by a fence in the log: its result or its
// refusal; ErrNever, NotCommitted, if it has not run and from now on never will; ErrForgotten as of
// ProposeAs. Any other error settles nothing and is Unknown: ask again.
func (g *Group) Lookup(ctx context.Context, t Token) (Result, error) {
	if err := g.refuseToken("Lookup", t); err != nil {
		return Result{}, err
	}
	r, err := g.h.Lookup(ctx, raft.GroupID(g.id), session.Token(t))
	return result(r), fault("Lookup", g.id, err)
}
