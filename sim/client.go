package sim

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/sim/check"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// Client is one client of the simulated cluster: a lockstep.Caller whose calls go to hosts drawn by
// the seed and are recorded and judged. It belongs to the task that it was given to.
type Client struct {
	lockstep.Caller
	N        int // from 0
	r        *run
	a        *caller
	source   *rand.PCG
	rng      *rand.Rand
	scripted bool
	flights  []flight // of commands that were started, by host
}

func newClient(r *run, n int) *Client {
	c := &Client{N: n, r: r, source: rand.NewPCG(r.seed, uint64(n)+1<<32), flights: make([]flight, len(r.hosts))}
	c.rng = rand.New(c.source)
	a := &caller{c: c, host: n % len(r.hosts), source: rand.NewPCG(0, 0)}
	a.rng = rand.New(a.source)
	c.Caller, c.a = a, a
	return c
}

// Rand is the client's own stream of random numbers. Each call begins it anew, from the seed and the
// call's number, so that what a client does next does not depend on how often it drew before.
func (c *Client) Rand() *rand.Rand { return c.rng }

// Sleep parks the client for d of simulated time.
func (c *Client) Sleep(d time.Duration) { c.r.w.Sleep(d) }

// Rest parks the client for d of simulated time, or until ctx ends or the faults do: then every client has to call.
func (c *Client) Rest(ctx context.Context, d time.Duration) {
	const step = time.Second
	for ; d > 0 && ctx.Err() == nil && !c.r.healing; d -= step {
		c.Sleep(min(d, step))
	}
}

// Now is how much simulated time has passed.
func (c *Client) Now() time.Duration { return c.r.w.Now() }

// Errorf says that the client has seen something that must not be. It fails the simulation.
func (c *Client) Errorf(format string, args ...any) {
	c.r.broken("client %d: "+format, append([]any{c.N}, args...)...)
}

// WithTimeout returns a copy of ctx that ends after d of simulated time. ctx is one that Run gave.
func WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return world.From(ctx).WithTimeout(ctx, d)
}

// errDown says that there is no process to call; errLeftOut, that a thinned run does not make this call.
var (
	errDown    = errors.New("host is down")
	errLeftOut = errors.New("call is not among the run's decisions")
)

// caller makes the calls of a client. It stays with one host until that fails it, or on a whim.
type caller struct {
	c      *Client
	host   int
	n      int // calls so far
	source *rand.PCG
	rng    *rand.Rand // of the present call
}

// Propose implements lockstep.Caller.
func (a *caller) Propose(ctx context.Context, cmd []byte) (lockstep.Result, error) {
	call := &check.Call{Input: bytes.Clone(cmd)}
	return a.call(call, func(g *lockstep.Group) (lockstep.Result, error) { return g.Propose(ctx, cmd) })
}

// Read implements lockstep.Caller.
func (a *caller) Read(ctx context.Context, query []byte, opts lockstep.ReadOptions) (lockstep.Result, error) {
	call := &check.Call{Input: bytes.Clone(query), Query: true, Linearizable: opts.Level == lockstep.Linearizable || opts.Level == lockstep.Leased}
	if opts.Level == lockstep.AtLeast {
		call.AtLeast = opts.After
	}
	if opts.Level == lockstep.Stale {
		call.MaxAge = opts.MaxAge * 5 / 4 // its host's clock may go at 0.8 of the world's
	}
	return a.call(call, func(g *lockstep.Group) (lockstep.Result, error) { return g.Read(ctx, query, opts) })
}

// decide finds the host that the next call goes to: another one on a whim, unless it is to stay. false:
// the call is not made.
func (a *caller) decide(stay bool) bool {
	c, r := a.c, a.c.r
	a.n++
	a.source.Seed(r.seed^uint64(c.N)<<40, uint64(a.n))
	c.source.Seed(r.seed^uint64(c.N)<<40, uint64(a.n)+1<<63)
	if a.rng.IntN(8) == 0 && !stay {
		a.host = a.rng.IntN(len(r.hosts))
	}
	if c.scripted {
		return true
	}
	if r.plan != nil && !r.healing && !a.planned() {
		return false
	}
	if !r.healing {
		r.record(&Decision{At: r.w.Now(), Verb: verbCall, Client: c.N, Call: a.n, Hosts: []int{a.host}})
	}
	return true
}

