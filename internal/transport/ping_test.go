package transport_test

import (
	"context"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/transport"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// pingEnv counts the pings that tasks write to connections that were dialled.
type pingEnv struct {
	env.Env
	pings *int
}

func (e pingEnv) Net() env.Net { return pingNet{e.Env.Net(), e.pings} }

type pingNet struct {
	env.Net
	pings *int
}

func (n pingNet) Dial(ctx context.Context, addr string) (env.Conn, error) {
	c, err := n.Net.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return pingConn{c, n.pings}, nil
}

type pingConn struct {
	env.Conn
	pings *int
}

func (c pingConn) Write(p []byte) (int, error) {
	if len(p) == wire.FrameHeaderSize+wire.NumberSize && p[5] == byte(wire.FramePing) {
		*c.pings++
	}
	return c.Conn.Write(p)
}

// A link on which turns write pings along with them, and wakes nobody for it; one that is silent pings by itself.
func TestPingsLeaveWithWhatTurnsWrite(t *testing.T) {
	w := world.New(1, world.Options{Hosts: 2})
	defer w.Close()
	peers := map[raft.HostID]string{1: w.Addr(0, 7000), 2: w.Addr(1, 7000)}
	pings, pongs, done := 0, 0, false
	var trs [2]*transport.Transport
	w.Go(world.Driver, "test", func() {
		for i := range trs {
			self := raft.HostID(i + 1)
			o := transport.Options{
				Env: w.Host(i), Listen: peers[self],
				Handler: &observer{t: t, last: map[[2]uint64]uint64{}, st: &stats{}, self: self},
				Self:    func() wire.Hello { return wire.Hello{Cluster: [16]byte{1}, Host: self, Life: 1} },
			}
			if i == 0 {
				o.Env = pingEnv{o.Env, &pings}
				o.RoundTrip = func(raft.HostID, time.Duration) { pongs++ }
			}
			w.Do(i, func() {
				var err error
				if trs[i], err = transport.Open(o); err != nil {
					t.Error(err)
					return
				}
				trs[i].SetPeers(peers)
			})
		}
		w.Sleep(5 * time.Second)
		silent, answered := pings, pongs
		if silent < 5 || answered < 5 {
			t.Errorf("%d pings and %d pongs in 5 s of silence", silent, answered)
		}
		for round := range 200 {
			w.Sleep(100 * time.Millisecond)
			w.Do(0, func() {
				e := w.Host(0)
				e.Enter()
				trs[0].Put(2, &wire.Packet{Raft: &raft.Message{Group: 1, Birth: 5, Type: raft.MsgHeartbeat, Term: 1, Round: uint64(round + 1)}})
				trs[0].Flush()
				e.Leave()
			})
		}
		if pings > silent || pongs-answered < 25 {
			t.Errorf("%d pings of their own beside a write each 100 ms, and %d pongs, in 20 s", pings-silent, pongs-answered)
		}
		done = true
		w.Stop()
	})
	w.Run(time.Minute)
	if !done {
		t.Errorf("did not end by %v\n%s", w.Now(), w.Dump())
	}
}
