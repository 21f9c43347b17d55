package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// stranger is a connection whose bytes a test writes itself.
type stranger struct {
	t *testing.T
	net.Conn
}

func dialStranger(t *testing.T, addr string) *stranger {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &stranger{t, c}
}

func frame(k wire.FrameKind, seq uint64, body []byte) []byte {
	p := append(wire.BeginFrame(nil), body...)
	wire.FinishFrameOf(k, p, 0, seq)
	return p
}

func packetFrame(seq uint64, m *raft.Message) []byte {
	return frame(wire.FramePackets, seq, wire.AppendPacket(nil, &wire.Packet{Raft: m}))
}

func (s *stranger) write(p []byte) {
	s.t.Helper()
	if _, err := s.Write(p); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stranger) frame() (wire.FrameHeader, []byte) {
	s.t.Helper()
	var head [wire.FrameHeaderSize]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		s.t.Fatal(err)
	}
	h, err := wire.ParseFrameHeader(head[:], 1<<20)
	if err != nil {
		s.t.Fatal(err)
	}
	body := make([]byte, h.Length)
	if _, err := io.ReadFull(s, body); err != nil {
		s.t.Fatal(err)
	}
	if err := h.Verify(body); err != nil {
		s.t.Fatal(err)
	}
	return h, body
}

// greet says hello as h and returns the reply.
func (s *stranger) greet(h wire.Hello) wire.HelloReply {
	s.t.Helper()
	s.write(frame(wire.FrameHello, 1, wire.AppendHello(nil, &h)))
	_, body := s.frame()
	r, err := wire.DecodeHelloReply(body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// closed waits until the other side has closed the connection.
func (s *stranger) closed() {
	s.t.Helper()
	_, err := io.Copy(io.Discard, s)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		s.t.Error("the connection stays open")
	}
}

// linkHello is what host from says to host to.
func linkHello(from, to raft.HostID) wire.Hello {
	h := hello(from)
	h.Protocol, h.Purpose, h.To = wire.Protocol, wire.PurposeLink, to
	return h
}

// asLink greets as host 2.
func asLink(t *testing.T, a *host) *stranger {
	t.Helper()
	s := dialStranger(t, a.Addr())
	if r := s.greet(linkHello(2, 1)); !r.OK || r.Hello.Host != 1 {
		t.Fatalf("greeting is answered %+v", r)
	}
	return s
}

// TestDoubledAndLateFramesAreDropped: what a network doubles or delays arrives at most once, in
// order; what it loses is not waited for.
func TestDoubledAndLateFramesAreDropped(t *testing.T) {
	a := open(t, 1, nil)
	s := asLink(t, a)
	for _, seq := range []uint64{2, 3, 3, 2, 5, 4, 5, 6, 100, 99, 101} {
		s.write(packetFrame(seq, message(seq)))
	}
	a.h.await(t, "the last frame", func() bool { n := len(a.h.rounds); return n > 0 && a.h.rounds[n-1] == 101 })
	want := []uint64{2, 3, 5, 6, 100, 101}
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	if len(a.h.rounds) != len(want) {
		t.Fatalf("received %v, want %v", a.h.rounds, want)
	}
	for i := range want {
		if a.h.rounds[i] != want[i] {
			t.Fatalf("received %v, want %v", a.h.rounds, want)
		}
	}
}

func TestFramesInPiecesAreRead(t *testing.T) {
	a := open(t, 1, nil)
	s := asLink(t, a)
	for _, b := range append(packetFrame(2, message(2)), packetFrame(3, message(3))...) {
		s.write([]byte{b})
	}
	a.h.await(t, "both frames", func() bool { return len(a.h.rounds) == 2 })
}

// TestGarbageOnThePort: a stranger costs a bounded read and a line in the log, and harms nobody.
func TestGarbageOnThePort(t *testing.T) {
	a := open(t, 1, func(o *Options) { o.HandshakeTimeout = 300 * time.Millisecond })
	good := wire.AppendHello(nil, &wire.Hello{Purpose: wire.PurposeLink})
	flipped := frame(wire.FrameHello, 1, good)
	flipped[30] ^= 1
	huge := frame(wire.FrameHello, 1, good)
	binary.LittleEndian.PutUint32(huge[8:], 1<<30)
	for _, c := range []struct{ what, log string }{
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "an HTTP client on the port for hosts"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "a gRPC or HTTP/2 client"},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 100), "a TLS client on a plaintext port"},
		{"SSH-2.0-OpenSSH_9.6\r\n padded to more than a header", `expected \"LSK1\", found \"SSH-\"`},
		{strings.Repeat("\x00", 1<<20), "magic"},
		{string(flipped), "checksum"},
		{string(huge), "length"},
		{string(frame(wire.FrameHello, 1, nil)), "version"},
		{string(frame(wire.FrameHello, 1, make([]byte, 4000))), "length"},
		{string(frame(wire.FrameHello, 1, append(bytes.Clone(good), 1))), "no more bytes"},
		{string(packetFrame(1, message(1))), "unexpected kind"},
		{"LSK1", "no sign"}, // and then silence
	} {
		before, bytes := len(a.log.String()), []byte(c.what)
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		s := dialStranger(t, a.Addr())
		_, _ = s.Write(bytes) // it may be closed before all is written
		s.closed()
		runtime.ReadMemStats(&m1)
		if n := m1.TotalAlloc - m0.TotalAlloc; n > 1<<19 {
			t.Errorf("%.20q makes the host allocate %d bytes", c.what, n)
		}
		a.h.await(t, c.log, func() bool { return strings.Contains(a.log.String()[before:], c.log) })
	}
	asLink(t, a)
}

