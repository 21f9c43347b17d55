package world

import (
	"math/rand/v2"
	"time"
)

// network is what lies between the hosts.
type network struct {
	rng       *rand.Rand
	tries     *rand.Rand      // what TryWrite takes
	cuts      map[[2]int]bool // from, to; looked up, never iterated
	faults    MessageFaults
	listeners map[string]*listener // by address; looked up, never iterated
	streams   []*stream            // every end that is open, in the order of their making
	made      uint64
	units     []*unit // to be used again
	sent      Traffic
}

// MessageFaults are the chances, from 0 to 1, that one Write between different hosts suffers. A
// connection without faults delivers every Write in order. Ends of connections always arrive.
type MessageFaults struct {
	Drop     float64
	Double   float64
	Reorder  float64 // overtakes, or is overtaken by, its neighbours
	Delay    float64 // takes up to MaxDelay longer, and what comes after it too
	MaxDelay time.Duration
}

// Traffic counts what happened to Writes between hosts, and to TryWrites: those that took nothing though
// there was room, and those that took a part.
type Traffic struct {
	Sent, Bytes, Dropped, Doubled, Reordered, Delayed, Held, Resets uint64

	Untaken, Halved uint64
}

func (n *network) start(w *World) {
	n.rng = w.stream(5, 0, 0)
	n.tries = w.stream(6, 0, 0)
	n.cuts = map[[2]int]bool{}
	n.listeners = map[string]*listener{}
}

// Messages sets the faults of single Writes from now on.
func (w *World) Messages(f MessageFaults) { w.net.faults = f }

// Traffic returns the counts so far.
func (w *World) Traffic() Traffic { return w.net.sent }

// Cut stops what goes from one host to another, one way. What is on its way is held until Heal;
// a connection that waits for too long (Options.Reset) breaks with a timeout. The other way stays
// open for established connections; a new one needs both.
func (w *World) Cut(from, to int) {
	w.net.cuts[[2]int{from, to}] = true
	w.mix(uint64(from)<<16 | uint64(to)<<8 | 8)
	w.tracef(w.host(from), "cut", "to=h%d", to)
}

// Heal ends Cut.
func (w *World) Heal(from, to int) {
	delete(w.net.cuts, [2]int{from, to})
	w.mix(uint64(from)<<16 | uint64(to)<<8 | 9)
	w.tracef(w.host(from), "heal", "to=h%d", to)
	w.net.flush(w)
}

// Isolate cuts host h off from all others, both ways; the driver's connections stay.
func (w *World) Isolate(h int) {
	for o := range w.opts.Hosts {
		if o != h {
			w.Cut(h, o)
			w.Cut(o, h)
		}
	}
}

// HealAll ends every Cut.
func (w *World) HealAll() {
	clear(w.net.cuts)
	w.mix(10)
	w.tracef(w.host(Driver), "heal", "all")
	w.net.flush(w)
}

// ResetBetween breaks every connection between two hosts, as a firewall that lost its state does.
func (w *World) ResetBetween(a, b int) {
	w.mix(uint64(a)<<16 | uint64(b)<<8 | 11)
	w.tracef(w.host(a), "reset", "with=h%d", b)
	for _, s := range append([]*stream(nil), w.net.streams...) {
		if s.l.h.n == a && s.peer.l.h.n == b {
			w.net.sent.Resets++
			s.fail(errReset)
			s.peer.fail(errReset)
		}
	}
}

func (n *network) cut(from, to int) bool { return n.cuts[[2]int{from, to}] }

// flush sends on what was held and is held no more. What arrives before it has gone on queues
// behind it.
func (n *network) flush(w *World) {
	for _, s := range n.streams {
		if len(s.held) > 0 && s.thaw.pos == nowhere && !s.blocked() {
			w.cancel(&s.limit)
			w.schedule(&s.thaw, w.now+draw(n.rng, w.opts.Net))
		}
	}
}

// A unit is one Write, or the end of a connection, on its way to an end.
type unit struct {
	to   *stream
	data []byte
	kind unitKind
	e    event
}

type unitKind uint8

const (
	unitData unitKind = iota
	unitEnd           // no more data
	unitReset
)

func (n *network) unit(to *stream, kind unitKind, data []byte) *unit {
	var u *unit
	if k := len(n.units); k > 0 {
		u = n.units[k-1]
		n.units = n.units[:k-1]
	} else {
		u = &unit{}
		u.e = event{pos: nowhere, act: u}
	}
	u.to, u.kind, u.data = to, kind, append(u.data[:0], data...)
	return u
}

func (n *network) recycle(u *unit) {
	u.to = nil
	if cap(u.data) > 64<<10 {
		u.data = nil // a pool of big ones would hold the largest burst for ever
	}
	n.units = append(n.units, u)
}

// send puts one Write, or an end, on the way to the end to.
func (n *network) send(w *World, to *stream, kind unitKind, data []byte) {
	delay := draw(n.rng, w.opts.Net)
	if to.l.h == to.peer.l.h {
		delay = 1 + delay/16 // loopback
		to.last = max(to.last, w.now+delay)
		w.schedule(&n.unit(to, kind, data).e, to.last)
		return
	}
	n.sent.Sent++
	n.sent.Bytes += uint64(len(data))
	if kind == unitData && n.faults != (MessageFaults{}) {
		f := &n.faults
		switch x := n.rng.Float64(); {
		case x < f.Drop:
			n.sent.Dropped++
			w.tracef(to.peer.l.h, "lost", "to=%s n=%d", to.l.h.name, len(data))
			to.peer.space(len(data))
			return
		case x < f.Drop+f.Double:
			n.sent.Doubled++
			to.peer.sent += len(data)
			w.schedule(&n.unit(to, kind, data).e, w.now+delay+draw(n.rng, w.opts.Net)*4)
		case x < f.Drop+f.Double+f.Reorder:
			n.sent.Reordered++
			w.schedule(&n.unit(to, kind, data).e, w.now+delay+draw(n.rng, w.opts.Net)*4)
			return
		case x < f.Drop+f.Double+f.Reorder+f.Delay:
			n.sent.Delayed++
			delay += n.rng.Int64N(max(int64(f.MaxDelay), 1))
		}
	}
	to.last = max(to.last, w.now+delay)
	w.schedule(&n.unit(to, kind, data).e, to.last)
}

// fire is the arrival.
func (u *unit) fire(uint8) {
	s := u.to
	w := s.l.w
	w.mix(s.id<<8 | uint64(u.kind))
	w.mixBytes(u.data)
	if s.blocked() || len(s.held) > 0 {
		w.net.sent.Held++
		s.hold(u)
		return
	}
	u.arrive()
}

func (u *unit) arrive() {
	s := u.to
	w := s.l.w
	if w.tracing() {
		w.tracef(s.l.h, "arrive", "from=%s n=%d kind=%d", s.peer.l.h.name, len(u.data), u.kind)
	}
	switch {
	case u.kind == unitReset:
		s.fail(errReset)
	case s.closed:
		if !s.peer.closed && s.peer.broken == nil {
			w.net.send(w, s.peer, unitReset, nil)
		}
	case u.kind == unitEnd:
		s.ended = true
		s.reader.stir()
	case s.broken == nil:
		if len(s.inbox) == 0 {
			s.inbox = append(s.room[:0], u)
			s.room = s.inbox
		} else {
			s.inbox = append(s.inbox, u)
		}
		s.reader.stir()
		return
	}
	s.peer.space(len(u.data))
	w.net.recycle(u)
}