// planned looks the next call up in the run's plan, and waits until its time comes. Calls that are not
// there are left out; when there are no more, the client waits for the healing.
func (a *caller) planned() bool {
	r := a.c.r
	left := r.plan.calls[a.c.N]
	for len(left) > 0 && left[0].Call < a.n {
		left = left[1:]
	}
	r.plan.calls[a.c.N] = left
	if len(left) == 0 {
		for !r.healing {
			r.w.Sleep(20 * time.Millisecond)
		}
		return true
	}
	if left[0].Call > a.n {
		return false
	}
	if wait := left[0].At - r.w.Now(); wait > 0 {
		r.w.Sleep(wait)
	}
	a.host = left[0].Hosts[0]
	return true
}

func (a *caller) call(call *check.Call, do func(*lockstep.Group) (lockstep.Result, error)) (lockstep.Result, error) {
	return a.record(call, do, nil)
}

// record makes a call on the host that the seed picks, and gives it to the judges. Settle, if there is one,
// goes on with what the call came to.
func (a *caller) record(call *check.Call, do func(*lockstep.Group) (lockstep.Result, error), settle func(lockstep.Result, error) (lockstep.Result, error)) (lockstep.Result, error) {
	r := a.c.r
	if !a.decide(false) {
		return lockstep.Result{}, &lockstep.Error{Op: "call", Group: groupID, Outcome: lockstep.NotCommitted, Err: errLeftOut}
	}
	h := r.hosts[a.host]
	if h.group == nil {
		a.host = a.rng.IntN(len(r.hosts))
		r.w.Sleep(10 * time.Millisecond)
		return lockstep.Result{}, &lockstep.Error{Op: "call", Group: groupID, Outcome: lockstep.NotCommitted, Err: errDown}
	}
	call.Client, call.Host, call.Began = a.c.N, h.n, r.w.Now()
	r.calls.Begin(call)
	var result lockstep.Result
	err := error(&lockstep.Error{Op: "call", Group: groupID, Outcome: lockstep.Unknown, Err: errDown})
	r.w.Do(h.n, func() { result, err = do(h.group) })
	if settle != nil {
		result, err = settle(result, err)
	}
	r.end(call, result, err)
	if call.Outcome != check.Answered {
		a.host = a.rng.IntN(len(r.hosts))
		r.w.Sleep(time.Duration(1 + a.rng.Int64N(int64(50*time.Millisecond))))
	}
	return result, err
}

// refusal is the machine's in err; nil: there is none.
func refusal(err error) *machine.Refusal {
	var no *machine.Refusal
	if err == nil || !errors.As(err, &no) {
		return nil
	}
	return no
}

// end gives a call's end to the judges.
func (r *run) end(call *check.Call, result lockstep.Result, err error) {
	call.Ended, call.Why = r.w.Now(), err
	no := refusal(err)
	switch {
	case err == nil || no != nil:
		call.Outcome, call.Refusal = check.Answered, no
		call.Index, call.Ordinal, call.Output = result.Index, result.Ordinal, bytes.Clone(result.Data)
	case lockstep.OutcomeOf(err) == lockstep.NotCommitted || call.Query:
		call.Outcome = check.Never
	case lockstep.OutcomeOf(err) == lockstep.Committed:
		call.Outcome, call.Index, call.Ordinal = check.Ran, result.Index, result.Ordinal
	default:
		call.Outcome = check.Maybe
	}
	r.calls.End(call)
	text := strconv.AppendInt(r.text[:0], int64(call.Client), 10)
	text = strconv.AppendUint(append(text, ' '), uint64(call.Index), 10)
	text = strconv.AppendUint(append(text, '.'), uint64(call.Ordinal), 10)
	r.text = strconv.AppendUint(append(text, ' '), uint64(call.Outcome), 10)
	r.w.Note(world.Driver, "call", r.text)
	if call.Outcome != check.Answered {
		r.probes.call(call.Query, err)
	}
}
