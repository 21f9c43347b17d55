package world

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

var (
	errReset   = os.NewSyscallError("read", syscall.ECONNRESET)
	errTimeout = os.NewSyscallError("read", syscall.ETIMEDOUT)
)

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// stream is one end of a connection.
type stream struct {
	id            uint64
	l             *life
	peer          *stream
	local, remote address
	inbox         []*unit // arrived, not read
	room          []*unit // of an empty inbox
	offset        int     // read of the first
	last          int64   // when the newest unit toward this end arrives: later ones come later
	held          []*unit // arrived at a cut
	limit         event   // when a held connection breaks
	thaw          event   // when what was held goes on
	sent          int     // written here, not read there
	begun         []byte  // what TryWrite took of a longer write: it travels with the Write that follows
	ended         bool    // the peer writes no more
	broken        error
	closed        bool
	reader        waiter
	writer        waiter
	readBy        int64 // deadlines on the host's clock; zero: none
	writeBy       int64
}

// connect makes a connection of two ends.
func (n *network) connect(a, b *life, from, to address) (*stream, *stream) {
	end := func(l *life, local, remote address) *stream {
		n.made++
		s := &stream{id: n.made, l: l, local: local, remote: remote}
		s.reader.l, s.writer.l = l, l
		s.limit = event{pos: nowhere, kind: evLimit, act: s}
		s.thaw = event{pos: nowhere, kind: evThaw, act: s}
		l.ends = append(l.ends, s)
		n.streams = append(n.streams, s)
		return s
	}
	x, y := end(a, from, to), end(b, to, from)
	x.peer, y.peer = y, x
	return x, y
}

// blocked says whether what is under way to s cannot arrive now.
func (s *stream) blocked() bool {
	return !s.l.h.up || s.l.w.net.cut(s.peer.l.h.n, s.l.h.n)
}

// Kinds of a stream's events.
const (
	evLimit uint8 = iota
	evThaw
)

// hold keeps u until the way is free. The sender's system gives up at last.
func (s *stream) hold(u *unit) {
	s.held = append(s.held, u)
	if u.kind != unitReset {
		s.arm()
	}
}

func (s *stream) arm() {
	if w := s.l.w; s.limit.pos == nowhere && s.thaw.pos == nowhere {
		w.schedule(&s.limit, w.now+draw(w.net.rng, w.opts.Reset))
	}
}

func (s *stream) fire(kind uint8) {
	switch {
	case len(s.held) == 0:
	case kind == evLimit:
		s.giveUp()
	case s.blocked():
		s.arm()
	default:
		held := s.held
		s.held = nil
		for _, u := range held {
			u.arrive()
		}
	}
}

// giveUp ends a connection that was held for too long: the sender gets a timeout, and would reset
// the other end if it could.
func (s *stream) giveUp() {
	w := s.l.w
	for _, u := range s.held {
		w.net.recycle(u)
	}
	s.held = nil
	w.net.sent.Resets++
	s.peer.fail(errTimeout)
	if !s.closed {
		w.net.send(w, s, unitReset, nil)
	}
}

// fail breaks this end: what has arrived can still be read.
func (s *stream) fail(err error) {
	if s.broken == nil && !s.closed {
		s.broken = err
		s.reader.stir()
		s.writer.stir()
	}
}

// space notes that n bytes written here are no longer on the way.
func (s *stream) space(n int) {
	if s.sent -= n; s.sent < s.l.w.opts.Window && n > 0 && s.writer.t != nil {
		s.writer.stir()
	}
}

func (s *stream) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: s.local, Addr: s.remote, Err: err}
}

