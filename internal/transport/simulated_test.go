package transport_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/snapshot"
	"github.com/lockstep-rsm/lockstep/internal/transport"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// stats counts what happened in a simulation: a run in which something never did proves little.
type stats struct {
	got, ups, losts, refused, calls, callErrs, snaps, snapErrs, resumed int
}

// observer checks what a simulated host is told.
type observer struct {
	t    *testing.T
	last map[[2]uint64]uint64 // newest round, by sender and its life
	st   *stats
	self raft.HostID
	snap *snapshot.Store
	data []byte
}

func (h *observer) Receive(from raft.HostID, ps []wire.Packet, _ int) {
	for _, p := range ps {
		k := [2]uint64{uint64(from), uint64(p.Raft.FromIncarnation)}
		if p.Raft.Round <= h.last[k] {
			h.t.Errorf("host %d: from %v round %d after %d", h.self, k, p.Raft.Round, h.last[k])
		}
		h.last[k] = p.Raft.Round
		h.st.got++
	}
}
func (h *observer) LinkUp(raft.HostID) { h.st.ups++ }
func (h *observer) LinkLost(_ raft.HostID, refused bool) {
	if refused {
		h.st.refused++
	} else {
		h.st.losts++
	}
}
func (h *observer) Admit(wire.Hello) error               { return nil }
func (h *observer) Refused(raft.HostID, string)          { h.t.Error("refused") }
func (h *observer) Call(_ wire.Hello, req []byte) []byte { return req }
func (h *observer) Snapshot(from raft.HostID, hd wire.SnapshotHeader, resume func(int64) error, r io.Reader) error {
	id := hd.Meta.Identity
	off := h.snap.Offset(id.Group, id.Birth, id.Index)
	if off > 0 {
		h.st.resumed++
	}
	if err := resume(off); err != nil {
		return err
	}
	if _, err := h.snap.Receive(r, id.Group, id.Birth, id.Index, off); err != nil {
		return err
	}
	rd, err := h.snap.Open(id.Group, id.Birth, id.Index)
	if err != nil {
		return err
	}
	defer rd.Close()
	got, err := io.ReadAll(rd)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, h.data) {
		h.t.Error("snapshot differs")
	}
	return nil
}

func header(index raft.Index) wire.SnapshotHeader {
	id := raft.Identity{Group: 1, Birth: 5, Kind: raft.KindEmpty, Term: 3, Index: index}
	return wire.SnapshotHeader{Meta: raft.SnapshotMeta{Identity: id, Sum: id.Digest()}, Machine: "kv", Cluster: [16]byte{1}}
}

// machine is a simulated host: it says a number to everybody every 10 ms, on a turn every other time, calls
// its neighbour, and, if it is the first, sends snapshot after snapshot to the second.
type machine struct {
	w     *world.World
	t     *testing.T
	st    *stats
	h     int
	life  uint64
	peers map[raft.HostID]string
	data  []byte
	snap  *snapshot.Store
	tr    *transport.Transport
}

func (m *machine) main() {
	e := m.w.Host(m.h)
	self := raft.HostID(m.h + 1)
	var err error
	if m.snap, err = snapshot.Open(snapshot.Options{Env: e, Dir: "/snapshots", Cluster: [16]byte{1}}); err != nil {
		m.t.Error(err)
		return
	}
	m.tr, err = transport.Open(transport.Options{
		Env: e, Listen: m.peers[self],
		Handler: &observer{t: m.t, last: map[[2]uint64]uint64{}, st: m.st, self: self, snap: m.snap, data: m.data},
		Self:    func() wire.Hello { return wire.Hello{Cluster: [16]byte{1}, Host: self, Life: m.life} },
	})
	if err != nil {
		m.t.Error(err)
		return
	}
	m.tr.SetPeers(m.peers)
	if m.h == 0 {
		e.Run("snapshots", m.sendSnapshots)
	}
	e.Run("calls", m.call)
	for round := uint64(1); ; round++ {
		send := m.tr.Send
		if round%2 == 0 {
			e.Enter()
			send = m.tr.Put
		}
		for to := raft.HostID(1); to <= 3; to++ {
			send(to, &wire.Packet{Raft: &raft.Message{Type: raft.MsgHeartbeat, FromIncarnation: raft.Incarnation(m.life), Round: round}})
		}
		if round%2 == 0 {
			m.tr.Flush()
			e.Leave()
		}
		m.w.Sleep(10 * time.Millisecond)
	}
}

