package sim

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/sim/check"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// Once sends a command under a token that is drawn for it. If its end leaves open what became of the
// command, it asks Lookup on whatever host the seed picks, while ctx lasts, and the judges hold the engine
// to that answer. Now and then it asks while the command is on its way, or proposes a second time.
func (c *Client) Once(ctx context.Context, cmd []byte) (lockstep.Result, error) {
	o := &once{caller: c.a, ctx: ctx, cmd: cmd}
	call := &check.Call{Input: bytes.Clone(cmd)}
	return c.a.record(call, o.propose, o.settle)
}

// once is one command under a token.
type once struct {
	*caller
	ctx   context.Context
	cmd   []byte
	token lockstep.Token
	drawn bool
}

// impatient is how long the first sending of some commands is waited for.
const impatient = 30 * time.Millisecond

func (o *once) propose(g *lockstep.Group) (r lockstep.Result, err error) {
	if o.token, err = g.NewToken(); err != nil {
		return r, err
	}
	o.drawn = true
	ctx := o.ctx
	if o.rng.IntN(3) == 0 {
		short, cancel := world.From(ctx).WithTimeout(ctx, time.Duration(o.rng.Int64N(int64(impatient))))
		defer cancel()
		ctx = short
	}
	return g.ProposeAs(ctx, o.token, o.cmd)
}

// settle finds out what a proposal came to that ended with r and err.
func (o *once) settle(r lockstep.Result, err error) (lockstep.Result, error) {
	again := o.rng.IntN(4) == 0
	for tries := 0; o.drawn && (again || !final(err)) && tries < 50; tries++ {
		h := o.c.r.hosts[o.rng.IntN(len(o.c.r.hosts))]
		if h.group == nil {
			o.c.r.w.Sleep(50 * time.Millisecond)
			continue
		}
		next, nextErr := lockstep.Result{}, error(&lockstep.Error{Op: "Lookup", Group: groupID, Outcome: lockstep.Unknown, Err: errDown})
		o.c.r.w.Do(h.n, func() {
			if again && final(err) && !errors.Is(err, lockstep.ErrNever) {
				next, nextErr = h.group.ProposeAs(o.ctx, o.token, o.cmd)
			} else {
				next, nextErr = h.group.Lookup(o.ctx, o.token)
			}
		})
		if final(nextErr) {
			o.agree(r, err, next, nextErr)
			r, err, again = next, nextErr, false
		}
		if o.ctx.Err() != nil {
			break
		}
	}
	return r, err
}

// final says whether an error settles a token for ever, or there is none.
func final(err error) bool {
	var no *machine.Refusal
	return err == nil || errors.As(err, &no) || errors.Is(err, lockstep.ErrNever) || errors.Is(err, lockstep.ErrForgotten)
}

// agree looks whether two final answers about one token tell the same.
func (o *once) agree(r lockstep.Result, err error, next lockstep.Result, nextErr error) {
	if !final(err) || errors.Is(err, lockstep.ErrForgotten) || errors.Is(nextErr, lockstep.ErrForgotten) {
		return
	}
	if r.Index != next.Index || r.Ordinal != next.Ordinal || !bytes.Equal(r.Data, next.Data) || errors.Is(err, lockstep.ErrNever) != errors.Is(nextErr, lockstep.ErrNever) {
		o.c.Errorf("S1: the command under token %x was answered %+v, %v, and later %+v, %v", o.token, r, err, next, nextErr)
	}
}
