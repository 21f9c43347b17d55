package raft

import (
	"cmp"
	"slices"
)

// A Change asks the leader for other members or settings. It is a compare-and-set: After is the
// index of the configuration that it was made from. Next names the voters and learners to be, the
// settings, and a NextReplica beyond every id in it; its Outgoing and Next are not looked at.
//
// A change of voters takes up to three entries, of which the leader appends all but the first by
// itself, and any later leader those that are missing (thesis §4.2.1, §4.3):
//
//	in force ──▶ voters to be that still learn ──▶ joint ──▶ the new one alone
//	    │             (Configuration.Next)           ▲
//	    └────────────────────────────────────────────┘ nobody has anything to learn
//
// Until it is joint, another change may take its place: a voter to be that never catches up does
// not keep a group from being changed.
type Change struct {
	Ref   uint64 // the caller's name for it, given back in Ready.Proposed
	After Index
	Next  Configuration
}

// MaxMembers of a group, voters to be and learners together.
const MaxMembers = 1024

// onReconfigure appends the first entry of a change, or says why not.
func (r *Replica) onReconfigure(c *Change) {
	a := Proposed{Ref: c.Ref, Refused: r.refuseChange(c)}
	if a.Refused == Appended {
		a.Term = r.hard.Term
		a.Index = r.appendConfiguration(r.staged(&c.Next))
	}
	r.ready.Proposed = append(r.ready.Proposed, a)
}

// refuseChange: one change at a time (bug 14), from the configuration that its author saw, and none
// before this term has committed an entry, or two leaders' changes may pass each other (bugs 2 and 4).
func (r *Replica) refuseChange(c *Change) Refusal {
	now := r.configuration()
	switch {
	case r.role != Leader:
		return NotLeader
	case r.handover.target != 0:
		return Transferring
	case r.commit < r.firstOwn:
		return Unsettled
	case now.Index > r.commit || now.Joint():
		return InFlight
	case now.Index != c.After:
		return Outdated
	case len(c.Next.Voters) == 0:
		return NoVoters
	case len(c.Next.Voters)+len(c.Next.Learners) > MaxMembers || !now.follows(&c.Next):
		return Invalid
	case !sameMembers(c.Next.Voters, now.Voters) && !r.majorityHeard(c.Next.Voters):
		return NotHeard
	}
	return Appended
}

// follows says whether the members to be are fit to come after c: each once, on a host of its own,
// under its incarnation, and with an id that was never used where it is new (bug 20).
func (c *Configuration) follows(next *Configuration) bool {
	if next.NextReplica < c.NextReplica || !next.prioritiesFit() {
		return false
	}
	all := slices.Concat(next.Voters, next.Learners)
	for i, m := range all {
		have, known := c.Member(m.Replica)
		if m.Replica == 0 || m.Incarnation == 0 || m.Replica >= next.NextReplica ||
			known && have != m || !known && m.Replica < c.NextReplica {
			return false
		}
		for _, other := range all[:i] {
			if other.Replica == m.Replica || other.Host == m.Host {
				return false
			}
		}
	}
	return slices.IsSortedFunc(next.Voters, byReplica) && slices.IsSortedFunc(next.Learners, byReplica)
}

func byReplica(a, b Member) int { return cmp.Compare(a.Replica, b.Replica) }

// sameMembers: both are ordered by Replica.
func sameMembers(a, b []Member) bool { return slices.Equal(a, b) }

// staged is the first configuration on the way to want: want itself where the voters stay, a joint
// one where no voter to be has anything to learn, else one in which they learn first.
func (r *Replica) staged(want *Configuration) *Configuration {
	now := r.configuration()
	first := &Configuration{
		Voters: now.Voters, Learners: want.Learners, Priorities: want.Priorities,
		NextReplica: want.NextReplica, Settings: want.Settings,
	}
	if sameMembers(want.Voters, now.Voters) {
		return first
	}
	first.Next = want.Voters
	first.Learners = slices.Clone(want.Learners)
	for _, m := range want.Voters {
		if !slices.Contains(now.Voters, m) {
			first.Learners = append(first.Learners, m)
		}
	}
	slices.SortFunc(first.Learners, byReplica)
	if r.caughtUp(first) {
		return first.joint()
	}
	return first
}

