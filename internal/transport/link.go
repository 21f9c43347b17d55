package transport

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// link is the connection that this host keeps to a peer: what it sends travels there. One task
// dials, greets and writes; while it is up another reads the pongs. While the first has nothing to
// write, a flush writes short frames in its place.
type link struct {
	t    *Transport
	host raft.HostID
	addr string
	wake env.Waiter // of the writing task

	mu       sync.Mutex
	up       bool
	stopped  bool
	nudged   bool // the peer has just dialled us: do not wait for the backoff
	broken   bool // the reading task has ended
	conn     *conn
	writing  bool     // the task writes, or is about to look for what to write
	frames   [][]byte // pending, each with room for its header; the last still grows
	tried    []byte   // a frame of which a flush has written a part
	rest     []byte   // what is left of it: goes before all others
	spare    []byte   // memory of a frame that was written
	queued   int64    // bytes pending or being written
	dropped  uint64
	rtt      time.Duration
	lastWhy  string
	tellDown bool // a redial that is refused has to be told
}

// maxFlushBytes is the longest frame that a flush writes: the turn that calls it copies it into the kernel.
const maxFlushBytes = 16 << 10

// maxSpareBytes is the largest frame whose memory is kept for the next: one with a full entry.
const maxSpareBytes = 2 << 20

func newLink(t *Transport, host raft.HostID, addr string) *link {
	return &link{t: t, host: host, addr: addr, wake: t.o.Env.NewWaiter()}
}

// stop ends the link for good.
func (l *link) stop() {
	l.mu.Lock()
	l.stopped = true
	c := l.conn
	l.mu.Unlock()
	if c != nil {
		c.close()
	}
	l.wake.Wake()
}

// nudge ends a backoff.
func (l *link) nudge() {
	l.mu.Lock()
	wake := !l.up && !l.nudged
	l.nudged = l.nudged || wake
	l.mu.Unlock()
	if wake {
		l.wake.Wake()
	}
}

func (l *link) status() PeerStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return PeerStatus{
		Host: l.host, Addr: l.addr, Connected: l.up, RTT: l.rtt, QueuedBytes: l.queued, Dropped: l.dropped, Reason: l.lastWhy,
	}
}

// send encodes p into the last pending frame, or a new one, and has it written.
func (l *link) send(p *wire.Packet) bool {
	taken, first := l.add(p)
	if first {
		l.wake.Wake()
	}
	return taken
}

// add encodes p into the last pending frame, or a new one. first: nothing was pending before.
func (l *link) add(p *wire.Packet) (taken, first bool) {
	bound := wire.PacketBound(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.t.o
	// A packet above the budget goes when it is alone: the budget refuses queues, not sizes.
	if !l.up || l.queued > 0 && l.queued+int64(bound) > o.MaxQueueBytes || bound+wire.FrameHeaderSize > o.MaxFrameBytes {
		l.dropped++
		return false, false
	}
	first = len(l.frames) == 0
	if n := len(l.frames); n == 0 || len(l.frames[n-1])+bound > softFrameBytes {
		buf := l.spare
		l.spare = nil
		if cap(buf) < wire.FrameHeaderSize+bound {
			buf = make([]byte, 0, wire.FrameHeaderSize+bound)
		}
		l.frames = append(l.frames, wire.BeginFrame(buf[:0]))
	}
	last := &l.frames[len(l.frames)-1]
	before := len(*last)
	*last = wire.AppendPacket(*last, p)
	l.queued += int64(len(*last) - before)
	return true, first
}

// flush writes what is pending, as far as that is one short frame, the task is idle and the connection takes
// it at once. The rest is the task's, which must not be slower than that: frames stay in order.
func (l *link) flush() {
	l.mu.Lock()
	if l.writing || len(l.frames) == 0 {
		l.mu.Unlock()
		return // the task looks again before it parks
	}
	if len(l.frames) == 1 && len(l.frames[0]) <= maxFlushBytes && l.rest == nil && l.conn.direct != nil {
		l.try()
	}
	wake := len(l.frames) > 0 || l.rest != nil
	l.mu.Unlock()
	if wake {
		l.wake.Wake()
	}
}

// try writes the one frame that is pending. The lock is held, which keeps the task from writing.
func (l *link) try() {
	frame := l.frames[0]
	l.frames[0], l.frames = nil, l.frames[:0]
	if rest := l.conn.tryFrame(wire.FramePackets, frame); len(rest) > 0 {
		l.tried, l.rest = frame, rest
		return
	}
	l.release(frame)
}

// run is the link's task.
func (l *link) run() {
	failures := 0
	for !l.isStopped() {
		c, _, err := l.t.dial(l.addr, l.host, wire.PurposeLink)
		if err == nil {
			failures = 0
			l.carry(c)
			continue // the first redial follows at once: a process that died answers "refused"
		}
		l.failed(err)
		var refused *refusedError
		if errors.As(err, &refused) {
			failures = max(failures, 16) // it will not change its mind soon
			l.t.o.Handler.Refused(l.host, refused.reason)
		}
		l.backOff(failures)
		failures++
	}
}

func (l *link) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped || l.t.isClosing()
}

// failed notes why a dial failed, and tells once per lost link that it was refused.
func (l *link) failed(err error) {
	why := err.Error()
	l.mu.Lock()
	news := why != l.lastWhy
	l.lastWhy = why
	refused := l.tellDown && errors.Is(err, syscall.ECONNREFUSED)
	if refused {
		l.tellDown = false
	}
	quiet := l.stopped
	l.mu.Unlock()
	if quiet || l.t.isClosing() {
		return
	}
	if news {
		l.t.o.Logger.Warn("link is down", "host", uint64(l.host), "addr", l.addr, "reason", why)
	}
	if refused {
		l.t.o.Handler.LinkLost(l.host, true)
	}
}

