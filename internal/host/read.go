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
// it, and gets a view. It completes once.
type readCall struct {
	opts   ReadOptions
	group  raft.GroupID
	index  raft.Index // the machine must have applied
	own    bool       // wants a view of its own, not a shared one
	state  atomic.Uint32
	waiter env.Waiter

	view  *sharedView
	owned machine.View
	at    raft.Index
	err   error
}

func (r *readCall) fail(err error) { r.complete(nil, nil, 0, err) }

// complete ends the read; false: somebody else has, and the views are still the caller's.
func (r *readCall) complete(view *sharedView, owned machine.View, at raft.Index, err error) bool {
	if !r.state.CompareAndSwap(callOpen, callCompleting) {
		return false
	}
	r.view, r.owned, r.at, r.err = view, owned, at, err
	r.state.Store(callDone)
	r.waiter.Wake()
	return true
}

func (r *readCall) done() bool { return r.state.Load() == callDone }

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
	r, err := h.await(ctx, &readCall{opts: opts, group: id}, int64(len(query)))
	if err != nil {
		return nil, 0, err
	}
	var out bytes.Buffer
	err = r.view.v.Query(query, &out)
	if cerr := r.view.release(); err == nil && cerr != nil {
		err = cerr
	}
	if err != nil {
		return nil, r.at, err
	}
	return out.Bytes(), r.at, nil
}

// View pins the state at the asked level. The caller closes it.
func (h *Host) View(ctx context.Context, id raft.GroupID, opts ReadOptions) (machine.View, raft.Index, error) {
	r, err := h.await(ctx, &readCall{opts: opts, group: id, own: true}, 0)
	if err != nil {
		return nil, 0, err
	}
	return r.owned, r.at, nil
}

// await sends the read off and waits for its view, unless too many wait (H19).
func (h *Host) await(ctx context.Context, r *readCall, query int64) (*readCall, error) {
	if !h.inboxBytes.take(query + readOverhead) {
		return nil, h.busy(r.group, "inbox")
	}
	defer h.inboxBytes.give(query + readOverhead)
	until := h.patience(ctx)
	for {
		r.waiter = h.env.NewWaiter()
		h.post(event{kind: evRead, group: r.group, read: r})
		for !r.done() {
			err := r.waiter.Wait(ctx, until)
			switch {
			case err == nil:
			case err == env.ErrTimeout:
				r.fail(ErrNoQuorum)
			default:
				r.fail(err)
			}
		}
		if r.err != errAskAgain {
			return r, r.err
		}
		again := &readCall{opts: r.opts, group: r.group, own: r.own}
		r = again
	}
}

// errAskAgain says that nobody could confirm the read index in this leadership: a new token asks
// the next one (tokens are never used twice).
var errAskAgain = fmt.Errorf("read index not confirmed")

// read starts one read on the turn.
func (g *group) read(r *readCall) {
	if g.stopped != nil {
		r.fail(fmt.Errorf("%w: %w", ErrQuarantined, g.stopped))
		return
	}
	switch r.opts.Level {
	case Linearizable, Leased:
		g.asking = append(g.asking, r)
		g.touch()
	case AtLeast:
		r.index = r.opts.After
		g.lane.addReader(g, r)
	case Stale:
		if age := g.age(); r.opts.MaxAge > 0 && age > r.opts.MaxAge {
			r.fail(fmt.Errorf("%w: %v old, at most %v", ErrStale, age, r.opts.MaxAge))
			return
		}
		g.lane.addReader(g, r)
	default:
		r.fail(fmt.Errorf("%w: ReadOptions.Level %d is none of the four", ErrOptions, r.opts.Level))
	}
}

// age is how long ago this replica last heard from a leader, or led.
func (g *group) age() time.Duration {
	now := g.h.env.Clock().Now()
	if g.r.Role() == raft.Leader {
		return 0
	}
	return now - g.heard
}

// maxTokens is how many read indexes a group waits for at once: fewer than raft takes. A question
// that raft refuses for their number would be asked again at once, and keep the turn from whatever
// ends the wait. Reads that come meanwhile share the next token.
const maxTokens = 1024

// askReads lets all reads of a turn share one token, and so one round to a majority (H11).
func (g *group) askReads() {
	if len(g.asking) == 0 || len(g.asked) >= maxTokens {
		return
	}
	g.nextToken++
	token := g.h.life + g.nextToken
	reads := make([]*readCall, 0, len(g.asking))
	for _, r := range g.asking {
		if !r.done() {
			reads = append(reads, r)
		}
	}
	clear(g.asking)
	g.asking = g.asking[:0]
	if len(reads) == 0 {
		return
	}
	if g.asked == nil {
		g.asked = make(map[uint64][]*readCall)
	}
	g.asked[token] = reads
	g.step(raft.Input{Kind: raft.InRead, Token: token})
}

// readReady gives the confirmed reads to the lane, which waits until their index is applied.
func (g *group) readReady(rr *raft.ReadReady) {
	reads := g.asked[rr.Token]
	delete(g.asked, rr.Token)
	for _, r := range reads {
		if rr.Failed {
			if g.leaderHost() != 0 {
				r.fail(errAskAgain)
				continue
			}
			if !r.done() {
				g.asking = append(g.asking, r) // until somebody leads; the caller's patience bounds it
			}
			continue
		}
		r.index = rr.Index
		g.lane.addReader(g, r)
	}
	if len(g.asking) > 0 {
		g.touch() // there is a token for them again
	}
}

// serve answers the reads whose index is applied, several of them from one pinned state.
func (l *lane) serve(g *group) error {
	applied := raft.Index(l.applied.Load())
	l.mu.Lock()
	var ready []*readCall
	kept := l.readers[:0]
	for _, r := range l.readers {
		if r.index <= applied {
			ready = append(ready, r)
		} else if !r.done() {
			kept = append(kept, r)
		}
	}
	clear(l.readers[len(kept):])
	l.readers = kept
	l.mu.Unlock()
	var shared *sharedView
	err := l.guard("View", func() { shared = l.giveViews(ready, applied) })
	if err != nil {
		for _, r := range ready {
			r.fail(fmt.Errorf("%w: %w", ErrQuarantined, err)) // whoever has a view has it
		}
	}
	if shared != nil {
		_ = shared.release()
	}
	return err
}

// giveViews answers reads; the caller releases its share of the view that is returned.
func (l *lane) giveViews(ready []*readCall, applied raft.Index) (shared *sharedView) {
	for _, r := range ready {
		switch {
		case r.done():
		case r.own:
			v := l.machine.View()
			if !r.complete(nil, v, applied, nil) {
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
		return 0, fmt.Errorf("%w: group %d", ErrNoReplica, id)
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