// joint is the configuration of both sets of voters (thesis §4.3). Who votes no more and stays as a
// learner is among the learners already; the outgoing set says that it counts until the end.
func (c *Configuration) joint() *Configuration {
	j := *c
	j.Voters, j.Outgoing, j.Next = c.Next, c.Voters, nil
	j.Learners = slices.DeleteFunc(slices.Clone(c.Learners), func(m Member) bool { return slices.Contains(c.Next, m) })
	return &j
}

// left is what remains of a joint configuration.
func (c *Configuration) left() *Configuration {
	l := *c
	l.Outgoing = nil
	return &l
}

// caughtUp says whether every voter to be follows closely, so that the group does not wait for
// logs once it counts them (thesis §4.2.1).
func (r *Replica) caughtUp(c *Configuration) bool {
	for _, m := range c.Next {
		if slices.Contains(c.Voters, m) {
			continue
		}
		p := r.follower(m.Replica)
		if p == nil || p.member != m || !p.caughtUp || !r.recent(p) {
			return false
		}
	}
	return true
}

// pursue measures a learner in rounds (thesis §4.2.1): it has caught up when it took no longer than
// an election timeout to get all that the log held as the round began.
func (r *Replica) pursue(p *progress) {
	if !p.learner || p.goal != 0 && p.match < p.goal {
		return
	}
	p.caughtUp = p.goal != 0 && r.now-p.goalAt <= Instant(r.timeout())
	p.goal, p.goalAt = r.log.last(), r.now
}

// majorityHeard says whether a majority of the voters to be speaks: without one their joint
// configuration would stand, and refuse every other change, until they do.
func (r *Replica) majorityHeard(voters []Member) bool {
	n := 0
	for _, m := range voters {
		p := r.follower(m.Replica)
		if m == r.o.Self || p == nil || r.recent(p) { // nil: a new one, which has to learn first
			n++
		}
	}
	return n > len(voters)/2
}

// ringMembers takes the next step of a change that is under way, whoever began it (bug 14).
func (r *Replica) ringMembers() {
	c := r.configuration()
	if r.role != Leader || !c.Joint() && len(c.Next) == 0 || c.Index > r.commit || r.commit < r.firstOwn {
		return
	}
	switch {
	case r.handover.target != 0: // it ends soon, and the next leader goes on
	case c.Joint():
		r.appendConfiguration(c.left())
	case r.caughtUp(c) && r.majorityHeard(c.Next):
		r.appendConfiguration(c.joint())
	}
}

// appendConfiguration puts c in force by appending it (bugs 3 and 5).
func (r *Replica) appendConfiguration(c *Configuration) Index {
	if now := r.configuration(); now.Index > r.commit || r.commit < r.firstOwn {
		r.broken("R15", "configuration %d is not settled: commit %d, first own entry %d", now.Index, r.commit, r.firstOwn)
	}
	data := r.o.EncodeConfiguration(c)
	i := r.append(KindConfiguration, data, payloadDigest(data))
	r.advanceCommit() // other voters decide now, perhaps fewer
	return i
}

// bequeath hands leadership to the best placed voter as this replica is none any more. What it says
// may be lost: then an election timeout decides.
func (r *Replica) bequeath() {
	var best *progress
	for _, p := range r.followers {
		if !p.learner && r.recent(p) && (best == nil || r.betterPlaced(p, best)) {
			best = p
		}
	}
	if best != nil {
		r.send(r.to(MsgTransfer, &best.member))
	}
}

// checkSuccession: each configuration of the log may follow the one before it (R15). Voters change
// only through a joint configuration, so that any two majorities that may both decide meet.
func (r *Replica) checkSuccession() {
	for i := 1; i < len(r.configurations); i++ {
		before, c := r.configurations[i-1], r.configurations[i]
		if len(before.Voters) == 0 {
			continue // a replica that has learnt nothing yet
		}
		ok := sameMembers(c.Voters, before.Voters)
		if c.Joint() {
			ok = sameMembers(c.Outgoing, before.Voters) && !before.Joint()
		}
		if !ok || len(c.Voters) == 0 || c.NextReplica < before.NextReplica {
			r.broken("R15", "configuration %d (voters %v, outgoing %v) follows %d (voters %v, outgoing %v)",
				c.Index, c.Voters, c.Outgoing, before.Index, before.Voters, before.Outgoing)
		}
	}
}
