package host

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A Session is one client's register in a group's log: its commands are sent again until they are
// answered, and run at most once. It is safe for concurrent use.
//
//	open ──Close──▶ closed
//	  └──evicted, or unused for SessionTTL──▶ evicted
type Session struct {
	h     *Host
	group raft.GroupID
	id    session.ID

	mu    sync.Mutex
	next  uint64   // the sequence number of the next command
	open  []uint64 // those that are not answered, ascending
	queue []env.Waiter
	ended error      // no more commands
	seen  raft.Index // the newest that an answer was of
}

const (
	// maxSessionQueue bounds who waits for room in a session's window (A9).
	maxSessionQueue = 1024
	// attemptFor, in election timeouts, is how long the first sending of a command is waited for; each
	// further one twice as long, up to maxAttempt.
	attemptFor = 4
	maxAttempt = 10 * time.Second
	// retryFirst and retryMost bound the pause before a command is sent again.
	retryFirst = 10 * time.Millisecond
	retryMost  = 500 * time.Millisecond
)

// OpenSession registers a session in the group's log.
func (h *Host) OpenSession(ctx context.Context, id raft.GroupID) (*Session, error) {
	var name session.Token
	h.env.Rand().Fill(name[:])
	header := session.Header{Kind: session.Register, Token: name}
	c, err := h.insist(ctx, id, func() *session.Header { return &header }, nil)
	if err != nil {
		return nil, err
	}
	return &Session{h: h, group: id, id: c.opened, next: 1, seen: c.Result.Index}, nil
}

// Propose sends a copy of cmd until it is answered, and returns its one result.
func (s *Session) Propose(ctx context.Context, cmd []byte) (Result, error) {
	seq, err := s.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	c, err := s.h.insist(ctx, s.group, func() *session.Header { return s.header(seq) }, cmd)
	s.end(seq, c.Result.Index, err)
	return c.Result, err
}

// Seen is the newest index that an answer of the session was of.
func (s *Session) Seen() raft.Index {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// Close ends the session: its commands that are under way are not sent again.
func (s *Session) Close(ctx context.Context) error {
	s.finish(notCommitted(ErrEvicted))
	header := session.Header{Kind: session.Close, ID: s.id}
	_, err := s.h.insist(ctx, s.group, func() *session.Header { return &header }, nil)
	return err
}

// header is a command's, as it is sent now.
func (s *Session) header(seq uint64) *session.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &session.Header{Kind: session.Command, ID: s.id, Seq: seq, Low: s.open[0]}
}

// begin gives a command its number, and waits before that while the window is full: the table keeps no
// more results.
func (s *Session) begin(ctx context.Context) (uint64, error) {
	var w env.Waiter
	until := s.h.patience(ctx)
	for {
		s.mu.Lock()
		switch {
		case s.ended != nil:
			s.leave(w)
			err := s.ended
			s.mu.Unlock()
			return 0, err
		case (w == nil && len(s.queue) == 0 || w != nil && s.queue[0] == w) && s.room():
			s.leave(w)
			seq := s.next
			s.next++
			s.open = append(s.open, seq)
			s.mu.Unlock()
			return seq, nil
		case w == nil && len(s.queue) >= maxSessionQueue:
			s.mu.Unlock()
			return 0, s.h.busy(s.group, "session")
		case w == nil:
			w = s.h.env.NewWaiter()
			s.queue = append(s.queue, w)
		}
		s.mu.Unlock()
		if err := w.Wait(ctx, until); err != nil {
			s.mu.Lock()
			s.leave(w)
			s.mu.Unlock()
			if err == env.ErrTimeout {
				err = ErrNoQuorum
			}
			return 0, notCommitted(err)
		}
	}
}

// room says whether the window takes one more command.
func (s *Session) room() bool {
	return len(s.open) == 0 || s.next-s.open[0] < session.Window
}

// leave takes a waiter out of the queue, and wakes the first. The lock is held.
func (s *Session) leave(w env.Waiter) {
	if i := slices.Index(s.queue, w); w != nil && i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
	s.wakeFirst()
}

