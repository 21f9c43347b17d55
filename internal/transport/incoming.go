package transport

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// incoming is a link that a peer dialled. A newer one of the same host ends the older and waits
// until its task is through, so that a host's packets are received by one task at a time, in the
// order of its connections.
type incoming struct {
	c    *conn
	gone bool
	next env.Waiter // of the one that waits for this; nil: none
}

// acceptPause is the wait after an Accept that failed, such as for lack of descriptors.
const acceptPause = 50 * time.Millisecond

// acceptAll is the task that accepts.
func (t *Transport) acceptAll() {
	pause := t.o.Env.NewWaiter()
	for {
		c, err := t.accept()
		if t.isClosing() {
			if c != nil {
				c.close()
			}
			return
		}
		if err != nil {
			t.o.Logger.Error("accept a connection", "addr", t.addr, "error", err)
			_ = pause.Wait(nil, t.clock.Now()+acceptPause)
			continue
		}
		if c == nil {
			continue
		}
		t.mu.Lock()
		full := t.accepted >= t.o.MaxAccepted
		if !full {
			t.accepted++
		}
		t.mu.Unlock()
		if full {
			t.o.Logger.Warn("connection is closed: too many are open", "from", c.addr, "bound", t.o.MaxAccepted)
			c.close()
			continue
		}
		started := t.run("connection from "+c.addr, func() {
			t.serve(c)
			t.leave()
		})
		if !started {
			c.close()
			t.leave()
		}
	}
}

func (t *Transport) leave() {
	t.mu.Lock()
	t.accepted--
	t.mu.Unlock()
}

// serve is the task of one accepted connection.
func (t *Transport) serve(c *conn) {
	defer c.close()
	theirs, err := c.welcome()
	if err != nil {
		if !errors.Is(err, io.EOF) && !t.isClosing() { // a port scan that sends nothing is no news
			t.tellRefused("connection is refused: no hello", 0, c.addr, err)
		}
		return
	}
	mine := t.self(theirs.Purpose, theirs.Host)
	if err := t.checkHello(&mine, &theirs); err != nil {
		t.tellRefused("connection is refused", theirs.Host, c.addr, err)
		_ = c.reply(&mine, err) // it is closed in any case
		return
	}
	switch theirs.Purpose {
	case wire.PurposeLink:
		t.serveLink(c, &mine, theirs.Host)
	case wire.PurposeSnapshot:
		err = t.serveSnapshot(c, &mine, theirs.Host)
	case wire.PurposeCall:
		err = t.serveCall(c, &mine, &theirs)
	}
	if err != nil && !t.isClosing() {
		t.o.Logger.Warn("connection ended", "from", c.addr, "host", uint64(theirs.Host), "purpose", theirs.Purpose, "error", err)
	}
}

// tellRefused logs a refusal, and the same again every 10 s.
func (t *Transport) tellRefused(what string, host raft.HostID, from string, why error) {
	times := t.refused.news(t.clock.Now(), fmt.Sprintf("%s %d %v", what, host, why))
	if times > 0 {
		t.o.Logger.Warn(what, "host", uint64(host), "from", from, "reason", why, "times", times)
	}
}

func (t *Transport) serveLink(c *conn, mine *wire.Hello, host raft.HostID) {
	in := t.enter(c, host)
	defer t.exit(in, host)
	if err := c.reply(mine, nil); err != nil {
		return
	}
	c.buffer()
	c.setLimit(t.o.IdleTimeout)
	t.nudge(host)
	if err := t.receiveAll(c, host); !errors.Is(err, io.EOF) && !t.isClosing() {
		t.o.Logger.Warn("link from a host ended", "host", uint64(host), "from", c.addr, "error", err)
	}
}

// nudge makes a link to host that is down dial at once: the host is there.
func (t *Transport) nudge(host raft.HostID) {
	t.mu.Lock()
	l := t.links[host]
	t.mu.Unlock()
	if l != nil {
		l.nudge()
	}
}

// enter ends the former link from host and waits for its task.
func (t *Transport) enter(c *conn, host raft.HostID) *incoming {
	in := &incoming{c: c}
	t.mu.Lock()
	former := t.incoming[host]
	t.incoming[host] = in
	if former == nil || former.gone {
		t.mu.Unlock()
		return in
	}
	w := t.o.Env.NewWaiter()
	former.next = w
	t.mu.Unlock()
	former.c.close()
	for {
		t.mu.Lock()
		gone := former.gone
		t.mu.Unlock()
		if gone {
			return in
		}
		_ = w.Wait(nil, 0) // without context or bound it ends by a Wake only
	}
}

func (t *Transport) exit(in *incoming, host raft.HostID) {
	t.mu.Lock()
	in.gone = true
	if t.incoming[host] == in {
		delete(t.incoming, host)
	}
	w := in.next
	t.mu.Unlock()
	if w != nil {
		w.Wake()
	}
}

// receiveAll hands the packets of each frame to the handler, and answers pings.
func (t *Transport) receiveAll(c *conn, host raft.HostID) error {
	var packets []wire.Packet
	for {
		h, body, err := c.readFrame(t.o.MaxFrameBytes)
		if err != nil {
			return err
		}
		switch h.Kind {
		case wire.FramePing:
			v, err := wire.DecodeNumber(body)
			if err != nil {
				return err
			}
			if err := c.writeNumber(wire.FramePong, v); err != nil {
				return err
			}
		case wire.FramePackets:
			if packets, err = wire.DecodePackets(packets[:0], body); err != nil {
				return fmt.Errorf("read frame %d: %w", h.Sequence, err)
			}
			if len(packets) > 0 {
				t.o.Handler.Receive(host, packets, len(body))
			}
			clear(packets) // the slice is kept, what it pointed to is not
		default:
			return fmt.Errorf("read frame %d: unexpected kind %d", h.Sequence, h.Kind)
		}
	}
}
