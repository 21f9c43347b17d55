package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is the deadline of every condition that a test waits for.
const patience = 10 * time.Second

// handler records what a transport tells it.
type handler struct {
	mu      sync.Mutex
	changed *sync.Cond
	rounds  []uint64 // of the messages received
	events  []string

	receive  func(packets []wire.Packet)
	admit    func(h wire.Hello) error
	call     func(req []byte) []byte
	snapshot func(h wire.SnapshotHeader, resume func(int64) error, r io.Reader) error
}

func newHandler() *handler {
	h := &handler{}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *handler) event(format string, args ...any) {
	h.mu.Lock()
	h.events = append(h.events, fmt.Sprintf(format, args...))
	h.mu.Unlock()
	h.changed.Broadcast()
}

func (h *handler) Receive(from raft.HostID, packets []wire.Packet, _ int) {
	if h.receive != nil {
		h.receive(packets)
	}
	h.mu.Lock()
	for _, p := range packets {
		if p.Raft != nil {
			h.rounds = append(h.rounds, p.Raft.Round)
		}
	}
	h.mu.Unlock()
	h.changed.Broadcast()
}

func (h *handler) LinkUp(host raft.HostID) { h.event("up %d", host) }

func (h *handler) LinkLost(host raft.HostID, refused bool) {
	if refused {
		h.event("refused %d", host)
	} else {
		h.event("lost %d", host)
	}
}

func (h *handler) Admit(hello wire.Hello) error {
	if h.admit != nil {
		return h.admit(hello)
	}
	return nil
}

func (h *handler) Refused(host raft.HostID, reason string) { h.event("told %d: %s", host, reason) }

func (h *handler) Call(_ wire.Hello, req []byte) []byte { return h.call(req) }

func (h *handler) Snapshot(_ raft.HostID, header wire.SnapshotHeader, resume func(int64) error, r io.Reader) error {
	return h.snapshot(header, resume, r)
}

// await waits until cond, which is called under the lock, or fails the test.
func (h *handler) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		h.mu.Lock()
		late = true
		h.mu.Unlock()
		h.changed.Broadcast()
	})
	defer timer.Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for !cond() {
		if late {
			t.Fatalf("not within %v: %s; events: %q, %d rounds", patience, what, h.events, len(h.rounds))
		}
		h.changed.Wait()
	}
}

// awaitEvent waits for an event that begins with prefix.
func (h *handler) awaitEvent(t *testing.T, prefix string) {
	t.Helper()
	h.await(t, prefix, func() bool { return h.has(prefix) })
}

func (h *handler) has(prefix string) bool {
	for _, e := range h.events {
		if strings.HasPrefix(e, prefix) {
			return true
		}
	}
	return false
}

// journal is a log that a test can read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
	h   *handler // told of each line
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	j.buf.Write(p)
	j.mu.Unlock()
	j.h.changed.Broadcast()
	return len(p), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

var testCluster = [16]byte{1, 2, 3}

// host is one transport with what it tells.
type host struct {
	*Transport
	h   *handler
	log *journal
}

func hello(id raft.HostID) wire.Hello {
	return wire.Hello{Cluster: testCluster, Epoch: 1, Host: id, Incarnation: uint64(id) * 100, FeatureLevel: 1, Life: uint64(id) * 1000}
}

func open(t *testing.T, id raft.HostID, change func(o *Options)) *host {
	t.Helper()
	h := newHandler()
	j := &journal{h: h}
	o := Options{
		Env: env.OS(), Listen: "127.0.0.1:0", Self: func() wire.Hello { return hello(id) }, Handler: h,
		Logger: slog.New(slog.NewTextHandler(j, nil)),
	}
	if change != nil {
		change(&o)
	}
	tr, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return &host{Transport: tr, h: h, log: j}
}

