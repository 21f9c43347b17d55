package host

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// The timer serves every group that is due, in a turn that has touched as many as it lets gather: put off to
// the next round, heartbeats of thousands of groups under load would never be in time (H33).
func TestTimerServesAllThatAreDueInABusyTurn(t *testing.T) {
	inWorld(t, 1, nil, func(w *world.World, hosts []*Host) {
		for id := range raft.GroupID(maxTouched + 8) {
			createGroup(t, w, hosts[0], id+1)
		}
		onTurn(w, hosts, 0, func(h *Host) {
			now := h.env.Clock().Now()
			for _, g := range h.order[:maxTouched] {
				g.touch()
			}
			for _, g := range h.order {
				h.deadlines.set(g, now)
			}
			h.handle(&event{kind: evTimer})
			for g := h.deadlines.due(now); g != nil; g = h.deadlines.due(now) {
				t.Errorf("group %d is due, and was not served", g.id)
			}
		})
	})
}

// What a turn of many groups sends leaves before its end: the others' disks and deadlines do not wait for all of
// them, and a link's queue is bounded (H33).
func TestLongTurnSendsInPieces(t *testing.T) {
	inWorld(t, 3, nil, func(w *world.World, hosts []*Host) {
		for id := range raft.GroupID(maxTouched + 8) {
			createGroup(t, w, hosts[0], id+1)
		}
		w.Sleep(2 * time.Second)
		leads := leaderOf(w, hosts, 1)
		onTurn(w, hosts, (leads+1)%3, func(h *Host) {
			beats := heartbeatsOf(h, raft.HostID(leads+1))
			if len(beats) <= maxTouched {
				t.Errorf("host %d leads %d groups, too few for two pieces", leads+1, len(beats))
			}
			before := w.Traffic()
			h.handlePackets(raft.HostID(leads+1), beats)
			// A try counts though the connection takes nothing, or a part: the link's task writes the rest.
			if now := w.Traffic(); now.Sent+now.Untaken+now.Halved == before.Sent+before.Untaken+before.Halved {
				t.Errorf("of the answers of %d groups none has left", len(beats))
			}
		})
	})
}

// heartbeatsOf are heartbeats as the leaders on host from send them to h, each the first of a round.
func heartbeatsOf(h *Host, from raft.HostID) (packets []wire.Packet) {
	for _, g := range h.order {
		for _, v := range g.r.Configuration().Voters {
			if v.Host == from && v.Replica == g.r.Leader() {
				packets = append(packets, wire.Packet{Raft: &raft.Message{
					Type: raft.MsgHeartbeat, Group: g.id, Birth: g.birth, Term: g.r.Term(), From: v.Replica, FromIncarnation: v.Incarnation,
					To: g.self.Replica, ToIncarnation: g.self.Incarnation, Round: 1,
				}})
			}
		}
	}
	return packets
}
