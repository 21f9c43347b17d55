package transport

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// BenchmarkRoundTrip is one small packet there and one back, over loopback.
func BenchmarkRoundTrip(b *testing.B) {
	one, two := openBench(b, 1), openBench(b, 2)
	peers := map[raft.HostID]string{1: one.Addr(), 2: two.Addr()}
	done := make(chan struct{}, 1)
	one.h.receive = func([]wire.Packet) { done <- struct{}{} }
	two.h.receive = func(packets []wire.Packet) { two.Send(1, &packets[0]) }
	up := func(h *host, id raft.HostID) {
		h.SetPeers(peers)
		for !h.Send(id, &wire.Packet{Reply: &wire.ForwardReply{}}) {
		}
	}
	up(two, 1)
	<-done
	up(one, 2)
	<-done
	p := &wire.Packet{Reply: &wire.ForwardReply{Seq: 7}}
	b.ReportAllocs()
	for b.Loop() {
		one.Send(2, p)
		<-done
	}
}

func openBench(b *testing.B, id raft.HostID) *host {
	b.Helper()
	h := newHandler()
	t, err := Open(Options{Env: env.OS(), Listen: "127.0.0.1:0", Self: func() wire.Hello { return hello(id) }, Handler: h})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = t.Close() })
	return &host{Transport: t, h: h}
}

// BenchmarkSend is what a turn pays for a heartbeat.
func BenchmarkSend(b *testing.B) {
	one, two := openBench(b, 1), openBench(b, 2)
	one.SetPeers(map[raft.HostID]string{2: two.Addr()})
	p := &wire.Packet{Raft: message(1)}
	for !one.Send(2, p) {
	}
	b.ReportAllocs()
	for b.Loop() {
		one.Send(2, p)
	}
}
