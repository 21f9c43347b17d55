package raft

import (
	"cmp"
	"slices"
)

// Priorities say who should rather lead. They are wishes: elections do not look at them, so that whoever is
// able to leads as soon as ever; then it hands over, by a transfer, to a voter of higher priority that keeps up.
//
//	 elected      a better one is fit and keeps up, without a break for the wait      transfer
//	─────────▶ leads ─────────────────────────────────────────────────────────────▶ it leads
//	             ▲                                                                      │
//	             └────────── it does not take over, or does not last: the wait doubles ──┘
//
// A voter of priority 0 leaves elections to the others for two timeouts more than they need. If none of them
// leads by then, it does: a group with a leader that nobody wants is better than one without.

// Priority is that of a group's replica on a host. Hosts that a configuration does not list have
// DefaultPriority.
type Priority struct {
	Host  HostID
	Value uint8
}

// DefaultPriority is that of a replica of which nothing is said.
const DefaultPriority uint8 = 1

// Priority of the replica on a host.
func (c *Configuration) Priority(host HostID) uint8 {
	for _, p := range c.Priorities {
		if p.Host == host {
			return p.Value
		}
	}
	return DefaultPriority
}

// prioritiesFit says whether the priorities are of members, ordered, and none of them the default one.
func (c *Configuration) prioritiesFit() bool {
	for i, p := range c.Priorities {
		member := func(m Member) bool { return m.Host == p.Host }
		if p.Value == DefaultPriority || i > 0 && c.Priorities[i-1].Host >= p.Host ||
			!slices.ContainsFunc(c.Voters, member) && !slices.ContainsFunc(c.Learners, member) {
			return false
		}
	}
	return true
}

// The wait before a leader hands over by priority, in election timeouts. It doubles with each try, and begins
// anew in a leadership long after the last one.
const (
	shortestPreference = 4
	longestPreference  = 1024
	forgetPreference   = 4 // times the wait
)

// preference is what a leader does about the priorities of others. It outlives leaderships: one that hands
// over, and soon has to lead again, waits longer the next time.
type preference struct {
	wait  int64   // nanoseconds
	tried Instant // when it last handed over, or wanted to

	candidate ReplicaID // a better one that has been fit and kept up ...
	since     Instant   // ... since then
	floor     Index     // what was committed a heartbeat ago: who keeps up has it
}

// beginPreference of a new leader.
func (r *Replica) beginPreference() {
	w := &r.preference
	if w.wait == 0 || r.now-w.tried >= Instant(forgetPreference*w.wait) {
		w.wait = shortestPreference * r.o.ElectionTimeout
	}
	w.candidate, w.floor = 0, 0
}

// keepsUp says whether a follower's disk has what was committed a heartbeat ago.
func (r *Replica) keepsUp(p *progress) bool {
	return p.pace == replicating && p.match >= r.preference.floor
}

// preferred is the voter that should lead in this leader's place, which is any that is fit if this one is not;
// nil: none, or not now. A change of members
// under way, a full disk here, or the wait for a former lease go first.
func (r *Replica) preferred() *progress {
	c := r.configuration()
	if len(c.Priorities) == 0 && !r.unfit || c.Index > r.commit || c.Joint() || len(c.Next) > 0 ||
		r.commit < r.firstOwn || r.handover.target != 0 || r.full || r.defersCommit() {
		return nil
	}
	own := int(c.Priority(r.o.Self.Host))
	if r.unfit {
		own = -1 // whoever is fit
	}
	var best *progress
	for _, p := range r.followers {
		if p.learner || p.down || p.unfit || !r.recent(p) || !r.keepsUp(p) || !c.votes(p.member) || int(c.Priority(p.member.Host)) <= own {
			continue
		}
		if best == nil || r.rather(p, best) {
			best = p
		}
	}
	return best
}

// rather compares two that are better than this leader: who did not take over the last time is asked last.
func (r *Replica) rather(p, than *progress) bool {
	c := r.configuration()
	return cmp.Or(
		-cmp.Compare(r.lastChoice(p), r.lastChoice(than)),
		cmp.Compare(c.Priority(p.member.Host), c.Priority(than.member.Host)),
		-cmp.Compare(p.member.Replica, than.member.Replica),
	) > 0
}

// lastChoice is 1 for those that should be asked to lead only if nobody else can be.
func (r *Replica) lastChoice(p *progress) int {
	if p.unfit || r.handover.failed != 0 && p.member.Replica == r.handover.failed {
		return 1
	}
	return 0
}

// ringPreference looks, with each heartbeat, for a better leader, and hands over to one that has been fit for
// the whole wait.
func (r *Replica) ringPreference() {
	w := &r.preference
	p := r.preferred()
	w.floor = r.commit
	wait := w.wait
	if r.unfit {
		wait = unfitWait * r.o.ElectionTimeout // it takes no commands: nothing is lost by trying again
	}
	switch {
	case p == nil:
		w.candidate = 0
	case p.member.Replica != w.candidate:
		w.candidate, w.since = p.member.Replica, r.now
	case r.now-w.since >= Instant(wait):
		w.candidate, w.tried = 0, r.now
		if !r.unfit {
			w.wait = min(2*w.wait, longestPreference*r.o.ElectionTimeout)
		}
		r.event(Event{Kind: evPreferred, Term: r.hard.Term, Peer: p.member.Replica})
		r.onTransfer(p.member.Replica)
	}
}

// yields says whether this voter leaves elections to others at first: its priority is 0, and another's is not.
func (r *Replica) yields() bool {
	c := r.configuration()
	return len(c.Priorities) > 0 && c.Priority(r.o.Self.Host) == 0 &&
		slices.ContainsFunc(c.Voters, func(m Member) bool { return c.Priority(m.Host) > 0 })
}
