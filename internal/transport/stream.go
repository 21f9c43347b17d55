package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// streamFrameBytes is how many bytes of a snapshot go in one frame.
const streamFrameBytes = 64 << 10

// ErrStopped says that the receiver of a snapshot stream answered before its end.
var ErrStopped = errors.New("receiver answered before the end")

// outgoing is a snapshot stream being sent. The caller's task writes; a task of its own reads what
// the receiver says, so that a refusal is heard in the middle of a write.
type outgoing struct {
	t    *Transport
	c    *conn
	wake env.Waiter // of the sending task
	buf  []byte     // the next frame
	off  int64      // behind the last byte written

	mu      sync.Mutex
	resumed bool
	offset  int64
	ended   bool // the reading task is through: reply or err is final
	replied bool
	reply   string
	err     error
}

// SendSnapshot streams one snapshot to a host and returns when the host has installed it durably,
// or refused. send writes the sealed file from offset on. It runs on the caller's task and parks;
// the end of ctx closes the connection.
func (t *Transport) SendSnapshot(ctx context.Context, to raft.HostID, h wire.SnapshotHeader, send func(offset int64, w io.Writer) error) error {
	t.mu.Lock()
	l := t.links[to]
	t.mu.Unlock()
	if l == nil {
		return fmt.Errorf("send snapshot %d: host %d is no peer", h.Meta.Index(), to)
	}
	c, _, err := t.dial(l.addr, to, wire.PurposeSnapshot)
	if err != nil {
		return fmt.Errorf("send snapshot %d: %w", h.Meta.Index(), err)
	}
	defer c.close()
	c.setLimit(t.o.IdleTimeout)
	stop := t.guard(ctx, c)
	defer stop()
	s := &outgoing{t: t, c: c, wake: t.o.Env.NewWaiter()}
	h.Sessions = nil // they are in the file
	err = c.writeFrame(wire.FrameSnapshotHeader, wire.AppendSnapshotHeader(wire.BeginFrame(nil), &h))
	if err == nil {
		err = s.converse(send)
	}
	if ctx != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("send snapshot %d to host %d: %w", h.Meta.Index(), to, err)
	}
	return nil
}

// guard closes c when ctx ends, until the returned function is called.
func (t *Transport) guard(ctx context.Context, c *conn) (stop func()) {
	if ctx == nil || ctx.Done() == nil {
		return func() {}
	}
	w := t.o.Env.NewWaiter()
	if !t.run("context of a snapshot to "+c.addr, func() {
		if w.Wait(ctx, 0) != nil {
			c.close()
		}
	}) {
		return func() {}
	}
	return w.Wake
}

func (s *outgoing) converse(send func(offset int64, w io.Writer) error) error {
	if !s.t.run("answers of "+s.c.addr, s.readAll) {
		return ErrClosed
	}
	err := s.exchange(send)
	if err != nil {
		s.c.close() // ends the reading task too
	}
	s.await(func() bool { return s.ended })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replied {
		if s.reply != "" {
			return &refusedError{addr: s.c.addr, reason: s.reply}
		}
		return err
	}
	if err == nil || errors.Is(err, ErrStopped) {
		return s.err
	}
	return err
}

// exchange sends the file once the receiver has named an offset.
func (s *outgoing) exchange(send func(offset int64, w io.Writer) error) error {
	s.await(func() bool { return s.resumed || s.ended })
	s.mu.Lock()
	resumed, offset := s.resumed, s.offset
	s.mu.Unlock()
	if !resumed {
		return nil // refused, or lost: converse says which
	}
	s.off = offset
	s.buf = wire.BeginFrame(make([]byte, 0, wire.FrameHeaderSize+streamFrameBytes))
	if err := send(offset, s); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.c.writeNumber(wire.FrameSnapshotEnd, uint64(s.off))
}

// await parks until cond, which is read under the lock.
func (s *outgoing) await(cond func() bool) {
	for {
		s.mu.Lock()
		ok := cond()
		s.mu.Unlock()
		if ok {
			return
		}
		_ = s.wake.Wait(nil, 0) // without context or bound it ends by a Wake only
	}
}

// readAll is the task that reads the receiver's frames.
func (s *outgoing) readAll() {
	for {
		h, body, err := s.c.wantFrame(wire.MaxHandshakeBytes, wire.FrameSnapshotResume, wire.FrameSnapshotReply)
		s.mu.Lock()
		switch {
		case err != nil:
			s.ended, s.err = true, err
		case h.Kind == wire.FrameSnapshotReply:
			s.ended, s.replied, s.reply = true, true, string(body)
		default:
			var v uint64
			if v, err = wire.DecodeNumber(body); err != nil || s.resumed || int64(v) < 0 {
				s.ended, s.err = true, errors.Join(errors.New("receiver names a second or impossible offset"), err)
				break
			}
			s.resumed, s.offset = true, int64(v)
		}
		ended := s.ended
		s.mu.Unlock()
		s.wake.Wake()
		if ended {
			return
		}
	}
}