func (m *machine) call() {
	for {
		m.w.Sleep(500 * time.Millisecond)
		got, err := m.tr.Call(m.w.Context(), m.peers[raft.HostID((m.h+1)%3+1)], []byte("hi"))
		if err != nil {
			m.st.callErrs++
		} else if string(got) == "hi" {
			m.st.calls++
		}
	}
}

func (m *machine) sendSnapshots() {
	for i := raft.Index(1); ; i++ {
		w, err := m.snap.Create(header(i))
		if err == nil {
			_, _ = w.Write(m.data) // Seal returns its error again
			err = w.Seal()
		}
		if err == nil {
			err = m.snap.MarkAgreed(1, 5, i)
		}
		if err != nil {
			m.t.Error(err)
			return
		}
		h := header(i)
		h.Format = wire.SnapshotFormat
		for range 30 {
			err := m.tr.SendSnapshot(context.Background(), 2, h, func(off int64, w io.Writer) error { return m.snap.Send(w, 1, 5, i, off) })
			if err == nil {
				m.st.snaps++
				break
			}
			m.st.snapErrs++
			m.w.Sleep(200 * time.Millisecond)
		}
		m.w.Sleep(2 * time.Second)
	}
}

// run simulates three hosts through every fault, and returns the trace's hash.
func run(t *testing.T, seed uint64) (uint64, stats) {
	w := world.New(seed, world.Options{Hosts: 3, Shuffle: true})
	defer w.Close()
	var st stats
	lives := uint64(0)
	peers := map[raft.HostID]string{}
	for i := range 3 {
		peers[raft.HostID(i+1)] = w.Addr(i, 7000)
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 70_000)
	start := func(h int) {
		lives++
		m := &machine{w: w, t: t, st: &st, h: h, life: lives, peers: peers, data: data}
		w.Go(h, "main", m.main)
	}
	for h := range 3 {
		start(h)
	}
	w.Go(world.Driver, "faults", func() {
		faults(w, start)
		w.Sleep(5 * time.Second)
		before := st.got
		w.Sleep(time.Second)
		if st.got-before < 500 {
			t.Errorf("seed %d: only %d messages in a second of peace", seed, st.got-before)
		}
		if sent := w.Traffic(); sent.Halved == 0 || sent.Untaken == 0 {
			t.Errorf("seed %d: no flush wrote a part, or nothing: %+v", seed, sent)
		}
		w.Stop()
	})
	w.Run(time.Hour)
	return w.Hash(), st
}

func faults(w *world.World, start func(h int)) {
	w.Sleep(2 * time.Second)
	w.Messages(world.MessageFaults{Drop: 0.002, Double: 0.05, Reorder: 0.05, Delay: 0.05, MaxDelay: 50 * time.Millisecond})
	w.Sleep(5 * time.Second)
	w.Messages(world.MessageFaults{})
	w.Cut(0, 1)
	w.Sleep(8 * time.Second)
	w.HealAll()
	w.Sleep(2 * time.Second)
	w.Kill(1)
	w.Sleep(time.Second)
	w.Start(1)
	start(1)
	w.Sleep(2 * time.Second)
	w.PowerOff(2)
	w.Sleep(5 * time.Second)
	w.Start(2)
	start(2)
	w.Sleep(2 * time.Second)
	w.Pause(1)
	w.Sleep(4 * time.Second)
	w.Resume(1)
	w.Sleep(2 * time.Second)
	w.ResetBetween(0, 1)
	w.Sleep(200 * time.Millisecond)
}