// TestGarbageInALink: after the handshake too, one bad frame ends the connection and is named.
func TestGarbageInALink(t *testing.T) {
	m := message(2)
	flipped := packetFrame(2, m)
	flipped[len(flipped)-1] ^= 1
	unknown := frame(wire.FramePackets, 2, []byte{99, 0, 0, 0, 0})
	for _, c := range []struct {
		what []byte
		log  string
	}{
		{flipped, "checksum"},
		{unknown, "a known kind"},
		{frame(wire.FramePackets, 2, make([]byte, 2<<20)), "length"},
		{frame(wire.FrameRequest, 2, nil), "unexpected kind"},
		{frame(wire.FramePing, 2, []byte("no number")), "no more bytes"},
		{[]byte(strings.Repeat("?", 100)), "magic"},
	} {
		a := open(t, 1, func(o *Options) { o.MaxFrameBytes = 1 << 20 })
		s := asLink(t, a)
		_, _ = s.Write(c.what) // it may be closed before all is written
		s.closed()
		a.h.await(t, c.log, func() bool {
			l := a.log.String()
			return strings.Contains(l, c.log) && strings.Contains(l, "host=2")
		})
		a.h.mu.Lock()
		if len(a.h.rounds) > 0 {
			t.Errorf("%s: a packet of a bad frame is received", c.log)
		}
		a.h.mu.Unlock()
	}
}

func TestHelloIsRefusedWithAReason(t *testing.T) {
	a := open(t, 1, nil)
	a.h.admit = func(h wire.Hello) error {
		if h.Incarnation != uint64(h.Host)*100 {
			return errors.New("host 2 was another directory: remove it and add it again")
		}
		return nil
	}
	for _, c := range []struct {
		change func(h *wire.Hello)
		reason string
	}{
		{func(h *wire.Hello) { h.Cluster[0]++ }, "it belongs to cluster 0202030000"},
		{func(h *wire.Hello) { h.Cluster = [16]byte{} }, "it belongs to no cluster yet"},
		{func(h *wire.Hello) { h.To = 7 }, "it looks for host 7, this is host 1"},
		{func(h *wire.Hello) { h.Host = 1 }, "is a data directory in use twice"},
		{func(h *wire.Hello) { h.Protocol = 9 }, "it speaks protocol 9, this host speaks 1"},
		{func(h *wire.Hello) { h.Incarnation++ }, "host 2 was another directory"},
		{func(h *wire.Hello) { h.Purpose, h.Cluster[0] = wire.PurposeSnapshot, 9 }, "it belongs to cluster"},
		{func(h *wire.Hello) { h.Purpose, h.Cluster[0] = wire.PurposeCall, 9 }, "it belongs to cluster"},
	} {
		h := linkHello(2, 1)
		c.change(&h)
		s := dialStranger(t, a.Addr())
		if r := s.greet(h); r.OK || !strings.Contains(r.Reason, c.reason) {
			t.Errorf("reply %+v, want %q", r, c.reason)
		}
		s.closed()
		a.h.await(t, c.reason, func() bool { return strings.Contains(a.log.String(), c.reason) })
	}
}

// TestDiallerIsToldWhy sends a whole transport into another cluster.
func TestDiallerIsToldWhy(t *testing.T) {
	a := open(t, 1, nil)
	b := open(t, 2, func(o *Options) {
		o.Self = func() wire.Hello {
			h := hello(2)
			h.Cluster[0]++
			return h
		}
	})
	a.SetPeers(map[raft.HostID]string{2: b.Addr()})
	a.h.awaitEvent(t, "told 2: it belongs to cluster 01020300000000000000000000000000, this host to 0202030000")
	if s := a.Status()[0]; s.Connected || !strings.Contains(s.Reason, "refuses this host") {
		t.Errorf("status %+v", s)
	}
}

// TestDiallerChecksTheAnswer: another host than the one wanted has taken over its address.
func TestDiallerChecksTheAnswer(t *testing.T) {
	a := open(t, 1, nil)
	l := listenStranger(t)
	a.SetPeers(map[raft.HostID]string{2: l.addr})
	l.accept(func(s *stranger) {
		s.frame()
		answer := linkHello(3, 1)
		s.write(frame(wire.FrameHelloReply, 1, wire.AppendHelloReply(nil, &wire.HelloReply{OK: true, Hello: answer})))
		s.closed()
	})
	a.h.await(t, "the reason", func() bool { return strings.Contains(a.log.String(), "host 3 answers, not host 2") })
	if a.h.has("up") {
		t.Error("a link to the wrong host is up")
	}
}

