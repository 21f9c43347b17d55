package host

import (
	"errors"
	"fmt"
	"io"

	"github.com/lockstep-rsm/lockstep/internal/transport"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// links is the host as its transport sees it.
type links Host

// Receive leaves packets to the turn, and comes back once the link may read on.
func (l *links) Receive(from raft.HostID, packets []wire.Packet, bytes int) {
	h := (*Host)(l)
	h.mu.Lock()
	removed := h.wasRemovedLocked(from)
	h.mu.Unlock()
	if removed {
		return // its link is older than that
	}
	b := h.backlogOf(from)
	b.add(int64(bytes))
	h.post(event{kind: evPackets, host: from, packets: append(b.take(), packets...), backlog: b, bytes: int64(bytes)})
	b.await()
}

func (h *Host) backlogOf(host raft.HostID) *backlog {
	if b, ok := h.backlogs.Load(host); ok {
		return b.(*backlog)
	}
	b, _ := h.backlogs.LoadOrStore(host, &backlog{most: h.opts.MaxInFlightBytes, reader: h.env.NewWaiter()})
	return b.(*backlog)
}

func (l *links) LinkUp(host raft.HostID) {
	h := (*Host)(l)
	h.mu.Lock()
	delete(h.refusals, host)
	h.mu.Unlock()
	h.post(event{kind: evLink, host: host})
}

var errLinkLost = errors.New("link lost")

func (l *links) LinkLost(host raft.HostID, refused bool) {
	(*Host)(l).post(event{kind: evLink, host: host, refused: refused, err: errLinkLost})
}

// Admit refuses whoever is not of this cluster, or not the host that the cluster knows. One that may have
// come since this host has last read who there is, is heard.
func (l *links) Admit(hello wire.Hello) error {
	h := (*Host)(l)
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.belongsLocked(&hello)
	if h.isNewsLocked(&hello) {
		err = h.hearLocked(&hello)
	}
	if err == nil {
		h.heardLevelLocked(&hello)
	}
	return err
}

// belongsLocked says why who says hello so is no host of this cluster, as far as this host has read who
// there is. The lock is held.
func (h *Host) belongsLocked(hello *wire.Hello) error {
	is := &h.identity.is
	switch {
	case is.State != stateFounded:
		return fmt.Errorf("host at %s "+transport.NoCluster, h.opts.Addr)
	case hello.Cluster != is.Mint.Cluster:
		return fmt.Errorf("this is cluster %x, not %x", is.Mint.Cluster, hello.Cluster)
	case hello.Epoch != is.Epoch:
		return fmt.Errorf("cluster is at epoch %d, not %d", is.Epoch, hello.Epoch)
	}
	return h.admitLocked(hello.Host, hello.Incarnation)
}

// Refused records why another host does not talk to this one.
func (l *links) Refused(host raft.HostID, reason string) {
	h := (*Host)(l)
	h.mu.Lock()
	changed := h.refusals[host] != reason
	h.refusals[host] = reason
	h.mu.Unlock()
	if changed {
		h.log.Warn("link refused", "host", h.ID(), "peer", host, "reason", reason)
	}
}

// Call answers questions of founding, of joining, about configurations, and for a snapshot. Its first byte says
// which. Anybody may ask; who joins shows a token, and only hosts of the cluster change a configuration, or get
// a snapshot.
func (l *links) Call(from wire.Hello, p []byte) []byte {
	h := (*Host)(l)
	switch {
	case len(p) > 0 && p[0] == wire.CallJoin:
		r := wire.JoinReply{State: wire.StateRefused}
		if req, err := wire.DecodeJoinRequest(p); err != nil {
			r.Reason = err.Error()
		} else {
			r = h.answerJoin(&from, &req)
		}
		return wire.AppendJoinReply(nil, &r)
	case len(p) > 0 && p[0] == wire.CallChange:
		r := wire.ChangeReply{State: wire.ChangeUnknown}
		req, err := wire.DecodeChangeRequest(p)
		if err == nil && !req.Ask {
			h.mu.Lock()
			err = h.belongsLocked(&from)
			h.mu.Unlock()
		}
		if err != nil {
			r.Reason = err.Error()
		} else {
			r = h.answerChange(&req)
		}
		return wire.AppendChangeReply(nil, &r)
	}
	if len(p) > 0 && p[0] == wire.CallSupply {
		return h.callSupply(&from, p)
	}
	req, err := wire.DecodeFoundingRequest(p)
	if err != nil {
		r := wire.FoundingReply{State: wire.StateRefused, Reason: err.Error()}
		return wire.AppendFoundingReply(nil, &r)
	}
	r := h.answerFounding(&req)
	return wire.AppendFoundingReply(nil, &r)
}

// callSupply answers hosts of the cluster.
func (h *Host) callSupply(from *wire.Hello, p []byte) []byte {
	r := wire.SupplyReply{State: wire.SupplyUnknown}
	req, err := wire.DecodeSupplyRequest(p)
	if err == nil {
		h.mu.Lock()
		err = h.belongsLocked(from)
		h.mu.Unlock()
	}
	if err == nil {
		r = h.answerSupply(&req)
	}
	return wire.AppendSupplyReply(nil, &r)
}

func (l *links) Snapshot(_ raft.HostID, header wire.SnapshotHeader, resume func(int64) error, r io.Reader) error {
	return (*Host)(l).receiveSnapshot(header, resume, r)
}
