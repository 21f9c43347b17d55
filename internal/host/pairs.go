package host

import (
	"cmp"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A group at rest sends no heartbeats (raft.Options.Quiet): that its leader lives is told by the leader's
// host, once per heartbeat and peer, for all such groups together. What is said is for how many groups the last
// word to the other host was to be quiet, and their names in one sum. Links deliver in order, so the other's own
// sum of the last words that came differs only where one was lost: then both hosts wake all that is quiet
// between them, and heartbeats say how things stand.

// pair is what this host and another have to say to each other while groups are quiet.
type pair struct {
	host     raft.HostID
	to       names         // of groups that we lead, and told it to be quiet
	from     names         // of groups that it leads, and told us to be quiet
	heard    time.Duration // when anything came from it
	vouched  time.Duration // when it last spoke for all of from
	calledAt time.Duration // when we last asked it to wake all; 0: never
}

// names of groups: how many, and their exclusive or.
type names struct {
	count uint32
	sum   uint64
}

func (n *names) add(g *group) {
	n.count++
	n.sum ^= wire.GroupName(g.id, g.birth)
}

func (n *names) remove(g *group) {
	n.count--
	n.sum ^= wire.GroupName(g.id, g.birth)
}

// quiet says whether neither has anything to say.
func (p *pair) quiet() bool { return p.to.count == 0 && p.from.count == 0 }

// pair with another host.
func (h *Host) pair(host raft.HostID) *pair {
	i, ok := slices.BinarySearchFunc(h.pairs, host, func(p *pair, host raft.HostID) int { return cmp.Compare(p.host, host) })
	if !ok {
		h.pairs = slices.Insert(h.pairs, i, &pair{host: host, heard: h.env.Clock().Now()})
	}
	return h.pairs[i]
}

// fromLeader says that only a leader sends this: the last of these is its word on whether to be quiet.
func fromLeader(m *raft.Message) bool {
	return m.Type == raft.MsgAppend || m.Type == raft.MsgHeartbeat || m.Type == raft.MsgSnapshotOffer || m.Type == raft.MsgTransfer
}

// told notes a leader's word to a follower's host; sent: it is on the link.
func (g *group) told(m *raft.Message, sent bool) {
	if !fromLeader(m) {
		return
	}
	at := slices.Index(g.quieted, m.ToHost)
	switch quiet := m.Quiet && sent; {
	case quiet && at < 0:
		g.quieted = append(g.quieted, m.ToHost)
		g.h.pair(m.ToHost).to.add(g)
	case !quiet && at >= 0:
		g.quieted = slices.Delete(g.quieted, at, at+1)
		g.h.pair(m.ToHost).to.remove(g)
	}
}

// speakNoMore is for a group that this host leads no more, or not as a quiet one, without having said so.
func (g *group) speakNoMore() {
	for _, host := range g.quieted {
		g.h.pair(host).to.remove(g)
		g.h.send(host, &wire.Packet{Wake: &wire.Wake{Group: g.id, Birth: g.birth}})
	}
	g.quieted = g.quieted[:0]
}

// heardWord notes a leader's word that came from its host.
func (g *group) heardWord(from raft.HostID, quiet bool) {
	if g.quietBy != 0 && (g.quietBy != from || !quiet) {
		p := g.h.pair(g.quietBy)
		g.heard = max(g.heard, p.vouched)
		p.from.remove(g)
		g.quietBy = 0
	}
	if quiet && g.quietBy == 0 {
		g.quietBy = from
		p := g.h.pair(from)
		p.from.add(g)
	}
}

// lastHeard is when this follower's leader was last known to live.
func (g *group) lastHeard() time.Duration {
	if g.quietBy != 0 {
		return max(g.heard, g.h.pair(g.quietBy).vouched)
	}
	return g.heard
}

// doubt wakes the followers here that a host spoke for, as if it had last been heard at since.
func (h *Host) doubt(p *pair, since time.Duration) {
	for _, g := range h.order {
		if g.quietBy == p.host {
			g.heardWord(p.host, false)
			g.step(raft.Input{Kind: raft.InHostSilent, Host: p.host, Since: raft.Instant(since)})
		}
	}
}

// handleVouch takes what another host says of the quiet groups that it leads.
func (h *Host) handleVouch(from raft.HostID, v *wire.Vouch) {
	p, now := h.pair(from), h.env.Clock().Now()
	if v.Call {
		for _, g := range h.order {
			if slices.Contains(g.quieted, from) {
				g.step(raft.Input{Kind: raft.InHostUp, Host: from})
			}
		}
		return
	}
	if (names{v.Groups, v.Sum}) == p.from {
		p.vouched = now
		return
	}
	if p.calledAt == 0 || now-p.calledAt >= h.opts.ElectionTimeout {
		p.calledAt = now
		h.send(from, &wire.Packet{Vouch: &wire.Vouch{Call: true}})
		h.doubt(p, now)
	}
}

// handleWake: the host that spoke for a group's leader does so no more.
func (h *Host) handleWake(from raft.HostID, w *wire.Wake) {
	g := h.groups[w.Group]
	if g == nil || g.birth != w.Birth || g.quietBy != from {
		return
	}
	g.heardWord(from, false)
	g.step(raft.Input{Kind: raft.InHostSilent, Host: from, Since: raft.Instant(h.env.Clock().Now())})
}

// ringPairs speaks for the quiet groups that this host leads, and finds hosts that have fallen silent.
func (h *Host) ringPairs(now time.Duration) {
	beat := now >= h.beatAt
	if beat {
		h.beatAt = (now/h.opts.Heartbeat + 1) * h.opts.Heartbeat // as raft sets its own
	}
	for _, p := range h.pairs {
		switch {
		case p.quiet():
		case now-p.heard > h.opts.ElectionTimeout:
			h.handleSilence(p)
		case beat:
			h.send(p.host, &wire.Packet{Vouch: &wire.Vouch{Groups: p.to.count, Sum: p.to.sum}})
		}
	}
}

// handleSilence wakes all that is quiet between this host and one that says nothing any more.
func (h *Host) handleSilence(p *pair) {
	h.doubt(p, p.heard)
	for _, g := range h.order {
		if slices.Contains(g.quieted, p.host) {
			g.step(raft.Input{Kind: raft.InHostSilent, Host: p.host, Since: raft.Instant(p.heard)})
		}
	}
}

// pairsAt is when ringPairs has something to do; 0: never.
func (h *Host) pairsAt() (at time.Duration) {
	for _, p := range h.pairs {
		if p.quiet() {
			continue
		}
		next := min(h.beatAt, p.heard+h.opts.ElectionTimeout+1)
		if at == 0 || next < at {
			at = next
		}
	}
	return at
}
