package raft

import "fmt"

// onMessage checks that a message is for this replica and sorts it by term (thesis §3.3).
func (r *Replica) onMessage(m *Message) {
	if m == nil || !r.addressed(m) {
		return
	}
	switch {
	case m.Type == MsgPreVote:
		r.onPreVote(m) // speaks of a term that nobody is in: changes nothing (bug 72)
		return
	case m.Type == MsgPreVoteReply && !m.Reject:
		r.onPreVoteReply(m) // so does its answer
		return
	case m.Term < r.hard.Term:
		r.onFormerTerm(m)
		return
	case m.Term > r.hard.Term && !r.onLaterTerm(m):
		return
	}
	if fromLeader(m.Type) && !r.heed(m) {
		return
	}
	r.dispatch(m)
}

func (r *Replica) dispatch(m *Message) {
	switch m.Type {
	case MsgPreVoteReply:
		r.onPreVoteReply(m)
	case MsgVote:
		r.onVote(m)
	case MsgVoteReply:
		r.onVoteReply(m)
	case MsgAppend:
		r.onAppend(m)
	case MsgAppendReply:
		r.onAppendReply(m)
	case MsgHeartbeat:
		r.onHeartbeat(m)
	case MsgHeartbeatReply:
		r.onHeartbeatReply(m)
	case MsgReadIndex:
		r.onReadIndex(m)
	case MsgReadIndexReply:
		r.onReadIndexReply(m)
	case MsgSnapshotOffer:
		r.onSnapshotOffer(m)
	case MsgSnapshotReply:
		r.onSnapshotReply(m)
	case MsgTransfer:
		r.onTransferMessage(m)
	}
}

// addressed refuses what is meant for another group, another birth of it, or another life of
// either replica: an ack of a former incarnation never counts (bug 20).
func (r *Replica) addressed(m *Message) bool {
	self := &r.o.Self
	if !m.Type.Known() || m.Group != r.o.Group || m.Birth != r.o.Birth || m.To != self.Replica ||
		m.ToIncarnation != self.Incarnation || m.From == 0 || m.From == self.Replica {
		return false
	}
	// Whoever the configuration does not name may still be heard: this log may be behind.
	member, ok := r.configuration().Member(m.From)
	return !ok || member.Incarnation == m.FromIncarnation
}

// fromLeader says that only the leader of its term sends this.
func fromLeader(t MessageType) bool {
	return t == MsgAppend || t == MsgHeartbeat || t == MsgSnapshotOffer || t == MsgTransfer
}

// onLaterTerm adopts a later term; false: the message is ignored, term and all.
func (r *Replica) onLaterTerm(m *Message) bool {
	if m.Type == MsgVote && r.sticky() && !(m.Transfer && r.configuration().votes(Member{Replica: m.From, Incarnation: m.FromIncarnation})) {
		// A removed or cut-off replica must not depose a working leader (bug 19), nor one that was
		// removed since the leader wanted it to lead (bug 18).
		return false
	}
	r.becomeFollower(m.Term, "met a later term")
	return true
}

// onFormerTerm answers those who must learn that their term is over; the rest is late mail.
func (r *Replica) onFormerTerm(m *Message) {
	switch {
	case m.Type == MsgVote:
		a := r.reply(MsgVoteReply, m)
		a.Reject = true
		r.send(a)
	case fromLeader(m.Type):
		// A leader that hears nothing back would lead this replica forever in vain: pre-vote keeps
		// this replica from deposing it by a vote (bug 70).
		a := r.reply(MsgAppendReply, m)
		a.Reject = true
		r.send(a)
	case m.Type == MsgReadIndex:
		a := r.reply(MsgReadIndexReply, m)
		a.Token, a.Reject = m.Token, true
		r.send(a)
	}
}

// heed takes note of the term's leader.
func (r *Replica) heed(m *Message) bool {
	if r.role == Leader || r.leader != 0 && r.leader != m.From {
		r.fail(fmt.Errorf("replica %d claims to lead term %d, which replica %d leads [R1]",
			m.From, m.Term, r.leader))
		return false
	}
	if r.role != Follower {
		r.becomeFollower(r.hard.Term, "another leads")
	}
	r.follow(m.From)
	r.leaderHost, r.leaderIncarnation = m.FromHost, m.FromIncarnation
	r.contact, r.rest.assumed = r.now, false
	if m.Type == MsgHeartbeat {
		r.patience.stated = m.Timeout
	}
	r.resetElection()
	return true
}

// follow makes id the leader of this term. What was asked of, or told by, another is void.
func (r *Replica) follow(id ReplicaID) {
	if r.leader == id {
		return
	}
	if r.rest.quiet {
		r.wake()
	}
	r.leader = id
	r.verified, r.acked, r.ackDue, r.ackRound = 0, 0, false, 0
	r.failReads()
	if id != 0 {
		r.event(Event{Kind: evLeaderKnown, Term: r.hard.Term, Peer: id})
	}
}

// becomeFollower of an unknown leader, in this term or a later one. Within a term the vote stays
// (bug 26).
func (r *Replica) becomeFollower(term Term, why string) {
	if term > r.hard.Term {
		// Void before the term changes: what is cancelled was of the old one.
		r.stepDown(why)
		r.follow(0)
		r.hard = HardState{Term: term}
		r.hardDirty = true // twoBatch stays: a vote of the old term may wait for the same save
		r.verified, r.acked, r.ackDue = 0, 0, false
		r.event(Event{Kind: evTermChanged, Term: term})
		return
	}
	r.stepDown(why)
}

// stepDown ends a leadership or a candidacy; the term and the vote stay.
func (r *Replica) stepDown(why string) {
	if r.role == Follower {
		return
	}
	was := r.role
	r.role = Follower
	r.ballots = r.ballots[:0]
	r.transfer = false
	r.resendAt = 0
	r.resetElection()
	if was != Leader {
		return
	}
	r.rest = rest{}
	r.followers = nil
	r.handover = handover{}
	r.feedDue = false
	r.uncommitted = 0
	r.failReads()
	r.event(Event{Kind: evSteppedDown, Term: r.hard.Term, Text: why})
	r.leader = 0
	r.verified, r.acked, r.ackDue = 0, 0, false
}