// strangeListener is a host that a test plays.
type strangeListener struct {
	t    *testing.T
	l    net.Listener
	addr string
}

func listenStranger(t *testing.T) *strangeListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &strangeListener{t, l, l.Addr().String()}
}

func (l *strangeListener) accept(play func(s *stranger)) {
	l.t.Helper()
	c, err := l.l.Accept()
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	play(&stranger{l.t, c})
}

// answer takes a link as host 2 and returns the hello.
func (s *stranger) answer() wire.Hello {
	s.t.Helper()
	_, body := s.frame()
	h, err := wire.DecodeHello(body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(frame(wire.FrameHelloReply, 1, wire.AppendHelloReply(nil, &wire.HelloReply{OK: true, Hello: linkHello(2, h.Host)})))
	return h
}

// TestSilentPeerIsFound: a stopped process keeps its connections and answers nothing.
func TestSilentPeerIsFound(t *testing.T) {
	a := open(t, 1, func(o *Options) { o.IdleTimeout = 200 * time.Millisecond })
	l := listenStranger(t)
	a.SetPeers(map[raft.HostID]string{2: l.addr})
	l.accept(func(s *stranger) {
		s.answer()
		a.h.awaitEvent(t, "up 2")
		a.h.awaitEvent(t, "lost 2")
	})
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	if a.h.has("refused") || !strings.Contains(a.log.String(), "no sign from") {
		t.Errorf("events %q, log %s", a.h.events, a.log)
	}
}

// TestSilentDiallerIsFound is the same on the accepting side.
func TestSilentDiallerIsFound(t *testing.T) {
	a := open(t, 1, func(o *Options) { o.IdleTimeout = 200 * time.Millisecond })
	s := asLink(t, a)
	s.closed()
	a.h.await(t, "a line", func() bool { return strings.Contains(a.log.String(), "no sign from") })
}

// TestSlowPeerCostsABoundedNumberOfBytes: Send refuses beyond the budget, and takes again once the
// peer reads.
func TestSlowPeerCostsABoundedNumberOfBytes(t *testing.T) {
	const budget = 1 << 20
	a := open(t, 1, func(o *Options) { o.MaxQueueBytes, o.IdleTimeout = budget, time.Hour })
	l := listenStranger(t)
	a.SetPeers(map[raft.HostID]string{2: l.addr})
	l.accept(func(s *stranger) {
		s.answer()
		a.h.awaitEvent(t, "up 2")
		p := &wire.Packet{Raft: appending(10_000)}
		sent, refused := 0, 0
		// The kernel's buffers take some megabytes; then it is the queue's turn.
		for deadline := time.Now().Add(patience); refused < 1000; {
			if a.Send(2, p) {
				sent, refused = sent+1, 0
			} else {
				refused++
			}
			if q := a.Status()[0].QueuedBytes; q > budget {
				t.Fatalf("%d bytes are queued", q)
			}
			if time.Now().After(deadline) {
				t.Fatalf("no end after %d packets", sent)
			}
			runtime.Gosched()
		}
		if q := a.Status()[0].QueuedBytes; q < budget/2 {
			t.Errorf("refused below the budget, at %d bytes", q)
		}
		go func() { _, _ = io.Copy(io.Discard, s) }() // ends with the connection
		for deadline := time.Now().Add(patience); !a.Send(2, p); runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("it never takes packets again")
			}
		}
		if d := a.Status()[0].Dropped; d < 1000 {
			t.Errorf("%d dropped", d)
		}
		a.SetPeers(nil)
	})
}

// TestNewerConnectionEndsTheOlder: a peer that lost its connection and came back is heard on the
// new one only.
func TestNewerConnectionEndsTheOlder(t *testing.T) {
	a := open(t, 1, func(o *Options) { o.IdleTimeout = time.Hour })
	one := asLink(t, a)
	one.write(packetFrame(2, message(1)))
	a.h.await(t, "a packet", func() bool { return len(a.h.rounds) == 1 })
	two := asLink(t, a)
	one.closed()
	two.write(packetFrame(2, message(2)))
	a.h.await(t, "a packet of the newer", func() bool { return len(a.h.rounds) == 2 })
}

func TestConnectionsAreBounded(t *testing.T) {
	a := open(t, 1, func(o *Options) { o.MaxAccepted, o.HandshakeTimeout = 3, time.Hour })
	var held []*stranger
	for range 3 {
		held = append(held, dialStranger(t, a.Addr()))
	}
	dialStranger(t, a.Addr()).closed()
	a.h.await(t, "a line", func() bool { return strings.Contains(a.log.String(), "too many are open") })
	_ = held[0].Close()
	// Its place comes free once the host has seen the end.
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		s := dialStranger(t, a.Addr())
		h := linkHello(2, 1)
		_, _ = s.Write(frame(wire.FrameHello, 1, wire.AppendHello(nil, &h)))
		var b [1]byte
		if n, _ := s.Read(b[:]); n == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place never comes free")
		}
	}
}
