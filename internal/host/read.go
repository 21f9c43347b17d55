package host

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Level says what a read must see; the numbers are those of package lockstep.
type Level uint8

// The levels.
const (
	Linearizable Level = iota
	Leased
	AtLeast
	Stale
)

// ReadOptions of one read.
type ReadOptions struct {
	Level  Level
	After  raft.Index
	MaxAge time.Duration
}

// readCall is one read on its way: it waits for a read index, then until the machine has applied
// it, and gets a view. It completes once. Whoever ends it has taken it off the list that it was on,
// or is its caller, who leaves it there: one whose Wake was consumed is on no list, and used again.
type readCall struct {
	g        *group
	opts     ReadOptions
	index    raft.Index    // the machine must have applied
	own      bool          // wants a view of its own, not a shared one
	patient  bool          // its context ends it, or nothing
	deadline time.Duration // at which the sweep ends it; 0: never
	state    atomic.Uint32
	waiter   env.Waiter
	out      bytes.Buffer

	view  *sharedView
	owned machine.View
	at    raft.Index
	err   error
}

func (r *readCall) fail(err error) { r.complete(nil, nil, 0, err) }

// complete ends the read; false: its caller has gone, and the views are still whose they were.
func (r *readCall) complete(view *sharedView, owned machine.View, at raft.Index, err error) bool {
	if !r.state.CompareAndSwap(callOpen, callCompleting) {
		return false
	}
	r.view, r.owned, r.at, r.err = view, owned, at, err
	r.state.Store(callDone)
	r.waiter.Wake()
	return true
}

// abandon ends the read for its caller; false: it has an answer.
func (r *readCall) abandon() bool { return r.state.CompareAndSwap(callOpen, callDone) }

func (r *readCall) done() bool { return r.state.Load() == callDone }

// late says whether the read is to be forgotten: its caller has gone, or its time is over, which it is
// told then.
func (r *readCall) late(now time.Duration) bool {
	if r.deadline != 0 && r.deadline <= now {
		r.fail(r.tooLate())
		return true // it has ended, and may be another's by now
	}
	return r.done()
}

// tooLate is the error of a read whose time is over: it names what was waited for.
func (r *readCall) tooLate() error {
	switch r.opts.Level {
	case AtLeast:
		return fmt.Errorf("%w: it waits for index %d, and %d is executed here", ErrBehind, r.opts.After, r.g.lane.applied.Load())
	case Stale:
		return fmt.Errorf("%w: its machine is busy, and has executed %d", ErrBehind, r.g.lane.applied.Load())
	}
	return ErrNoQuorum
}

// maxKeptAnswer is the longest answer whose memory is kept for the next.
const maxKeptAnswer = 4 << 10

// answer is what was written to out, for the caller to keep.
func (r *readCall) answer() []byte {
	p := r.out.Bytes()
	if len(p) > maxKeptAnswer {
		r.out = bytes.Buffer{}
		return p
	}
	return append([]byte(nil), p...)
}

func (h *Host) takeRead() *readCall {
	r, _ := h.reads.Get().(*readCall)
	if r == nil {
		r = &readCall{waiter: h.env.NewWaiter()}
	}
	return r
}

func (h *Host) giveRead(r *readCall) {
	r.out.Reset()
	*r = readCall{waiter: r.waiter, out: r.out}
	h.reads.Put(r)
}

// sharedView is one pinned state that several reads use; the last one out closes it.
type sharedView struct {
	v    machine.View
	refs atomic.Int64
}

func (s *sharedView) release() error {
	if s.refs.Add(-1) == 0 {
		return s.v.Close()
	}
	return nil
}

// Read answers a query at the asked level.
func (h *Host) Read(ctx context.Context, id raft.GroupID, query []byte, opts ReadOptions) ([]byte, raft.Index, error) {
	r, err := h.await(ctx, id, opts, false, int64(len(query)))
	if err != nil {
		return nil, 0, err
	}
	err = r.view.v.Query(query, &r.out)
	if cerr := r.view.release(); err == nil && cerr != nil {
		err = cerr
	}
	at := r.at
	var data []byte
	if err == nil {
		data = r.answer()
	}
	h.giveRead(r)
	return data, at, err
}

// View pins the state at the asked level. The caller closes it.
func (h *Host) View(ctx context.Context, id raft.GroupID, opts ReadOptions) (machine.View, raft.Index, error) {
	r, err := h.await(ctx, id, opts, true, 0)
	if err != nil {
		return nil, 0, err
	}
	view, at := r.owned, r.at
	h.giveRead(r)
	return view, at, nil
}