// TestSimulatedHostsHearEachOtherInOrder runs the production code on the simulator's coroutines:
// whatever networks and hosts do, no number comes twice or late within a sender's life, snapshots
// arrive whole, all goes on after the faults, and one seed is one trace.
func TestSimulatedHostsHearEachOtherInOrder(t *testing.T) {
	const seed = 1
	hash, st := run(t, seed)
	t.Logf("seed %d: %+v", seed, st)
	if st.got == 0 || st.ups < 6 || st.losts == 0 || st.refused == 0 || st.calls == 0 || st.callErrs == 0 || st.snaps == 0 || st.snapErrs == 0 || st.resumed == 0 {
		t.Errorf("seed %d: something never happened: %+v", seed, st)
	}
	if again, _ := run(t, seed); again != hash {
		t.Errorf("seed %d: hash %x, then %x", seed, hash, again)
	}
}

// TestFlushKeepsOrderAndNeverWaits: turns send to a host that stands still for a while. They go on at once, refused
// or not; what was taken arrives once and in order, whether turns or the link's task have written it, and
// on links that stay whole: of no frame is a part lost or written twice.
func TestFlushKeepsOrderAndNeverWaits(t *testing.T) {
	var tried world.Traffic
	for seed := range uint64(20) {
		w := world.New(seed, world.Options{Hosts: 2, Shuffle: true, Window: 4 << 10})
		peers := map[raft.HostID]string{1: w.Addr(0, 7000), 2: w.Addr(1, 7000)}
		st := &stats{}
		var taken int
		w.Go(1, "receiver", func() {
			openIn(t, w, 1, peers, &observer{t: t, self: 2, st: st, last: map[[2]uint64]uint64{}}, time.Hour)
		})
		w.Go(0, "sender", func() {
			e := w.Host(0)
			tr := openIn(t, w, 0, peers, &observer{t: t, self: 1, st: &stats{}}, time.Hour)
			w.Sleep(time.Second)
			refused := 0
			for round := range uint64(20_000) {
				at := w.Now()
				e.Enter()
				for range 1 + round%3 {
					m := &raft.Message{Type: raft.MsgHeartbeat, FromIncarnation: 1, Round: uint64(taken + 1)}
					if tr.Put(2, &wire.Packet{Raft: m}) {
						taken++
					} else {
						refused++
					}
				}
				tr.Flush()
				e.Leave()
				if w.Now() != at {
					t.Fatalf("a turn took %v", w.Now()-at)
				}
				switch round {
				case 5000:
					w.Pause(1)
				case 10_000:
					w.Resume(1)
				}
				if round%5 == 0 {
					w.Sleep(time.Duration(round%7) * 100 * time.Microsecond)
				}
			}
			if refused == 0 {
				t.Errorf("seed %d: the queue never filled", seed)
			}
			w.Sleep(2 * time.Second)
			w.Stop()
		})
		w.Run(time.Minute)
		if st.got != taken || st.ups != 1 {
			t.Errorf("seed %d: %d packets of %d arrived, over %d links", seed, st.got, taken, st.ups)
		}
		sent := w.Traffic()
		tried.Halved, tried.Untaken = tried.Halved+sent.Halved, tried.Untaken+sent.Untaken
		w.Close()
	}
	if tried.Halved == 0 || tried.Untaken == 0 {
		t.Errorf("no flush wrote a part, or nothing: %+v", tried)
	}
}

// TestFlushBesideAPingIsNotForgotten: the task of the link waits in the write of a ping when a turn sends. The
// packet goes with the ping, not with the next one.
func TestFlushBesideAPingIsNotForgotten(t *testing.T) {
	const window, idle = 1000, 4 * time.Second
	w := world.New(1, world.Options{Hosts: 2, Window: window})
	defer w.Close()
	peers := map[raft.HostID]string{1: w.Addr(0, 7000), 2: w.Addr(1, 7000)}
	st := &stats{}
	w.Go(1, "receiver", func() {
		openIn(t, w, 1, peers, &observer{t: t, self: 2, st: st, last: map[[2]uint64]uint64{}}, idle)
	})
	w.Go(0, "sender", func() {
		tr, sent := openIn(t, w, 0, peers, &observer{t: t, self: 1, st: &stats{}}, idle), 0
		send := func() {
			sent++
			if !tr.Put(2, &wire.Packet{Raft: &raft.Message{Type: raft.MsgHeartbeat, FromIncarnation: 1, Round: uint64(sent)}}) {
				t.Fatal("a packet is refused")
			}
			tr.Flush()
			w.Sleep(time.Millisecond)
		}
		w.Sleep(idle/4 + idle/8) // between two pings
		w.Pause(1)
		for before := w.Traffic().Bytes; w.Traffic().Bytes < before+window; {
			send()
		}
		w.Sleep(idle / 4)
		if n := tr.Status()[0].QueuedBytes; n > 0 {
			t.Fatalf("%d bytes wait, so that none may be of a ping", n)
		}
		send()
		w.Resume(1)
		w.Sleep(idle / 16)
		if st.got != sent {
			t.Errorf("%d of %d packets have arrived", st.got, sent)
		}
		w.Stop()
	})
	w.Run(time.Minute)
}

