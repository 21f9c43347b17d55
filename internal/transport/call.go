package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
)

// call is one request under way. Its task outlives a caller whose context ends, until its
// connection is closed.
type call struct {
	done  env.Waiter
	mu    sync.Mutex
	conn  *conn
	ended bool // the caller has gone, or the task has finished
	reply []byte
	err   error
}

// Call sends req to the host that listens on addr and returns its reply, which is the caller's. It
// parks until then, until ctx ends, or until CallTimeout. The request may have been received in
// spite of an error; it is never sent twice.
func (t *Transport) Call(ctx context.Context, addr string, req []byte) ([]byte, error) {
	if len(req)+wire.FrameHeaderSize > t.o.MaxCallBytes {
		return nil, fmt.Errorf("call %s: request has %d bytes, at most %d", addr, len(req), t.o.MaxCallBytes-wire.FrameHeaderSize)
	}
	k := &call{done: t.o.Env.NewWaiter()}
	until := t.clock.Now() + t.o.CallTimeout
	if !t.run("call "+addr, func() { t.callOnTask(k, addr, req) }) {
		return nil, ErrClosed
	}
	for {
		err := k.done.Wait(ctx, until)
		k.mu.Lock()
		if k.ended {
			defer k.mu.Unlock()
			return k.reply, k.err
		}
		if err == nil {
			k.mu.Unlock()
			continue
		}
		k.ended = true
		c := k.conn
		k.mu.Unlock()
		if c != nil {
			c.close()
		}
		return nil, fmt.Errorf("call %s: %w", addr, err)
	}
}

func (t *Transport) callOnTask(k *call, addr string, req []byte) {
	reply, err := t.exchange(k, addr, req)
	k.mu.Lock()
	if !k.ended {
		k.ended, k.reply, k.err = true, reply, err
	}
	k.mu.Unlock()
	k.done.Wake()
}

func (t *Transport) exchange(k *call, addr string, req []byte) ([]byte, error) {
	c, _, err := t.dial(addr, 0, wire.PurposeCall)
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}
	defer c.close()
	c.setLimit(t.o.CallTimeout)
	k.mu.Lock()
	k.conn = c
	gone := k.ended
	k.mu.Unlock()
	if gone {
		return nil, nil // nobody waits
	}
	if err := c.writeFrame(wire.FrameRequest, append(wire.BeginFrame(nil), req...)); err != nil {
		return nil, fmt.Errorf("call %s: %w", addr, err)
	}
	_, reply, err := c.wantFrame(t.o.MaxCallBytes, wire.FrameReply)
	if errors.Is(err, io.EOF) {
		err = errors.New("closed without a reply")
	}
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", addr, err)
	}
	return reply, nil
}

// serveCall answers one request.
func (t *Transport) serveCall(c *conn, mine, theirs *wire.Hello) error {
	if err := c.reply(mine, nil); err != nil {
		return err
	}
	_, req, err := c.wantFrame(t.o.MaxCallBytes, wire.FrameRequest)
	if err != nil {
		return err
	}
	c.setLimit(0) // the handler takes its time
	reply := t.o.Handler.Call(*theirs, req)
	if reply == nil {
		return nil
	}
	if len(reply)+wire.FrameHeaderSize > t.o.MaxCallBytes {
		return fmt.Errorf("answer a call: reply has %d bytes, at most %d", len(reply), t.o.MaxCallBytes-wire.FrameHeaderSize)
	}
	c.setLimit(t.o.IdleTimeout)
	return c.writeFrame(wire.FrameReply, append(wire.BeginFrame(nil), reply...))
}