// await sends a read off and waits for its view, unless too many wait (H19).
func (h *Host) await(ctx context.Context, id raft.GroupID, opts ReadOptions, own bool, query int64) (*readCall, error) {
	g := h.Replica(id)
	switch {
	case h.closed.Load(), h.leaving.Load():
		return nil, ErrClosed
	case g == nil:
		return nil, h.noReplica(id)
	case !h.inboxBytes.take(query + readOverhead):
		return nil, h.busy(id, "inbox")
	}
	defer h.inboxBytes.give(query + readOverhead)
	r := h.takeRead()
	r.g, r.opts, r.own = g, opts, own
	_, r.patient = ctx.Deadline()
	for {
		if err := g.acceptRead(r); err != nil {
			return nil, err
		}
		if err := r.waiter.Wait(ctx, 0); err != nil {
			if late := r.tooLate(); r.abandon() {
				if err == context.DeadlineExceeded && late != ErrNoQuorum {
					err = fmt.Errorf("%w: %w", late, err)
				}
				return nil, err
			}
			_ = r.waiter.Wait(nil, 0) //nolint:staticcheck // whoever was first wakes it now
		}
		switch {
		case r.err == errAskAgain:
			r.state.Store(callOpen)
		case r.err != nil:
			err := r.err
			h.giveRead(r)
			return nil, err
		default:
			return r, nil
		}
	}
}

// errAskAgain says that nobody could confirm the read index in this leadership: a new token asks
// the next one (tokens are never used twice).
var errAskAgain = fmt.Errorf("read index not confirmed")

// enqueueReads starts reads on the turn.
func (g *group) enqueueReads(reads []*readCall) {
	until := time.Duration(0)
	if wait := g.h.opts.CallTimeout; wait >= 0 {
		until = g.h.env.Clock().Now() + wait
	}
	disputed := g.r.Configuration().Settings.Halt == raft.HaltDisputed
	for _, r := range reads {
		if disputed {
			r.fail(notCommitted(fmt.Errorf("%w: %s", ErrHalted, haltText(raft.HaltDisputed))))
			continue
		}
		if !r.patient && r.deadline == 0 {
			r.deadline = until
		}
		switch r.opts.Level {
		case Linearizable, Leased:
			g.asking[r.opts.Level] = append(g.asking[r.opts.Level], r)
			continue
		case AtLeast:
			r.index = r.opts.After
		case Stale:
			if why := g.recovering(); why != "" {
				r.fail(notCommitted(fmt.Errorf("%w: %s", ErrRecovering, why)))
				continue
			}
			if r.opts.MaxAge > 0 {
				if age, ok := g.young(r.opts.MaxAge); !ok {
					r.fail(fmt.Errorf("%w: %v old, at most %v", ErrStale, age, r.opts.MaxAge))
					continue
				}
			}
		default:
			r.fail(fmt.Errorf("%w: ReadOptions.Level %d is none of the four", ErrOptions, r.opts.Level))
			continue
		}
		g.lane.addReaders(g, r)
	}
	if len(reads) > 0 {
		g.expectSweep()
	}
}

// sweepReads ends reads whose time is over, and forgets those whose callers have gone. Open: some wait.
func (g *group) sweepReads(now time.Duration) (open bool) {
	late := func(r *readCall) bool { return r.late(now) }
	for level := range g.asking {
		g.asking[level] = slices.DeleteFunc(g.asking[level], late)
	}
	for i := range g.asked {
		g.asked[i].reads = slices.DeleteFunc(g.asked[i].reads, late)
		open = open || len(g.asked[i].reads) > 0
	}
	return g.lane.sweepReads(now) || open || g.asks()
}

// sweepReads is the group's, for those that wait for the machine.
func (l *lane) sweepReads(now time.Duration) (open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readers = slices.DeleteFunc(l.readers, func(r *readCall) bool { return r.late(now) })
	return len(l.readers) > 0
}

// askedReads wait for one read index.
type askedReads struct {
	token uint64
	at    time.Duration // when it was asked for
	reads []*readCall   // none: of the replica itself
}

// maxAsked is how many read indexes a group asks for at once: those who come meanwhile share the next.
// It is far below what raft takes: a question that raft refuses for their number would be asked again
// at once, and keep the turn from whatever ends the wait.
const maxAsked = 2

// askReads lets all reads that wait share one token, and so one round to a majority (H11).
func (g *group) askReads() {
	for _, level := range [...]Level{Leased, Linearizable} {
		own := g.fresh.wanted && level == Linearizable && len(g.asked) == 0 && g.r.Leader() != 0
		if len(g.asking[level]) == 0 && !own || len(g.asked) >= maxAsked {
			continue
		}
		g.fresh.wanted = false
		g.nextToken++
		token := g.h.life + g.nextToken
		g.asked = append(g.asked, askedReads{token: token, at: g.h.env.Clock().Now(), reads: g.asking[level]})
		g.asking[level], g.spareReads = g.spareReads, nil
		g.step(raft.Input{Kind: raft.InRead, Token: token, Leased: level == Leased})
	}
}