// Read takes from one Write at most; it parks while nothing has arrived.
func (s *stream) Read(p []byte) (int, error) {
	t := s.l.parks("read")
	for {
		switch {
		case s.closed:
			return 0, s.failed("read", net.ErrClosed)
		case s.readBy > 0 && s.readBy <= s.l.h.monotonic():
			return 0, s.failed("read", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case len(s.inbox) > 0:
			return s.take(p), nil
		case s.broken != nil:
			return 0, s.failed("read", s.broken)
		case s.ended:
			return 0, io.EOF
		}
		if err := s.reader.park(t, "read", nil, s.readBy); err != nil && err != env.ErrTimeout {
			return 0, s.failed("read", err)
		}
	}
}

func (s *stream) take(p []byte) int {
	u := s.inbox[0]
	n := copy(p, u.data[s.offset:])
	s.offset += n
	if s.offset == len(u.data) {
		s.inbox = s.inbox[1:]
		s.offset = 0
		s.l.w.net.recycle(u)
	}
	s.peer.space(n)
	return n
}

// Write sends p as one unit. It parks while more than Options.Window is on the way, and tells
// nothing about arrival.
func (s *stream) Write(p []byte) (int, error) {
	t := s.l.parks("write")
	for {
		switch {
		case s.closed:
			return 0, s.failed("write", net.ErrClosed)
		case s.broken != nil:
			return 0, s.failed("write", s.broken)
		case s.writeBy > 0 && s.writeBy <= s.l.h.monotonic():
			return 0, s.failed("write", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case s.sent < s.l.w.opts.Window:
			s.put(p)
			return len(p), nil
		}
		if err := s.writer.park(t, "write", nil, s.writeBy); err != nil && err != env.ErrTimeout {
			return 0, s.failed("write", err)
		}
	}
}

// put sends p, and what was begun before it, as one unit.
func (s *stream) put(p []byte) {
	if len(s.begun) > 0 {
		s.begun = append(s.begun, p...)
		p, s.begun = s.begun, s.begun[:0]
	}
	s.sent += len(p)
	s.l.w.net.send(s.l.w, s.peer, unitData, p)
}

// TryWrite is Write that never parks. Where there is room, it yet takes nothing at times, and
// at times a part: of a frame that is lost, doubled or reordered, no half stays.
func (s *stream) TryWrite(p []byte) (int, error) {
	s.l.alive()
	if s.writer.t != nil {
		panic(fmt.Sprintf("world: TryWrite to %v while %v is in a Write", s, s.writer.t))
	}
	switch {
	case s.closed:
		return 0, s.failed("write", net.ErrClosed)
	case s.broken != nil:
		return 0, s.failed("write", s.broken)
	case len(p) == 0 || s.sent >= s.l.w.opts.Window:
		return 0, nil
	}
	n := &s.l.w.net
	switch x := n.tries.IntN(16); {
	case x == 0:
		n.sent.Untaken++
		return 0, nil
	case x == 1 && len(p) > 1:
		n.sent.Halved++
		k := 1 + n.tries.IntN(len(p)-1)
		s.begun = append(s.begun, p[:k]...)
		return k, nil
	}
	s.put(p)
	return len(p), nil
}

// Close ends both directions: tasks in Read and Write get net.ErrClosed, the peer reads what is on
// the way and then io.EOF, or a reset if something had not been read here.
func (s *stream) Close() error {
	s.l.alive()
	if s.closed {
		return s.failed("close", net.ErrClosed)
	}
	s.shut(unitEnd)
	return nil
}

// shut closes this end and tells the other.
func (s *stream) shut(kind unitKind) {
	w := s.l.w
	if len(s.inbox) > 0 {
		kind = unitReset
	}
	s.closed = true
	for _, u := range s.inbox {
		s.peer.space(len(u.data))
		w.net.recycle(u)
	}
	s.inbox = nil
	if s.broken == nil && !s.peer.closed {
		if len(s.begun) > 0 {
			s.put(nil)
		}
		w.net.send(w, s.peer, kind, nil)
	}
	s.reader.stir()
	s.writer.stir()
	s.l.ends = remove(s.l.ends, s)
	if s.peer.closed {
		w.net.streams = remove(remove(w.net.streams, s), s.peer)
	}
}

func (s *stream) LocalAddr() net.Addr  { return s.local }
func (s *stream) RemoteAddr() net.Addr { return s.remote }

func (s *stream) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

func (s *stream) SetReadDeadline(t time.Time) error {
	return s.bound(&s.readBy, &s.reader, t)
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	return s.bound(&s.writeBy, &s.writer, t)
}

// bound sets a deadline, which is told on the host's calendar and kept on its monotonic clock.
func (s *stream) bound(by *int64, v *waiter, t time.Time) error {
	s.l.alive()
	if s.closed {
		return s.failed("set", net.ErrClosed)
	}
	*by = 0
	if !t.IsZero() {
		*by = max(s.l.h.monotonic()+int64(t.Sub(s.l.h.wall())), 1)
	}
	if v.t != nil {
		v.stir() // to look at it anew
	}
	return nil
}

func (s *stream) String() string { return fmt.Sprintf("%s→%s", s.local, s.remote) }

// closeNet is what the operating system does for a dead process: it closes what was open. When the
// power failed, nobody does, and the peers hear nothing.
func (l *life) closeNet(how ending) {
	for len(l.listeners) > 0 {
		l.listeners[0].shut()
	}
	for len(l.ends) > 0 {
		s := l.ends[0]
		if how == ofPower {
			s.closed = true
			s.inbox = nil
			l.ends = l.ends[1:]
			if s.peer.closed {
				l.w.net.streams = remove(remove(l.w.net.streams, s), s.peer)
			}
			continue
		}
		s.shut(unitEnd)
	}
}
