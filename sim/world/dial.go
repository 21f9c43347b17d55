package world

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// backlog is how many connections wait for Accept before more are left unanswered.
const backlog = 128

// retry is how long the system waits before it knocks again where nobody answered.
const retry = int64(time.Second)

// nets is the env.Net of one life.
type nets struct{ l *life }

// Addr is host h's address with a port, such as h1:7000.
func (w *World) Addr(h int, port int) string {
	return net.JoinHostPort(w.host(h).name, strconv.Itoa(port))
}

func (w *World) resolve(name string, own *host) *host {
	switch name {
	case "localhost", "127.0.0.1", "::1":
		return own
	}
	for _, h := range w.order {
		if h.name == name {
			return h
		}
	}
	return nil
}

func (n nets) Listen(addr string) (net.Listener, error) {
	l := n.l
	l.alive()
	w := l.w
	fail := func(err error) error {
		return &net.OpError{Op: "listen", Net: "tcp", Addr: address(addr), Err: err}
	}
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fail(err)
	}
	switch name {
	case "", "0.0.0.0", "::":
		name = l.h.name
	}
	if w.resolve(name, l.h) != l.h {
		return nil, fail(os.NewSyscallError("bind", syscall.EADDRNOTAVAIL))
	}
	if port == "0" {
		l.h.ports++
		port = strconv.Itoa(l.h.ports)
	}
	key := net.JoinHostPort(l.h.name, port)
	if w.net.listeners[key] != nil {
		return nil, fail(os.NewSyscallError("bind", syscall.EADDRINUSE))
	}
	s := &listener{l: l, addr: address(key)}
	s.waiting.l = l
	w.net.listeners[key] = s
	l.listeners = append(l.listeners, s)
	return s, nil
}

type listener struct {
	l       *life
	addr    address
	queue   []*stream
	waiting waiter
	closed  bool
}

func (s *listener) Accept() (net.Conn, error) {
	t := s.l.parks("accept")
	for {
		if s.closed {
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: s.addr, Err: net.ErrClosed}
		}
		if len(s.queue) > 0 {
			c := s.queue[0]
			s.queue = s.queue[1:]
			return c, nil
		}
		if err := s.waiting.park(t, "accept", nil, 0); err != nil {
			return nil, err
		}
	}
}

func (s *listener) Close() error {
	s.l.alive()
	if s.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: s.addr, Err: net.ErrClosed}
	}
	s.shut()
	for _, c := range s.queue {
		c.shut(unitReset)
	}
	s.queue = nil
	return nil
}

// shut stops listening. Connections that nobody accepted are ends of the life like all others.
func (s *listener) shut() {
	s.closed = true
	delete(s.l.w.net.listeners, string(s.addr))
	s.l.listeners = remove(s.l.listeners, s)
	s.waiting.stir()
}

func (s *listener) Addr() net.Addr { return s.addr }

// knock is a Dial under way.
type knock struct {
	l      *life
	host   *host
	local  address
	remote address
	done   waiter
	e      event
	stage  int
	over   bool
	got    *stream
	err    error
}

func (n nets) Dial(ctx context.Context, addr string) (env.Conn, error) {
	l := n.l
	t := l.parks("dial " + addr)
	w := l.w
	fail := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: address(addr), Err: err}
	}
	if err := ctx.Err(); err != nil {
		return nil, fail(err)
	}
	end, err := w.endable(ctx)
	if err != nil {
		return nil, err
	}
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fail(err)
	}
	h := w.resolve(name, l.h)
	if h == nil {
		return nil, fail(&net.DNSError{Err: "no such host", Name: name, IsNotFound: true})
	}
	l.h.ports++
	k := &knock{l: l, host: h, remote: address(net.JoinHostPort(h.name, port))}
	k.local = address(fmt.Sprintf("%s:%d", l.h.name, l.h.ports))
	k.done.l = l
	k.e = event{pos: nowhere, act: k}
	w.schedule(&k.e, w.now+draw(w.net.rng, w.opts.Net))
	defer k.leave()
	err = k.done.park(t, "dial "+addr, end, l.h.monotonic()+int64(w.opts.Dial))
	switch {
	case err == env.ErrTimeout:
		return nil, fail(os.NewSyscallError("connect", syscall.ETIMEDOUT))
	case err != nil:
		return nil, fail(err)
	case k.err != nil:
		return nil, fail(k.err)
	}
	c := k.got
	k.got = nil
	return c, nil
}

// leave forgets a Dial that has ended. A connection that came too late is closed.
func (k *knock) leave() {
	k.over = true
	k.l.w.cancel(&k.e)
	if k.got != nil && !k.got.closed && !k.l.dead {
		k.got.shut(unitReset)
	}
}

// The stages of a Dial: knock at the host, then hear the answer.
const (
	atDoor = iota
	answered
)

func (k *knock) fire(uint8) {
	w := k.l.w
	if k.over || k.l.dead {
		return
	}
	if k.stage == answered {
		k.done.stir()
		return
	}
	s := w.net.listeners[string(k.remote)]
	from, to := k.l.h.n, k.host.n
	if from != to && (w.net.cut(from, to) || w.net.cut(to, from)) || !k.host.up || s != nil && len(s.queue) >= backlog {
		w.schedule(&k.e, w.now+retry)
		return
	}
	k.stage = answered
	if s == nil {
		k.err = os.NewSyscallError("connect", syscall.ECONNREFUSED)
	} else {
		own, theirs := w.net.connect(k.l, s.l, k.local, k.remote)
		k.got = own
		s.queue = append(s.queue, theirs)
		s.waiting.stir()
	}
	w.schedule(&k.e, w.now+draw(w.net.rng, w.opts.Net))
}
