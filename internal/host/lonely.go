package host

import (
	"context"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A replica that hears no leader asks the others whether it still belongs to its group. Where a leader's host is cut off, or
// this one is overloaded, that may be all groups at once: they ask one after the other, so that the others are
// bothered at a bounded rate however many there are (A9).

// lonely is the line of the replicas that are to ask.
type lonely struct {
	mu    sync.Mutex
	queue []asking
	in    map[*group]bool
	runs  bool                          // somebody works the line off
	muted map[raft.HostID]time.Duration // who did not answer, and until when nobody in the line asks it
}

type asking struct {
	g    *group
	self raft.Member // when it came into the line
}

// askEvery is the pause between two groups that ask.
const askEvery = 10 * time.Millisecond

// lonelyAfter is how many election timeouts a replica hears nothing from a leader before it asks
// the others whether it still belongs to its group: nobody else may tell it.
const lonelyAfter = 4

// lonelyAt is when it asks; 0: never.
func (g *group) lonelyAt() time.Duration {
	switch {
	case g.h.net.Load() == nil, g.h.failed != nil, g.ended.Load():
		return 0
	case g.stopped == nil && (g.r.Role() == raft.Leader || g.r.Quiet()):
		return 0
	}
	return max(g.lastHeard()+lonelyAfter*g.h.opts.ElectionTimeout, g.asksAt)
}

// askLonely asks them now and then. It runs with the clock.
func (g *group) askLonely(now time.Duration) {
	if at := g.lonelyAt(); at == 0 || now < at {
		return
	}
	g.asksAt = now + 2*lonelyAfter*g.h.opts.ElectionTimeout
	g.h.line(g)
	if g.stopped != nil {
		g.arm() // raft does not
	}
}

// line has a replica ask, behind those that wait to; group 0, from which the host learns of all else, at once.
func (h *Host) line(g *group) {
	self := g.self
	if g.id == systemGroup {
		h.tasks.run("ask", func() { h.lookAround(g.id, g.birth, self, g.lookAt) })
		return
	}
	l := &h.lonely
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.in[g] {
		return
	}
	if l.in == nil {
		l.in = map[*group]bool{}
	}
	l.in[g] = true
	l.queue = append(l.queue, asking{g, self})
	if !l.runs {
		l.runs = true
		h.tasks.run("ask", h.workOff)
	}
}

// workOff lets those in the line ask, until nobody is in it.
func (h *Host) workOff() {
	for !h.closed.Load() {
		a, ok := h.lonely.next()
		if !ok {
			return
		}
		if !a.g.ended.Load() {
			h.lookAround(a.g.id, a.g.birth, a.self, a.g.lookAt)
		}
		_ = h.pause(nil, askEvery) //nolint:staticcheck // nobody waits for it but Close
	}
}

func (l *lonely) next() (a asking, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.runs, l.queue = false, nil
		return a, false
	}
	a, l.queue = l.queue[0], l.queue[1:]
	delete(l.in, a.g)
	return a, true
}

// mute has nobody in the line ask a host until then: waiting for one that does not answer would keep all the others.
func (l *lonely) mute(host raft.HostID, until time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.muted == nil {
		l.muted = map[raft.HostID]time.Duration{}
	}
	l.muted[host] = until
}

func (l *lonely) isMute(host raft.HostID, now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now < l.muted[host]
}

// lookAround asks each of the others what it knows to be committed.
func (h *Host) lookAround(group raft.GroupID, birth raft.Birth, self raft.Member, look func(*raft.Configuration)) {
	for _, m := range h.members() {
		if m.Host == self.Host || h.closed.Load() || group != systemGroup && h.lonely.isMute(m.Host, h.env.Clock().Now()) {
			continue
		}
		began := h.env.Clock().Now()
		reply, err := h.askHost(context.Background(), m.Host, &wire.ChangeRequest{Cluster: h.Cluster(), Group: group, Birth: birth, Ask: true})
		if now := h.env.Clock().Now(); err != nil {
			h.lonely.mute(m.Host, now+max(lonelyAfter*h.opts.ElectionTimeout, 8*(now-began)))
		}
		if err == nil && h.askGone(&reply, replicaName{group, birth}) {
			return
		}
		if err == nil && reply.Committed && reply.Birth == birth {
			look(&reply.InForce)
			if outlived(&reply.InForce, self) {
				return
			}
		}
	}
	if group == systemGroup && !h.closed.Load() && !h.isFounder() {
		h.enterSystem() // the entry that named it may have been lost with its leader
	}
}
