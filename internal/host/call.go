package host

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A Call is one proposal on its way: queued on this host, then appended here or forwarded to the
// leader, then applied. It completes exactly once.
//
//	open ──complete──▶ completing ──▶ done
type Call struct {
	OnDone func(*Call) // called once it is done, on a turn or a lane; nil: somebody waits
	Owner  any         // the caller's

	// The result, once done. Err is nil, a *machine.Refusal or a *Fault.
	Index   raft.Index
	Ordinal uint32
	Data    []byte
	Err     error

	cmd      []byte
	order    uint64        // among the calls of its group on this host
	hold     time.Duration // of one that a leader refused: until when it waits for those after it; 0: none did
	deadline time.Duration // at which the sweep ends it; 0: never
	budget   *budget       // to which the command's bytes are given back
	state    atomic.Uint32
	waiter   env.Waiter
}

const (
	callOpen uint32 = iota
	callCompleting
	callDone
)

// complete ends the call, if nobody else has (H4).
func (c *Call) complete(index raft.Index, ordinal uint32, data []byte, err error) {
	if !c.state.CompareAndSwap(callOpen, callCompleting) {
		return
	}
	c.Index, c.Ordinal, c.Data, c.Err = index, ordinal, data, err
	if c.budget != nil {
		c.budget.give(callBytes(c.cmd))
	}
	c.cmd = nil
	onDone, waiter := c.OnDone, c.waiter
	c.state.Store(callDone)
	if waiter != nil {
		waiter.Wake()
	}
	if onDone != nil {
		onDone(c)
	}
}

func (c *Call) fail(err *Fault) { c.complete(0, 0, nil, err) }

// Done says whether the result is there.
func (c *Call) Done() bool { return c.state.Load() == callDone }

// Propose sends cmd once and waits for its result: Call.Err tells what is known otherwise. cmd is
// the engine's from now on.
func (h *Host) Propose(ctx context.Context, id raft.GroupID, cmd []byte, call *Call) {
	call.waiter = h.env.NewWaiter()
	if err := h.Start(id, cmd, call, h.patience(ctx)); err != nil {
		call.Err = err
		return
	}
	h.AwaitCall(ctx, id, call)
}

// patience is when a call without a deadline of its own ends.
func (h *Host) patience(ctx context.Context) time.Duration {
	if _, ok := ctx.Deadline(); ok || h.opts.CallTimeout < 0 {
		return 0
	}
	return h.env.Clock().Now() + h.opts.CallTimeout
}

// AwaitCall waits until call is done or ctx ends, which ends the call with what is known of it.
func (h *Host) AwaitCall(ctx context.Context, id raft.GroupID, call *Call) {
	for !call.Done() {
		err := call.waiter.Wait(ctx, 0)
		if err == nil {
			continue
		}
		if err == env.ErrContext {
			err = ErrContext
		}
		h.post(event{kind: evCancel, group: id, call: call, err: err})
		for !call.Done() {
			_ = call.waiter.Wait(nil, 0) //nolint:staticcheck // the turn answers at once, whatever ctx says
		}
	}
}

// Start accepts cmd and returns at once. nil: call completes exactly once. deadline, on the host's
// clock, ends it with what is known; 0: never.
func (h *Host) Start(id raft.GroupID, cmd []byte, call *Call, deadline time.Duration) error {
	if h.closed.Load() {
		return notCommitted(ErrClosed)
	}
	if !h.inboxBytes.take(callBytes(cmd)) {
		return h.busy(id, "inbox")
	}
	call.cmd, call.deadline, call.budget = cmd, deadline, &h.inboxBytes
	call.state.Store(callOpen)
	h.post(event{kind: evPropose, group: id, call: call})
	return nil
}

// busyRetry is the hint that ErrBusy gives: about ten rounds of a common disk.
const busyRetry = 5 * time.Millisecond

// busy refuses a call for lack of room in a budget.
func (h *Host) busy(id raft.GroupID, budget string) *Fault {
	h.tell(env.Event{Kind: env.CallBusy, Group: uint64(id), Text: budget})
	return &Fault{Outcome: NotCommitted, RetryAfter: busyRetry, Err: ErrBusy}
}

// settle turns one command's result into the call's.
func (c *Call) settle(index raft.Index, ordinal uint32, out *machine.Results, i int) {
	data, no := out.At(i)
	if no != nil {
		c.complete(index, ordinal, nil, no)
		return
	}
	c.complete(index, ordinal, append([]byte(nil), data...), nil)
}

// StartCall is Start with the host's own patience, for calls that nobody waits for yet.
func (h *Host) StartCall(id raft.GroupID, cmd []byte, call *Call) error {
	call.waiter = h.env.NewWaiter()
	return h.Start(id, cmd, call, h.patience(context.Background()))
}
