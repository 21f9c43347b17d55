package raft

import "github.com/lockstep-rsm/lockstep/raft/quorum"

// Groups at rest. A leader that has had nothing to do for an election timeout, and whose followers hold
// all that it holds, asks them with its heartbeat to be quiet. Who agrees waits for no heartbeat any
// more; once all have agreed the leader sends none. The group then costs nothing, however many there are:
// whether the other lives is from then on a matter of pairs of hosts (Options.Quiet).
//
//	        nothing to do, all hold all            all agree
//	awake ────────────────────────────▶ asking ────────────▶ quiet
//	  ▲                                    │                    │
//	  └────────────────────────────────────┴────────────────────┘ anything but the time
//
// No safety rests on it: a quiet replica is one whose timer does not run.

// rest is what a replica knows of its group's quiet.
type rest struct {
	quiet  bool    // no deadline of heartbeats or of an election is set
	busy   Instant // leader: something was last asked of it
	round  uint64  // leader: of the heartbeats that asked for quiet; 0: none
	agreed Mark    // leader: as they told it
}

// Quiet says whether the replica neither sends heartbeats nor waits for any.
func (r *Replica) Quiet() bool { return r.rest.quiet }

// stirs says whether an input ends a leader's rest: all that asks for something, or changes who is there.
func (r *Replica) stirs(in *Input) bool {
	switch in.Kind {
	case InClock, InSaved, InHardSaved, InApplied, InMark, InCompact, InTrim, InStorageFull, InHostSilent:
		return false
	case InMessage:
		m := in.Message
		reply := m != nil && (m.Type == MsgHeartbeatReply || m.Type == MsgAppendReply)
		return !reply || r.rest.quiet && !m.Quiet
	}
	return true
}

// wake ends the quiet, and begins the wait for it anew.
func (r *Replica) wake() {
	r.rest.busy, r.rest.round = r.now, 0
	if !r.rest.quiet {
		return
	}
	r.rest.quiet = false
	r.contact = r.now // of a follower: until now the host spoke for the leader
	if r.role != Leader {
		r.resetElection()
		return
	}
	r.heartbeatAt = r.now
	for _, p := range r.followers {
		p.heard = r.now // nobody was asked: the wait for a majority begins here
	}
}

// mayAsk says whether a leader has nothing to do, and knows that those who are there lack nothing. Who is
// not is fed when its host comes back.
func (r *Replica) mayAsk() bool {
	last, c := r.log.last(), r.configuration()
	if !r.o.Quiet || r.now-r.rest.busy < Instant(r.o.ElectionTimeout) ||
		r.commit != last || r.log.saved != last || r.applied != last || len(r.saving) > 0 ||
		r.reads.count > 0 || r.handover.target != 0 || c.Joint() || len(c.Next) > 0 || r.marksDeadline() != 0 {
		return false
	}
	for _, p := range r.followers {
		if !p.down && (p.pace != replicating || p.match != last || p.told != last || p.round != r.round) {
			return false
		}
	}
	return r.tally(func(r *Replica, id ReplicaID) quorum.Result {
		if p := r.follower(id); p == nil || !p.down {
			return quorum.Won
		}
		return quorum.Pending
	}) == quorum.Won
}

// agreedToRest notes that a follower is quiet. The leader is so once all are, and know what it knows.
func (r *Replica) agreedToRest(p *progress, m *Message) {
	if r.rest.round == 0 || m.Round != r.rest.round {
		return
	}
	p.quiet = m.Quiet
	r.restIfAgreed()
}

func (r *Replica) restIfAgreed() {
	if r.rest.round == 0 || r.rest.agreed != r.agreed.newest() {
		return
	}
	for _, p := range r.followers {
		if !p.quiet && !p.down {
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
		!r.marker.wanted && !r.stopped
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

// onHostSilent: nothing has come from a host since the given moment, or it does not speak for this group's
// leader any more. The wait goes on as if the last heartbeat, or its answer, had come then.
func (r *Replica) onHostSilent(host HostID, since Instant) {
	since = min(since, r.now)
	switch {
	case !r.rest.quiet:
	case r.role == Leader:
		r.wake()
		for _, p := range r.followers {
			if p.member.Host == host {
				p.heard = since
			}
		}
	case r.leaderHost == host:
		r.stirLeader()
		r.contact = since
		r.electionAt -= r.now - since
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