// pair opens two hosts that are linked both ways.
func pair(t *testing.T, change func(o *Options)) (a, b *host) {
	t.Helper()
	a, b = open(t, 1, change), open(t, 2, change)
	a.SetPeers(map[raft.HostID]string{1: a.Addr(), 2: b.Addr()})
	b.SetPeers(map[raft.HostID]string{1: a.Addr(), 2: b.Addr()})
	a.h.awaitEvent(t, "up 2")
	b.h.awaitEvent(t, "up 1")
	return a, b
}

func message(round uint64) *raft.Message {
	return &raft.Message{Type: raft.MsgHeartbeat, Group: 1, Birth: 1, From: 1, To: 2, Term: 1, Round: round}
}

// appending is a message with one payload of n bytes.
func appending(n int) *raft.Message {
	m := message(1)
	m.Type = raft.MsgAppend
	e := raft.Entry{Identity: raft.Identity{Group: 1, Birth: 1, Kind: raft.KindCommands, Term: 1, Index: 1, Length: uint32(n)}, Data: make([]byte, n)}
	e.Payload = wire.PayloadDigest(e.Data)
	e.Sum = e.Identity.Digest()
	m.Entries = []raft.Entry{e}
	return m
}

func TestPacketsArriveInOrder(t *testing.T) {
	a, b := pair(t, nil)
	const n = 20_000
	for i := range uint64(n) {
		if !a.Send(2, &wire.Packet{Raft: message(i + 1)}) {
			t.Fatalf("packet %d is not taken", i)
		}
		if i%1000 == 0 {
			b.Send(1, &wire.Packet{Raft: message(i + 1)})
		}
	}
	b.h.await(t, "all packets", func() bool { return len(b.h.rounds) == n })
	for i, round := range b.h.rounds {
		if round != uint64(i+1) {
			t.Fatalf("place %d has packet %d", i, round)
		}
	}
	a.h.await(t, "packets the other way", func() bool { return len(a.h.rounds) == n/1000 })
}

// TestPayloadsStayIntact keeps what Receive got until much more has arrived: no memory is reused.
func TestPayloadsStayIntact(t *testing.T) {
	a, b := pair(t, nil)
	var kept []*wire.Forward
	b.h.receive = func(packets []wire.Packet) {
		b.h.mu.Lock()
		defer b.h.mu.Unlock()
		for _, p := range packets {
			kept = append(kept, p.Forward)
		}
	}
	const n = 500
	for i := range n {
		cmd := bytes.Repeat([]byte{byte(i)}, 100+i)
		for !a.Send(2, &wire.Packet{Forward: &wire.Forward{Group: 1, Term: 1, Origin: wire.Origin{Host: 1, Seq: uint64(i)}, Commands: []wire.Command{{Data: cmd}}}}) {
			t.Fatal("not taken")
		}
	}
	b.h.await(t, "all forwards", func() bool { return len(kept) == n })
	for i, f := range kept {
		if !bytes.Equal(f.Commands[0].Data, bytes.Repeat([]byte{byte(i)}, 100+i)) {
			t.Fatalf("command %d changed", i)
		}
	}
}

func TestLargePacketGoesThroughAlone(t *testing.T) {
	a, b := pair(t, func(o *Options) { o.MaxQueueBytes = 1 << 20 })
	var got int
	b.h.receive = func(packets []wire.Packet) {
		b.h.mu.Lock()
		got = len(packets[0].Raft.Entries[0].Data)
		b.h.mu.Unlock()
	}
	if !a.Send(2, &wire.Packet{Raft: appending(5 << 20)}) {
		t.Fatal("a packet above the budget is not taken by an empty queue")
	}
	b.h.await(t, "the packet", func() bool { return got == 5<<20 })
	if a.Send(2, &wire.Packet{Raft: appending(64 << 20)}) {
		t.Fatal("a packet above the bound of a frame is taken")
	}
	if s := a.Status(); len(s) != 1 || s[0].Dropped != 1 || !s[0].Connected || s[0].Host != 2 {
		t.Errorf("status %+v", s)
	}
}

