package raft

import (
	"slices"

	"github.com/lockstep-rsm/lockstep/raft/quorum"
)

// Groups at rest. A leader whose heartbeat is due while it has nothing to do, and its followers hold all
// that it holds, asks them with that heartbeat to be quiet. Who agrees waits for no heartbeat any more; once
// all have agreed the leader sends none. The group then costs nothing, however many there are: whether the
// other lives is from then on a matter of pairs of hosts (Options.Quiet). Nor does waking cost a message: what
// wakes the group says itself that the leader lives, and the next heartbeat is due with those of all groups.
//
//	        nothing to do, all hold all            all agree
//	awake ────────────────────────────▶ asking ────────────▶ quiet
//	  ▲                                    │                    │
//	  └────────────────────────────────────┴────────────────────┘ anything but the time
//
// No safety rests on it: a quiet replica is one whose timer does not run.

// rest is what a replica knows of its group's quiet.
type rest struct {
	quiet   bool   // no deadline of heartbeats or of an election is set
	round   uint64 // leader: of the first heartbeats that ask for quiet, as all do since; 0: they do not
	agreed  Mark   // leader: as they told it
	assumed bool   // follower: contact is when it woke; its host may know of an earlier one
}

// Quiet says whether the replica neither sends heartbeats nor waits for any.
func (r *Replica) Quiet() bool { return r.rest.quiet }

// stirs says whether an input ends a leader's rest: all that asks for something, or changes who is there.
func (r *Replica) stirs(in *Input) bool {
	switch in.Kind {
	case InClock, InSaved, InHardSaved, InApplied, InMark, InCompact, InTrim, InStorageFull, InHostSilent:
		return false
	case InHostUp, InHostLost, InHostRefused:
		return slices.ContainsFunc(r.followers, func(p *progress) bool { return p.member.Host == in.Host })
	case InMessage:
		m := in.Message
		reply := m != nil && (m.Type == MsgHeartbeatReply || m.Type == MsgAppendReply)
		return !reply || r.rest.quiet && !m.Quiet
	}
	return true
}

// wake ends the quiet, or the asking for it. Nobody was asked for a sign of life meanwhile: it is
// assumed of those that were there, until their hosts say otherwise (InHostSilent).
func (r *Replica) wake() {
	r.rest.round = 0
	if !r.rest.quiet {
		return
	}
	r.rest.quiet = false
	if r.role != Leader {
		r.contact, r.rest.assumed = r.now, true
		r.resetElection()
		return
	}
	r.heartbeatAt = r.nextBeat()
	for _, p := range r.followers {
		if !p.absent {
			p.heard, p.assumed = r.now, true
		}
	}
}

// settled says whether a leader has nothing to do. The mark that is due some time after the last entry is no
// reason to stay awake: the leader's own clock wakes it.
func (r *Replica) settled() bool {
	last, c := r.log.last(), r.configuration()
	return r.o.Quiet && r.commit == last && r.log.saved == last && r.applied == last && len(r.saving) == 0 &&
		r.reads.count == 0 && r.handover.target == 0 && !c.Joint() && len(c.Next) == 0 && !r.marker.wanted &&
		r.preferred() == nil
}

// mayAsk says whether a leader has nothing to do, and knows that those who are there lack nothing. Who is
// not is fed when its host comes back, or it speaks.
func (r *Replica) mayAsk() bool {
	if !r.settled() {
		return false
	}
	last := r.log.last()
	for _, p := range r.followers {
		p.absent = p.down || !r.recent(p)
		if !p.absent && (p.pace != replicating || p.match != last || p.told != last) {
			return false
		}
	}
	return r.tally(func(r *Replica, id ReplicaID) quorum.Result {
		if p := r.follower(id); p == nil || !p.absent {
			return quorum.Won
		}
		return quorum.Pending
	}) == quorum.Won
}

// agreedToRest notes whether a follower is quiet. One that is not has something to tell.
func (r *Replica) agreedToRest(p *progress, m *Message) {
	switch {
	case r.rest.round == 0 || m.Round < r.rest.round: // of a round before; others may be on their way
	case !m.Quiet:
		r.rest.round = 0
	default:
		p.quiet = true
		r.restIfAgreed()
	}
}

// restIfAgreed: a leader is quiet once all who are there are, know what it knows, and nothing has come up.
func (r *Replica) restIfAgreed() {
	if r.rest.round == 0 || r.rest.agreed != r.agreed.newest() || !r.settled() {
		return
	}
	for _, p := range r.followers {
		if !p.quiet && !p.absent {
			return
		}
	}
	r.rest.quiet = true
	r.event(Event{Kind: evWentQuiet, Term: r.hard.Term})
}

// mayRest says whether a follower that is asked has nothing to do, or to tell.
func (r *Replica) mayRest(m *Message) bool {
	last := r.log.last()
	return m.Quiet && r.o.Quiet && m.Commit == last && r.commit == last && r.log.saved == last && r.verified == last &&
		r.applied == last && len(r.saving) == 0 && !r.hardDirty && r.base == nil && r.reads.count == 0 &&
		!r.marker.wanted && !r.stopped && !r.unfit
}

// stirLeader tells the leader of a quiet group that something is wanted of it.
func (r *Replica) stirLeader() {
	if !r.rest.quiet || r.role != Follower || r.leader == 0 {
		return
	}
	r.wake()
	a := r.to(MsgHeartbeatReply, r.located(&Member{Replica: r.leader, Host: r.leaderHost, Incarnation: r.leaderIncarnation}))
	r.report(&a)
	a.Index = min(r.log.saved, r.verified)
	r.send(a)
}

// onHostSilent: a host has not vouched since the given moment, or does not speak for this group's leader any
// more. The wait goes on as if the last heartbeat, or its answer, had come then.
func (r *Replica) onHostSilent(host HostID, since Instant) {
	if r.role == Leader {
		r.silentFollowers(host, since)
		return
	}
	if r.leader == 0 || r.leaderHost != host {
		return
	}
	r.stirLeader()
	if r.rest.assumed && since < r.contact {
		r.electionAt -= r.contact - since
		r.contact = since
	}
}

func (r *Replica) silentFollowers(host HostID, since Instant) {
	for _, p := range r.followers {
		if p.member.Host != host {
			continue
		}
		if r.rest.quiet {
			r.wake()
		}
		if p.assumed {
			p.heard = min(p.heard, since)
		}
	}
}

// checkRest: a quiet replica owes nobody anything (R16).
func (r *Replica) checkRest() {
	if !r.rest.quiet {
		return
	}
	switch last := r.log.last(); {
	case r.role != Leader && (r.role != Follower || r.leader == 0):
		r.broken("R16", "%v of leader %d is quiet", r.role, r.leader)
	case r.commit != last || r.log.saved != last || r.reads.count > 0 || r.handover.target != 0:
		r.broken("R16", "quiet with commit %d, saved %d, last %d, %d reads, handover to %d", r.commit, r.log.saved, last, r.reads.count, r.handover.target)
	}
}
