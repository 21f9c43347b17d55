package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// preface is what every HTTP/2 connection begins with. Over plaintext only gRPC speaks HTTP/2 here.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// sniffTimeout bounds how long a connection may take to say, or to agree on, what it speaks.
const sniffTimeout = 10 * time.Second

// splitter accepts connections and hands each to the gRPC or to the HTTP server, by its first bytes,
// or, with TLS, by the protocol that was agreed on. grpc-go's own HTTP/2 is several times faster than
// its adapter behind net/http; so connections are split, not requests.
type splitter struct {
	listener net.Listener
	tls      *tls.Config // nil: plaintext
	run      env.Env
	rpc, web *branch

	mu     sync.Mutex
	fresh  map[net.Conn]struct{} // not handed over yet
	closed bool
	tasks  sync.WaitGroup
}

// branch is the listener that one of the servers sees.
type branch struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (b *branch) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. The splitter closes the listener itself.
func (b *branch) Close() error {
	b.once.Do(func() { close(b.done) })
	return nil
}

// Addr is that of the one listener.
func (b *branch) Addr() net.Addr { return b.addr }

func newSplitter(l net.Listener, c *tls.Config, e env.Env) *splitter {
	newBranch := func() *branch {
		return &branch{addr: l.Addr(), conns: make(chan net.Conn), done: make(chan struct{})}
	}
	s := &splitter{listener: l, run: e, rpc: newBranch(), web: newBranch(), fresh: map[net.Conn]struct{}{}}
	if c != nil {
		s.tls = alone(c)
	}
	return s
}

// alone makes each client speak one protocol that says who it is for: who offers HTTP/1.1 gets it,
// since no gRPC client does.
func alone(c *tls.Config) *tls.Config {
	with := func(proto string) *tls.Config {
		one := c.Clone()
		one.NextProtos = []string{proto}
		return one
	}
	rpc, web := with("h2"), with("http/1.1")
	top := c.Clone()
	top.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(h.SupportedProtos) == 1 && h.SupportedProtos[0] == "h2" {
			return rpc, nil
		}
		return web, nil
	}
	return top
}

// serve accepts until Close.
func (s *splitter) serve() {
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of file descriptors, mostly: the connections that are there go on, and free some.
			pause := s.run.NewWaiter()
			_ = pause.Wait(context.Background(), s.run.Clock().Now()+50*time.Millisecond)
			continue
		}
		if !s.begin(c) {
			_ = c.Close()
			return
		}
		s.run.Run("client connection", func() {
			defer s.tasks.Done()
			s.route(c)
		})
	}
}

func (s *splitter) begin(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.fresh[c] = struct{}{}
	s.tasks.Add(1)
	return true
}

// route finds out what a connection speaks.
func (s *splitter) route(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(sniffTimeout))
	to, known := s.web, c
	var err error
	if s.tls != nil {
		t := tls.Server(c, s.tls)
		if err = t.Handshake(); err == nil && t.ConnectionState().NegotiatedProtocol == "h2" {
			to = s.rpc
		}
		known = t
	} else {
		p := &prefixed{Conn: c}
		if p.first, err = sniff(c); string(p.first) == preface {
			to = s.rpc
		}
		known = p
	}
	s.mu.Lock()
	delete(s.fresh, c)
	s.mu.Unlock()
	if err != nil {
		tellOfTLS(err)
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	select {
	case to.conns <- known:
	case <-to.done:
		_ = c.Close()
	}
}

// tellOfTLS answers a client that speaks HTTP in plaintext where TLS is asked for, as net/http does.
func tellOfTLS(err error) {
	var header tls.RecordHeaderError
	if !errors.As(err, &header) || header.Conn == nil {
		return
	}
	switch string(header.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThis is an HTTPS port: use https://\n")
	}
}

// sniff reads as much as tells HTTP/2 from anything else, and no more.
func sniff(c net.Conn) ([]byte, error) {
	first := make([]byte, 0, len(preface))
	for len(first) < len(preface) {
		n, err := c.Read(first[len(first):cap(first)])
		first = first[:len(first)+n]
		if !bytes.HasPrefix([]byte(preface), first) {
			return first, nil
		}
		if err != nil {
			return first, err
		}
	}
	return first, nil
}

// prefixed is a connection of which the first bytes were read already.
type prefixed struct {
	net.Conn
	first []byte
}

// Read gives those first.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.first)
	p.first = p.first[n:]
	if len(p.first) == 0 {
		p.first = nil
	}
	return n, nil
}

// close ends serve and waits for connections that have not been handed over. Those that have been
// belong to the servers.
func (s *splitter) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.fresh {
		_ = c.Close()
	}
	s.mu.Unlock()
	_ = s.rpc.Close()
	_ = s.web.Close()
	s.tasks.Wait()
}
