package host

import (
	"cmp"
	"fmt"
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
	heard    time.Duration // when it last vouched, for whatever groups
	vouched  time.Duration // when it last spoke for all of from
	calledAt time.Duration // when we last asked it to wake all; 0: never
	patience time.Duration // with its silence: the longest election timeout of groups that are quiet between us
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

// stir begins the wait for the other's word, where there was nothing to wait for; a group that becomes quiet waits
// as long as it would if it were not.
func (p *pair) stir(g *group) {
	if p.quiet() {
		p.heard, p.patience = g.h.env.Clock().Now(), 0
	}
	p.patience = max(p.patience, g.timeout())
}

// timeout is the election timeout that the replica goes by now.
func (g *group) timeout() time.Duration { return time.Duration(g.r.Timeout()) }

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
		p := g.h.pair(m.ToHost)
		p.stir(g)
		p.to.add(g)
		g.quieted = append(g.quieted, m.ToHost)
	case !quiet && at >= 0:
		g.unsay(at)
	}
}

// unsay forgets that g.quieted[at] was told to be quiet.
func (g *group) unsay(at int) {
	g.h.pair(g.quieted[at]).to.remove(g)
	g.quieted = slices.Delete(g.quieted, at, at+1)
}

// speakNoMore wakes those that this host led, and leads no more without having said so: it has lost the
// leadership, or they are not of the group any more.
func (g *group) speakNoMore() {
	for i := len(g.quieted) - 1; i >= 0; i-- {
		if host := g.quieted[i]; !g.leads(host) {
			g.unsay(i)
			g.h.send(host, &wire.Packet{Wake: &wire.Wake{Group: g.id, Birth: g.birth}})
		}
	}
}

// leads says whether a replica of the host follows this one.
func (g *group) leads(host raft.HostID) bool {
	for m := range g.r.Followers() {
		if m.Host == host && g.stopped == nil {
			return true
		}
	}
	return false
}

// heardWord notes the word of this replica's leader that came from its host. What raft takes for no word of its
// leader is none.
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
		p.stir(g)
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
	p.heard = now
	if p.quiet() && !v.Answer && !v.Call {
		h.send(from, &wire.Packet{Vouch: &wire.Vouch{Answer: true}}) // it waits for a word, and we for none
	}
	if v.Call {
		h.unsayAll(p, raft.Input{Kind: raft.InHostUp, Host: from})
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

// unsayAll has the leaders here that told the other host's replicas to be quiet take note of in.
func (h *Host) unsayAll(p *pair, in raft.Input) {
	for _, g := range h.order {
		if at := slices.Index(g.quieted, p.host); at >= 0 {
			g.unsay(at)
			g.step(in)
		}
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
		case now-p.heard > p.patience:
			h.handleSilence(p)
		case beat:
			h.send(p.host, &wire.Packet{Vouch: &wire.Vouch{Groups: p.to.count, Sum: p.to.sum}})
		}
	}
}

// handleSilence wakes all that is quiet between this host and one that says nothing any more.
func (h *Host) handleSilence(p *pair) {
	h.doubt(p, p.heard)
	h.unsayAll(p, raft.Input{Kind: raft.InHostSilent, Host: p.host, Since: raft.Instant(p.heard)})
}

// checkQuiet asserts what hosts vouch for: whoever is quiet has a leader whose host speaks for it, and nobody is spoken
// for that is not led (H24).
func (g *group) checkQuiet() {
	if g.stopped != nil || g.h.net.Load() == nil {
		return
	}
	if g.r.Quiet() && g.r.Role() == raft.Follower {
		if m, ok := g.r.Configuration().Member(g.r.Leader()); ok && m.Host != g.quietBy {
			panic(fmt.Sprintf("H24: group %d is quiet under the leader at host %d, host %d vouches", g.id, m.Host, g.quietBy))
		}
	}
	for _, host := range g.quieted {
		if !g.leads(host) {
			panic(fmt.Sprintf("H24: group %d does not lead a replica at host %d, and vouches for it", g.id, host))
		}
	}
}

// pairsAt is when ringPairs has something to do; 0: never.
func (h *Host) pairsAt() (at time.Duration) {
	for _, p := range h.pairs {
		if p.quiet() {
			continue
		}
		next := min(max(h.beatAt, 1), p.heard+p.patience+1)
		if at == 0 || next < at {
			at = next
		}
	}
	return at
}