// asks says whether reads wait for a read index to be asked for.
func (g *group) asks() bool { return len(g.asking[Linearizable])+len(g.asking[Leased]) > 0 }

// readReady gives the confirmed reads to the lane, which waits until their index is applied.
func (g *group) readReady(rr *raft.ReadReady) {
	if g.catchUp.token != 0 && rr.Token == g.catchUp.token {
		g.catchUpReady(rr)
		return
	}
	i := slices.IndexFunc(g.asked, func(a askedReads) bool { return a.token == rr.Token })
	if i < 0 {
		return
	}
	reads, at := g.asked[i].reads, g.asked[i].at
	g.asked = slices.Delete(g.asked, i, i+1)
	switch {
	case !rr.Failed:
		g.fresh.confirm(rr.Index, at)
		for _, r := range reads {
			r.index = rr.Index
		}
		g.lane.addReaders(g, reads...)
	case g.leaderHost() != 0:
		for _, r := range reads {
			r.fail(errAskAgain)
		}
	default: // until somebody leads; the sweep bounds it
		for _, r := range reads {
			g.asking[r.opts.Level] = append(g.asking[r.opts.Level], r)
		}
	}
	g.spareReads = spare(reads)
	if g.asks() {
		g.touch() // there is a token for them again
	}
}

// serve answers the reads whose index is applied, several of them from one pinned state.
func (l *lane) serve(g *group) error {
	applied := raft.Index(l.applied.Load())
	l.mu.Lock()
	ready, kept := l.serving[:0], l.readers[:0]
	for _, r := range l.readers {
		if r.index <= applied {
			ready = append(ready, r)
		} else {
			kept = append(kept, r)
		}
	}
	clear(l.readers[len(kept):])
	l.readers = kept
	l.mu.Unlock()
	if len(ready) == 0 {
		return nil
	}
	var shared *sharedView
	err := l.guard("View", func() { shared = l.giveViews(ready, applied) })
	if err != nil {
		for _, r := range ready {
			if r != nil {
				r.fail(fmt.Errorf("%w: %w", ErrQuarantined, err))
			}
		}
	}
	if shared != nil {
		_ = shared.release()
	}
	l.serving = spare(ready)
	return err
}

// giveViews answers reads, and takes them out of ready: they are others' then. The caller releases its
// share of the view that is returned.
func (l *lane) giveViews(ready []*readCall, applied raft.Index) (shared *sharedView) {
	for i, r := range ready {
		switch {
		case r.done():
		case r.own:
			if v := l.machine.View(); !r.complete(nil, v, applied, nil) {
				_ = v.Close()
			}
		default:
			if shared == nil {
				shared = &sharedView{v: l.machine.View()}
				shared.refs.Store(1)
			}
			shared.refs.Add(1)
			if !r.complete(shared, nil, applied, nil) {
				_ = shared.release()
			}
		}
		ready[i] = nil
	}
	return shared
}

// servable says whether a read could be answered now. The lock is held.
func (l *lane) servable() bool {
	applied := raft.Index(l.applied.Load())
	for _, r := range l.readers {
		if r.index <= applied {
			return true
		}
	}
	return false
}

// Wait waits, for ctx alone, until more than after is applied here, and says how much is.
func (h *Host) Wait(ctx context.Context, id raft.GroupID, after raft.Index) (raft.Index, error) {
	g := h.Replica(id)
	if g == nil {
		return 0, h.noReplica(id)
	}
	w := h.env.NewWaiter()
	for {
		applied := raft.Index(g.lane.applied.Load())
		if applied > after {
			return applied, nil
		}
		if h.closed.Load() {
			return applied, ErrClosed
		}
		if !g.lane.watch(after, w) {
			if h.closed.Load() {
				return applied, ErrClosed
			}
			return applied, ErrQuarantined
		}
		if err := w.Wait(ctx, 0); err != nil {
			g.lane.unwatch(w)
			return applied, err
		}
	}
}

// watch registers w; false: the lane has stopped. An index applied meanwhile wakes w at once.
func (l *lane) watch(after raft.Index, w env.Waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	if raft.Index(l.applied.Load()) > after {
		w.Wake()
		return true
	}
	l.waiters = append(l.waiters, laneWaiter{after: after, w: w})
	return true
}

// unwatch forgets w: whoever waited for an index far away has gone.
func (l *lane) unwatch(w env.Waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiters = slices.DeleteFunc(l.waiters, func(lw laneWaiter) bool { return lw.w == w })
}