// backOff parks until the next dial is due: between half and all of a bound that doubles with each
// failure, so that hosts which lost each other do not dial in step.
func (l *link) backOff(failures int) {
	o := &l.t.o
	d := o.MaxDialBackoff
	if failures < 16 {
		d = min(d, o.DialBackoff<<failures)
	}
	d = d/2 + time.Duration(o.Env.Rand().Uint64()%uint64(d/2+1))
	until := l.t.clock.Now() + d
	for {
		l.mu.Lock()
		over := l.stopped || l.nudged
		l.nudged = false
		l.mu.Unlock()
		if over || l.wake.Wait(nil, until) != nil {
			return
		}
	}
}

// carry sends over c until it breaks.
func (l *link) carry(c *conn) {
	c.setLimit(l.t.o.IdleTimeout)
	l.mu.Lock()
	l.up, l.broken, l.conn, l.rtt = !l.stopped, false, c, 0
	l.writing, l.frames, l.tried, l.rest, l.queued = true, nil, nil, nil, 0
	l.tellDown, l.lastWhy = true, ""
	up := l.up
	l.mu.Unlock()
	if !up {
		c.close()
		return
	}
	l.t.o.Logger.Info("link is up", "host", uint64(l.host), "addr", l.addr)
	l.t.o.Handler.LinkUp(l.host)
	var why error
	if l.t.run(fmt.Sprintf("pongs of host %d", l.host), func() { l.readPongs(c) }) {
		why = l.writeAll(c)
	} else {
		l.noteBroken(ErrClosed)
	}
	c.close()
	l.awaitReader()
	l.mu.Lock()
	l.up, l.conn, l.frames, l.tried, l.rest, l.spare, l.queued = false, nil, nil, nil, nil, nil, 0
	if l.lastWhy == "" && why != nil {
		l.lastWhy = why.Error()
	}
	reason := l.lastWhy
	l.mu.Unlock()
	l.t.o.Logger.Info("link is lost", "host", uint64(l.host), "addr", l.addr, "reason", reason)
	l.t.o.Handler.LinkLost(l.host, false)
}

// writeAll writes pings and whatever is pending, the next frame when the last write returned: who
// sends meanwhile shares one frame, without a timer.
func (l *link) writeAll(c *conn) error {
	every := l.t.o.IdleTimeout / 4
	ping := l.t.clock.Now()
	for {
		frame, rest, over := l.next()
		if over {
			return nil
		}
		if rest != nil {
			if err := c.writeBytes(rest); err != nil {
				return err
			}
			l.written(frame)
			continue
		}
		if now := l.t.clock.Now(); now >= ping {
			ping = now + every
			if err := c.writeNumber(wire.FramePing, uint64(now)); err != nil {
				return err
			}
		}
		switch {
		case frame != nil:
			if err := c.writeFrame(wire.FramePackets, frame); err != nil {
				return err
			}
			l.written(frame)
		case l.pauses():
			_ = l.wake.Wait(nil, ping) // its end by time means a ping is due
		}
	}
}

// next takes what is left of a frame that a flush began, or the first pending frame. From here on until
// pauses nobody else writes.
func (l *link) next() (frame, rest []byte, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = true
	switch {
	case l.stopped || l.broken:
		return nil, nil, true
	case l.rest != nil:
		frame, rest = l.tried, l.rest
		l.tried, l.rest = nil, nil
	case len(l.frames) > 0:
		frame = l.frames[0]
		l.frames[0] = nil
		if len(l.frames) == 1 {
			l.frames = l.frames[:0]
		} else {
			l.frames = l.frames[1:]
		}
	}
	return frame, rest, false
}

// pauses lets a flush write, unless there is something to be written by now.
func (l *link) pauses() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = len(l.frames) > 0
	return !l.writing
}

// written gives the budget and the memory back.
func (l *link) written(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(frame)
}

func (l *link) release(frame []byte) {
	l.queued -= int64(len(frame) - wire.FrameHeaderSize)
	if cap(frame) <= maxSpareBytes && cap(frame) > cap(l.spare) {
		l.spare = frame[:0]
	}
}

// readPongs is the task that reads what the peer sends back: pongs, or the connection's end.
func (l *link) readPongs(c *conn) {
	for {
		h, body, err := c.readFrame(wire.MaxHandshakeBytes)
		if err == nil && h.Kind != wire.FramePong {
			err = fmt.Errorf("frame %d of kind %d instead of a pong", h.Sequence, h.Kind)
		}
		var sent uint64
		if err == nil {
			sent, err = wire.DecodeNumber(body)
		}
		if err != nil {
			c.close() // before the wake: it frees a writer that is stuck in a write
			l.noteBroken(err)
			return
		}
		took := l.t.clock.Now() - time.Duration(sent)
		l.mu.Lock()
		l.rtt = took
		l.mu.Unlock()
		if l.t.o.RoundTrip != nil {
			l.t.o.RoundTrip(l.host, took)
		}
	}
}

func (l *link) noteBroken(err error) {
	l.mu.Lock()
	l.broken = true
	if l.lastWhy == "" {
		l.lastWhy = err.Error()
	}
	l.mu.Unlock()
	l.wake.Wake()
}

// awaitReader parks until the reading task has seen the end.
func (l *link) awaitReader() {
	for {
		l.mu.Lock()
		broken := l.broken
		l.mu.Unlock()
		if broken {
			return
		}
		_ = l.wake.Wait(nil, 0) // without context or bound it ends by a Wake only
	}
}
