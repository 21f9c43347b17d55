package host

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A Call is one proposal on its way: queued on this host, then appended here or forwarded to the
// leader, then applied. It completes exactly once.
//
//	open ──claim──▶ completing ──finish──▶ done
type Call struct {
	OnDone func(*Call) // called once it is done, on a turn or a lane; nil: somebody waits
	Owner  any         // the caller's

	// Of a call that is done.
	Result Result
	Err    error // nil, a *machine.Refusal or a *Fault

	g        *group
	cmd      []byte
	header   int           // how many bytes of cmd are for the table of sessions
	opened   session.ID    // of a registration that is done
	order    uint64        // among the calls of its group on this host
	hold     time.Duration // of one that a leader refused: until when it waits for those after it; 0: none did
	patient  bool          // its context ends it, or nothing
	alone    bool          // its goroutine waits for it: it sends nothing after it
	deadline time.Duration // at which the sweep ends it; 0: never
	state    atomic.Uint32
	settled  bool   // the lane ended it: nobody else knows it any more
	buf      []byte // memory for cmd, of a call that is used again
	waiter   env.Waiter
}

// Result is a command's: its place and the machine's reply, which is the caller's.
type Result struct {
	Index   raft.Index
	Ordinal uint32
	Data    []byte
}

const (
	callOpen uint32 = iota
	callCompleting
	callDone
)

// command is what is proposed.
func (c *Call) command() wire.Command { return wire.Command{Data: c.cmd, Session: c.header > 0} }

// claim says whether it is the caller's to finish the call: once, to one (H4).
func (c *Call) claim() bool { return c.state.CompareAndSwap(callOpen, callCompleting) }

// finish completes a call that was claimed.
func (c *Call) finish(r Result, err error) {
	c.Result, c.Err = r, err
	c.g.h.inboxBytes.give(callBytes(c.cmd))
	c.cmd = nil
	onDone, waiter := c.OnDone, c.waiter
	c.state.Store(callDone)
	waiter.Wake() // once: from here on a call without OnDone may be another's
	if onDone != nil {
		onDone(c)
	}
}

// fail ends the call with what is known of it, if nobody else has ended it.
func (c *Call) fail(err *Fault) {
	if c.claim() {
		c.finish(Result{}, err)
	}
}

// settle ends the call with what the machine gave, if nobody else has ended it. The caller has taken it
// out of waiting.
func (c *Call) settle(r Result, err error) {
	if c.claim() {
		c.settled = true
		c.finish(r, err)
	}
}

// Done says whether the result is there.
func (c *Call) Done() bool { return c.state.Load() == callDone }

// Propose sends a copy of cmd once, and waits for its result: the error says what is known otherwise.
func (h *Host) Propose(ctx context.Context, id raft.GroupID, cmd []byte) (Result, error) {
	c := h.takeCall(cmd)
	_, c.patient = ctx.Deadline()
	c.alone = true
	if err := h.start(id, c); err != nil {
		h.giveCall(c)
		return Result{}, err
	}
	if err := c.waiter.Wait(ctx, 0); err != nil {
		h.cancel(c, err)
		return c.Result, c.Err
	}
	r, err := c.Result, c.Err
	if c.settled {
		h.giveCall(c)
	}
	return r, err
}

// maxKeptCommand is the longest command whose memory is kept for the next.
const maxKeptCommand = 4 << 10

// takeCall gives a call that holds a copy of cmd. Calls of Propose are used again: a command costs no
// allocation on its way. One goes back once its only Wake is consumed and the lane, which took it out
// of waiting, was the one that ended it: a call that was cancelled or has expired may still be met.
func (h *Host) takeCall(cmd []byte) *Call {
	c, _ := h.calls.Get().(*Call)
	if c == nil {
		c = &Call{waiter: h.env.NewWaiter()}
	}
	if len(cmd) <= maxKeptCommand {
		c.buf = append(c.buf[:0], cmd...)
		c.cmd = c.buf
	} else {
		c.cmd = append([]byte(nil), cmd...)
	}
	return c
}

func (h *Host) giveCall(c *Call) {
	*c = Call{buf: c.buf, waiter: c.waiter}
	h.calls.Put(c)
}

// Await waits until call is done or ctx ends, which ends the call with what is known of it.
func (h *Host) Await(ctx context.Context, call *Call) {
	for !call.Done() {
		if err := call.waiter.Wait(ctx, 0); err != nil {
			h.cancel(call, err)
		}
	}
}

// cancel ends a call whose caller has waited enough, and returns when it is done.
func (h *Host) cancel(c *Call, err error) {
	h.post(event{kind: evCancel, g: c.g, call: c, err: err})
	for !c.Done() {
		_ = c.waiter.Wait(nil, 0) //nolint:staticcheck // the turn answers at once, whatever ctx says
	}
}

// Start accepts a copy of cmd and returns at once. nil: call completes exactly once, CallTimeout from
// now at the latest.
func (h *Host) Start(id raft.GroupID, cmd []byte, call *Call) error {
	call.cmd, call.waiter = append([]byte(nil), cmd...), h.env.NewWaiter()
	return h.start(id, call)
}

// start gives a call to its group.
func (h *Host) start(id raft.GroupID, c *Call) error {
	if h.closed.Load() || h.leaving.Load() {
		return notCommitted(ErrClosed)
	}
	if c.g = h.Replica(id); c.g == nil {
		return notCommitted(h.noReplica(id))
	}
	bytes := callBytes(c.cmd)
	if !h.inboxBytes.take(bytes) {
		return h.busy(id, "inbox")
	}
	if err := c.g.accept(c); err != nil {
		h.inboxBytes.give(bytes)
		return notCommitted(err)
	}
	return nil
}

// busyRetry is the hint that ErrBusy gives: about ten rounds of a common disk.
const busyRetry = 5 * time.Millisecond

// busy refuses a call for lack of room in a budget.
func (h *Host) busy(id raft.GroupID, budget string) *Fault {
	h.tell(env.Event{Kind: env.CallBusy, Group: uint64(id), Text: budget})
	return &Fault{Outcome: NotCommitted, RetryAfter: busyRetry, Err: ErrBusy}
}

// patience is when something without a deadline of its own ends; 0: never.
func (h *Host) patience(ctx context.Context) time.Duration {
	if _, ok := ctx.Deadline(); ok || h.opts.CallTimeout < 0 {
		return 0
	}
	return h.env.Clock().Now() + h.opts.CallTimeout
}
