package transport

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
)

// conn is one connection that speaks frames. One task at a time reads and one writes; close and
// the watchdog may come from anywhere.
type conn struct {
	t      *Transport
	id     uint64
	addr   string
	raw    io.Closer     // what the env gave: closing it ends all reads and writes at once
	rw     io.ReadWriter // raw, or TLS over it
	direct env.Conn      // raw, if a turn can write to it: dialled, and without TLS; else nil
	head   [wire.FrameHeaderSize]byte
	sent   uint64    // sequence of the last frame written
	read   uint64    // sequence of the last frame taken
	gap    bool      // a frame is missing before it
	in     io.Reader // the connection itself, or a buffer before it
	heard  atomic.Int64
	mu     sync.Mutex
	limit  time.Duration // of silence; 0: none
	watch  env.Timer
	closed bool
	silent bool // the watchdog closed it
}

// readBufferBytes is the buffer before a connection that has passed its handshake.
const readBufferBytes = 16 << 10

// errSequence ends a stream that misses a frame.
var errSequence = errors.New("a frame is missing")

// newConn registers a connection, so that Close ends it, and starts its watchdog with the bound of
// the handshake. It is nil if the transport closes.
func (t *Transport) newConn(raw io.ReadWriteCloser, rw io.ReadWriter, addr string) *conn {
	c := &conn{t: t, raw: raw, rw: rw, addr: addr}
	c.in = c
	t.mu.Lock()
	if t.closing {
		t.mu.Unlock()
		_ = raw.Close()
		return nil
	}
	t.lastConn++
	c.id = t.lastConn
	t.conns[c.id] = c
	t.mu.Unlock()
	c.setLimit(t.o.HandshakeTimeout)
	return c
}

// close ends the connection. Only the first call does something.
func (c *conn) close() {
	c.mu.Lock()
	done := c.closed
	c.closed = true
	if c.watch != nil {
		c.watch.Stop()
	}
	c.mu.Unlock()
	if done {
		return
	}
	_ = c.raw.Close() // nothing is lost that was not lost before
	c.t.mu.Lock()
	delete(c.t.conns, c.id)
	c.t.mu.Unlock()
}

// touch notes a sign of life.
func (c *conn) touch() { c.heard.Store(int64(c.t.clock.Now())) }

// setLimit makes the watchdog close the connection after d without a sign of life; 0: never. The
// env's clock and not the connection's deadlines: those are on the calendar, which may jump.
func (c *conn) setLimit(d time.Duration) {
	c.touch()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = d
	if c.closed {
		return
	}
	if c.watch != nil {
		c.watch.Stop()
		c.watch = nil
	}
	if d > 0 {
		c.watch = c.t.clock.AfterFunc(d, c.check)
	}
}

// check is the watchdog.
func (c *conn) check() {
	c.mu.Lock()
	if c.closed || c.limit == 0 || c.watch == nil {
		c.mu.Unlock()
		return
	}
	left := c.limit - (c.t.clock.Now() - time.Duration(c.heard.Load()))
	if left > 0 {
		c.watch.Reset(left)
		c.mu.Unlock()
		return
	}
	c.silent = true
	c.mu.Unlock()
	c.close()
}

// reason makes the error of a read or write say why the connection was closed.
func (c *conn) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent {
		return fmt.Errorf("no sign from %s for %v", c.addr, c.limit)
	}
	return err
}

// buffer makes short frames cost one read. Not before the handshake: a stranger gets no buffer.
func (c *conn) buffer() { c.in = bufio.NewReaderSize(c, readBufferBytes) }

// Read implements io.Reader; every byte is a sign of life.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.rw.Read(p)
	if n > 0 {
		c.touch()
	}
	return n, err
}

// readFrame reads the next frame of at most most bytes, header included. Frames that came before,
// or came late, are dropped. The body is memory of its own. What stands at a connection's end
// between two frames is io.EOF.
func (c *conn) readFrame(most int) (wire.FrameHeader, []byte, error) {
	for {
		if _, err := io.ReadFull(c.in, c.head[:]); err != nil {
			return wire.FrameHeader{}, nil, c.reason(err)
		}
		h, err := wire.ParseFrameHeader(c.head[:], most)
		if err != nil {
			return h, nil, err
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(c.in, body); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return h, nil, c.reason(err)
		}
		if err := h.Verify(body); err != nil {
			return h, nil, err
		}
		if h.Sequence <= c.read {
			continue
		}
		c.gap = h.Sequence != c.read+1
		c.read = h.Sequence
		return h, body, nil
	}
}

// wantFrame reads the next frame of a conversation in which none may be missing, skipping pings.
func (c *conn) wantFrame(most int, kinds ...wire.FrameKind) (wire.FrameHeader, []byte, error) {
	for {
		h, body, err := c.readFrame(most)
		if err != nil {
			return h, nil, err
		}
		if c.gap {
			return h, nil, fmt.Errorf("read frame %d: %w", h.Sequence, errSequence)
		}
		if h.Kind == wire.FramePing {
			continue
		}
		for _, k := range kinds {
			if h.Kind == k {
				return h, body, nil
			}
		}
		return h, nil, fmt.Errorf("read frame %d: unexpected kind %d", h.Sequence, h.Kind)
	}
}

// writeFrame completes p, which begins with room for a header, as the next frame, and writes it.
func (c *conn) writeFrame(k wire.FrameKind, p []byte) error {
	c.finish(k, p)
	return c.writeBytes(p)
}

// finish completes p as the next frame.
func (c *conn) finish(k wire.FrameKind, p []byte) {
	c.sent++
	wire.FinishFrameOf(k, p, 0, c.sent)
}

// tryFrame is writeFrame for a turn: what it leaves is to be written by writeBytes before anything else.
// So is what an error leaves: the one who writes meets it again, and may park while he ends the connection.
func (c *conn) tryFrame(k wire.FrameKind, p []byte) (rest []byte) {
	c.finish(k, p)
	n, err := c.direct.TryWrite(p)
	if err != nil {
		n = 0
	}
	return p[n:]
}

// writeBytes writes a frame, or what is left of one.
func (c *conn) writeBytes(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), maxPieceBytes)
		if _, err := c.rw.Write(p[:n]); err != nil {
			return c.reason(err)
		}
		// Small writes vanish in the kernel's buffer and say nothing of the other side. Large
		// ones do go on only as it takes them.
		if n >= maxPieceBytes/4 {
			c.touch()
		}
		p = p[n:]
	}
	return nil
}

// writeNumber writes a frame whose body is v.
func (c *conn) writeNumber(k wire.FrameKind, v uint64) error {
	var b [wire.FrameHeaderSize + wire.NumberSize]byte
	return c.writeFrame(k, wire.AppendNumber(b[:wire.FrameHeaderSize], v))
}