// Write implements io.Writer for send: it cuts the file into frames.
func (s *outgoing) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		room := wire.FrameHeaderSize + streamFrameBytes - len(s.buf)
		k := min(room, len(p))
		s.buf = append(s.buf, p[:k]...)
		p, n = p[k:], n+k
		if k == room {
			if err := s.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// flush sends the frame, once the throttle allows.
func (s *outgoing) flush() error {
	size := len(s.buf) - wire.FrameHeaderSize
	if size == 0 {
		return nil
	}
	if err := s.throttle(size); err != nil {
		return err
	}
	if err := s.c.writeFrame(wire.FrameSnapshotBytes, s.buf); err != nil {
		return err
	}
	s.off += int64(size)
	s.buf = s.buf[:wire.FrameHeaderSize]
	return nil
}

// throttle parks until size bytes may go. A long wait is interrupted by pings, or the receiver
// would think us dead.
func (s *outgoing) throttle(size int) error {
	until := s.t.throttle.Take(size)
	for {
		s.mu.Lock()
		ended := s.ended
		s.mu.Unlock()
		if ended {
			return ErrStopped
		}
		now := s.t.clock.Now()
		if now >= until {
			return nil
		}
		ping := now + s.t.o.IdleTimeout/4
		if s.wake.Wait(nil, min(until, ping)) != nil && ping < until {
			if err := s.c.writeNumber(wire.FramePing, uint64(now)); err != nil {
				return err
			}
		}
	}
}

// arriving is a snapshot stream being received.
type arriving struct {
	t       *Transport
	c       *conn
	pulse   env.Waiter // of the task that writes
	through env.Waiter // of the task that serves

	mu     sync.Mutex
	done   bool
	reply  string
	ended  bool // the writing task is through
	wrote  bool // resume was called
	rest   []byte
	off    int64 // behind the last byte read
	failed error
}

// serveSnapshot takes one stream: header, offset, bytes, reply.
func (t *Transport) serveSnapshot(c *conn, mine *wire.Hello, from raft.HostID) error {
	if err := c.reply(mine, nil); err != nil {
		return err
	}
	c.buffer()
	c.setLimit(t.o.IdleTimeout)
	_, body, err := c.wantFrame(t.o.MaxFrameBytes, wire.FrameSnapshotHeader)
	if err != nil {
		return err
	}
	h, rest, err := wire.DecodeSnapshotHeader(body)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes behind the snapshot header", len(rest))
	}
	if err != nil {
		return err
	}
	a := &arriving{t: t, c: c, pulse: t.o.Env.NewWaiter(), through: t.o.Env.NewWaiter()}
	c.setLimit(0) // as in next
	err = t.o.Handler.Snapshot(from, h, a.resume, a)
	reply := ""
	if err != nil {
		reply = err.Error()
		reply = reply[:min(len(reply), wire.MaxReasonBytes)]
		if reply == "" {
			reply = "refused without a reason"
		}
	}
	if err := a.finish(reply); err != nil {
		return err
	}
	a.drain()
	return err
}

// resume tells the sender where to begin, and starts the task that says from then on that this
// host lives: the handler may be busy with a disk for longer than IdleTimeout.
func (a *arriving) resume(offset int64) error {
	if a.wrote {
		return errors.New("resume a snapshot stream twice")
	}
	a.off = offset
	if err := a.c.writeNumber(wire.FrameSnapshotResume, uint64(offset)); err != nil {
		return fmt.Errorf("resume snapshot stream from %s: %w", a.c.addr, err)
	}
	a.wrote = true
	if !a.t.run("pulse to "+a.c.addr, a.writeAll) {
		a.mu.Lock()
		a.ended = true
		a.mu.Unlock()
		return ErrClosed
	}
	return nil
}

// writeAll is the task that writes pings and at last the reply.
func (a *arriving) writeAll() {
	var err error
	for err == nil {
		a.mu.Lock()
		done, reply := a.done, a.reply
		a.mu.Unlock()
		if done {
			err = a.c.writeFrame(wire.FrameSnapshotReply, append(wire.BeginFrame(nil), reply...))
			break
		}
		now := a.t.clock.Now()
		err = a.c.writeNumber(wire.FramePing, uint64(now))
		if err == nil {
			_ = a.pulse.Wait(nil, now+a.t.o.IdleTimeout/4) // its end by time means a ping is due
		}
	}
	if err != nil {
		a.c.close()
	}
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	a.through.Wake()
}

// finish has the reply written.
func (a *arriving) finish(reply string) error {
	a.c.setLimit(a.t.o.IdleTimeout)
	if !a.wrote {
		return a.c.writeFrame(wire.FrameSnapshotReply, append(wire.BeginFrame(nil), reply...))
	}
	a.mu.Lock()
	a.done, a.reply = true, reply
	a.mu.Unlock()
	a.pulse.Wake()
	for {
		a.mu.Lock()
		ended := a.ended
		a.mu.Unlock()
		if ended {
			return nil
		}
		_ = a.through.Wait(nil, 0) // without context or bound it ends by a Wake only
	}
}

// drain reads what the sender has under way, up to the end that it puts to the connection when it
// has the reply: closed with bytes unread, the connection would be reset and the reply lost.
func (a *arriving) drain() {
	for {
		if _, _, err := a.c.readFrame(a.t.o.MaxFrameBytes); err != nil {
			return
		}
	}
}

// Read implements io.Reader over the file's bytes.
func (a *arriving) Read(p []byte) (int, error) {
	for len(a.rest) == 0 && a.failed == nil {
		a.failed = a.next()
	}
	if len(a.rest) == 0 {
		return 0, a.failed
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// next reads the next frame. The watchdog runs only meanwhile: a handler that is busy with a disk
// leaves bytes unread, which says nothing of the sender.
func (a *arriving) next() error {
	a.c.setLimit(a.t.o.IdleTimeout)
	defer a.c.setLimit(0)
	h, body, err := a.c.wantFrame(a.t.o.MaxFrameBytes, wire.FrameSnapshotBytes, wire.FrameSnapshotEnd)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read snapshot stream from %s: %w", a.c.addr, err)
	}
	if h.Kind == wire.FrameSnapshotBytes {
		a.rest = body
		a.off += int64(len(body))
		return nil
	}
	end, err := wire.DecodeNumber(body)
	if err != nil {
		return err
	}
	if int64(end) != a.off {
		return fmt.Errorf("read snapshot stream from %s: it ends at %d, the sender says %d", a.c.addr, a.off, end)
	}
	return io.EOF
}