func (s *Session) wakeFirst() {
	if len(s.queue) > 0 && (s.ended != nil || s.room()) {
		s.queue[0].Wake()
	}
}

// end notes that nobody waits for a command any more: it is answered, or given up.
func (s *Session) end(seq uint64, index raft.Index, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearch(s.open, seq)
	s.open = slices.Delete(s.open, i, i+1)
	s.seen = max(s.seen, index)
	if errors.Is(err, ErrEvicted) && s.ended == nil {
		s.ended = notCommitted(ErrEvicted)
	}
	s.wakeFirst()
}

func (s *Session) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = err
	}
	s.wakeFirst()
}

// insist sends a command that the table of sessions lets run at most once until it is settled, or ctx
// ends, or CallTimeout has passed. Header is asked for each time. The call is the last one's, and done.
func (h *Host) insist(ctx context.Context, id raft.GroupID, header func() *session.Header, cmd []byte) (*Call, error) {
	until := h.patience(ctx)
	lasts, pause := attemptFor*h.opts.ElectionTimeout, retryFirst
	sent := false // an earlier one may be in the log, now or later
	for {
		c := h.attempt(ctx, id, header(), cmd, lasts, until)
		var fault *Fault
		if !errors.As(c.Err, &fault) {
			return c, c.Err // the machine's answer
		}
		sent = sent || fault.Outcome == Unknown
		known := *fault
		if sent && known.Outcome == NotCommitted && !errors.Is(known.Err, ErrNever) {
			known.Outcome = Unknown
		}
		now := h.env.Clock().Now()
		if !passes(fault) || ctx.Err() != nil || until != 0 && now >= until {
			return c, &known
		}
		if err := h.retries.pause(ctx, h, max(pause, fault.RetryAfter)); err != nil {
			known.Err = err
			return c, &known
		}
		lasts, pause = min(2*lasts, maxAttempt), min(2*pause, retryMost)
	}
}

// retries are the pauses before commands are sent again: Close ends them (H20).
type retries struct {
	mu      sync.Mutex
	waiting []env.Waiter
}

// pause waits for d, or until the host closes. The error is of ctx.
func (r *retries) pause(ctx context.Context, h *Host, d time.Duration) error {
	w := h.env.NewWaiter()
	r.mu.Lock()
	r.waiting = append(r.waiting, w)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if i := slices.Index(r.waiting, w); i >= 0 {
			r.waiting = slices.Delete(r.waiting, i, i+1)
		}
	}()
	if h.closed.Load() {
		return nil
	}
	if err := w.Wait(ctx, h.env.Clock().Now()+d); err != env.ErrTimeout {
		return err
	}
	return nil
}

// end wakes all.
func (r *retries) end() {
	r.mu.Lock()
	waiting := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	for _, w := range waiting {
		w.Wake()
	}
}

// passes says whether a command that came to this is to be sent again.
func passes(f *Fault) bool {
	return slices.ContainsFunc([]error{ErrBusy, ErrNoSpace, ErrDropped, ErrNoQuorum, ErrSkipped}, func(e error) bool {
		return f.Outcome != Committed && errors.Is(f.Err, e)
	})
}

// attempt sends a command once, and waits for it.
func (h *Host) attempt(ctx context.Context, id raft.GroupID, header *session.Header, cmd []byte, lasts, until time.Duration) *Call {
	data := wire.AppendSessionHeader(make([]byte, 0, len(cmd)+32), header)
	c := &Call{waiter: h.env.NewWaiter(), header: len(data), patient: true, cmd: append(data, cmd...)}
	c.deadline = h.env.Clock().Now() + lasts
	if until != 0 {
		c.deadline = min(c.deadline, until)
	}
	if err := h.start(id, c); err != nil {
		c.Err = err
		return c
	}
	if err := c.waiter.Wait(ctx, 0); err != nil {
		h.cancel(c, err)
	}
	return c
}