// openIn opens the transport of one host of a world.
func openIn(t *testing.T, w *world.World, h int, peers map[raft.HostID]string, handler transport.Handler, idle time.Duration) *transport.Transport {
	self := raft.HostID(h + 1)
	tr, err := transport.Open(transport.Options{
		Env: w.Host(h), Listen: peers[self], Handler: handler, IdleTimeout: idle, MaxQueueBytes: 64 << 10,
		Self: func() wire.Hello { return wire.Hello{Cluster: [16]byte{1}, Host: self, Life: uint64(self)} },
	})
	if err != nil {
		t.Fatal(err)
	}
	tr.SetPeers(peers)
	return tr
}

// slowDisk takes a whole snapshot, and then as long as a slow disk does.
type slowDisk struct {
	observer
	clock env.Clock
	pause env.Waiter
	takes time.Duration
	got   int64
}

func (h *slowDisk) Snapshot(_ raft.HostID, _ wire.SnapshotHeader, resume func(int64) error, r io.Reader) (err error) {
	if err := resume(0); err != nil {
		return err
	}
	h.got, err = io.Copy(io.Discard, r)
	_ = h.pause.Wait(nil, h.clock.Now()+h.takes) // ends by time alone
	return err
}

// TestSlowReceiverIsAlive: a disk may keep the receiver, or the throttle the sender, for longer
// than IdleTimeout.
func TestSlowReceiverIsAlive(t *testing.T) {
	const idle, size = 100 * time.Millisecond, 200 << 10
	w := world.New(1, world.Options{Hosts: 2})
	defer w.Close()
	peers := map[raft.HostID]string{1: w.Addr(0, 7000), 2: w.Addr(1, 7000)}
	var slow *slowDisk
	var took time.Duration
	for h := range 2 {
		w.Go(h, "main", func() {
			e, self := w.Host(h), raft.HostID(h+1)
			handler := &slowDisk{observer: observer{t: t, self: self, st: &stats{}}, clock: e.Clock(), pause: e.NewWaiter(), takes: 5 * idle}
			tr, err := transport.Open(transport.Options{
				Env: e, Listen: peers[self], Handler: handler, IdleTimeout: idle, SnapshotBytesPerSecond: 256 << 10,
				Self: func() wire.Hello { return wire.Hello{Cluster: [16]byte{1}, Host: self, Life: uint64(self)} },
			})
			if err != nil {
				t.Error(err)
				return
			}
			tr.SetPeers(peers)
			if h == 1 {
				slow = handler
				return
			}
			w.Sleep(time.Second)
			began := w.Now()
			hd := header(1)
			hd.Format = wire.SnapshotFormat
			err = tr.SendSnapshot(context.Background(), 2, hd, func(_ int64, to io.Writer) error {
				_, err := to.Write(make([]byte, size))
				return err
			})
			if took = w.Now() - began; err != nil {
				t.Errorf("after %v: %v", took, err)
			}
			w.Stop()
		})
	}
	w.Run(time.Minute)
	if slow == nil || slow.got != size || took < 900*time.Millisecond {
		t.Errorf("200 KiB at 256 KiB/s and a slow disk took %v, and arrived as %+v", took, slow)
	}
}