// TestRefusedIsKnownAtOnce: a host whose process has died answers the redial with a reset, long
// before any timeout.
func TestRefusedIsKnownAtOnce(t *testing.T) {
	a, b := pair(t, func(o *Options) { o.IdleTimeout, o.DialBackoff, o.MaxDialBackoff = time.Hour, time.Hour, time.Hour })
	began := time.Now()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	a.h.awaitEvent(t, "refused 2")
	t.Logf("known after %v", time.Since(began))
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	if got := strings.Join(a.h.events, ", "); got != "up 2, lost 2, refused 2" {
		t.Errorf("events: %s", got)
	}
	if a.Send(2, &wire.Packet{Raft: message(1)}) {
		t.Error("a packet is taken without a link")
	}
}

func TestLinkComesBackAfterRestart(t *testing.T) {
	a, b := pair(t, nil)
	addr := b.Addr()
	for range 3 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		a.h.awaitEvent(t, "refused 2")
		a.h.mu.Lock()
		a.h.events = nil
		a.h.mu.Unlock()
		b = open(t, 2, func(o *Options) { o.Listen = addr })
		b.SetPeers(map[raft.HostID]string{1: a.Addr()})
		a.h.awaitEvent(t, "up 2")
		b.h.awaitEvent(t, "up 1")
		a.Send(2, &wire.Packet{Raft: message(7)})
		b.h.await(t, "a packet", func() bool { return len(b.h.rounds) == 1 })
	}
}

// TestPeerThatDialsEndsTheBackoff: a host that comes back dials us, which says it listens again.
func TestPeerThatDialsEndsTheBackoff(t *testing.T) {
	a := open(t, 1, func(o *Options) { o.DialBackoff, o.MaxDialBackoff = time.Hour, time.Hour })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	a.SetPeers(map[raft.HostID]string{2: addr})
	a.h.await(t, "a failed dial", func() bool { return strings.Contains(a.log.String(), "refused") })
	b := open(t, 2, func(o *Options) { o.Listen = addr })
	b.SetPeers(map[raft.HostID]string{1: a.Addr()})
	a.h.awaitEvent(t, "up 2")
	_ = b
}

func TestPeersCanLeave(t *testing.T) {
	a, b := pair(t, nil)
	a.SetPeers(nil)
	a.h.awaitEvent(t, "lost 2")
	if a.Send(2, &wire.Packet{Raft: message(1)}) {
		t.Error("a packet is taken for a host that is no peer")
	}
	if s := a.Status(); len(s) != 0 {
		t.Errorf("status %+v", s)
	}
	b.Send(1, &wire.Packet{Raft: message(5)})
	a.h.await(t, "a packet over the other link", func() bool { return len(a.h.rounds) == 1 })
}

func TestPingsMeasureTheRoundTrip(t *testing.T) {
	a, _ := pair(t, func(o *Options) { o.IdleTimeout = 200 * time.Millisecond })
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for a.Status()[0].RTT == 0 {
		if <-tick.C; time.Now().After(deadline) {
			t.Fatal("no round trip time")
		}
	}
	// Idle links live: pings go to and fro for several timeouts.
	began := time.Now()
	for time.Since(began) < time.Second {
		<-tick.C
	}
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	if a.h.has("lost") {
		t.Error("an idle link is lost")
	}
}

func TestListenOnATakenPort(t *testing.T) {
	a := open(t, 1, nil)
	_, err := Open(Options{Env: env.OS(), Listen: a.Addr(), Self: func() wire.Hello { return hello(2) }, Handler: newHandler()})
	if err == nil || !strings.Contains(err.Error(), "listen on "+a.Addr()) {
		t.Errorf("listen on a taken port: %v", err)
	}
}

func TestCloseTwice(t *testing.T) {
	a := open(t, 1, nil)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Call(t.Context(), a.Addr(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("call after close: %v", err)
	}
}
