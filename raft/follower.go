package raft

import "fmt"

// onHeartbeat learns the commit index and answers the round.
func (r *Replica) onHeartbeat(m *Message) {
	r.learnAgreed(m.Agreed)
	// The leader names at most what it knows to match here; what is verified binds even a leader
	// that is wrong about it (bugs 32 and 33).
	r.learnCommit(min(m.Commit, max(r.verified, r.commit)))
	if m.Round == 0 {
		return
	}
	a := r.reply(MsgHeartbeatReply, m)
	r.report(&a)
	a.Index = min(r.log.saved, r.verified)
	a.Round = m.Round
	if r.told > m.Commit {
		a.Commit = r.told
	}
	a.Reject = r.full && r.byBound
	a.Quiet = r.mayRest(m)
	r.rest.quiet = a.Quiet
	r.acked = max(r.acked, a.Index)
	r.send(a)
}

// report fills what every reply to a leader carries.
func (r *Replica) report(a *Message) {
	a.Mark = r.own.newest()
	a.WantMark = r.marker.wanted
	a.Unfit = r.stopped || r.unfit || r.leaving || r.stuck || r.full || r.o.NoVote
	a.Hint, _, _ = r.log.position(r.verified)
	a.Hint.Index = r.verified
}

// onAppend is the consistency check and the append (thesis §3.5), with entry identities for terms:
// two logs that hold an identity of equal digest hold equal prefixes.
func (r *Replica) onAppend(m *Message) {
	r.learnAgreed(m.Agreed)
	prev, prevSum, es := m.Prev, m.PrevSum, m.Entries
	if !r.chained(m) {
		return // not what a leader sends: as if lost
	}
	if prev.Index < r.log.base.Index {
		// The head of it is in our snapshot, thus committed, thus the same.
		n := min(r.log.base.Index-prev.Index, Index(len(es)))
		if n > 0 {
			prev, prevSum = es[n-1].Identity.Position(), es[n-1].Sum
		}
		es = es[n:]
		if prev.Index < r.log.base.Index {
			r.verify(m, r.log.base.Index)
			return
		}
	}
	have, sum, ok := r.log.position(prev.Index)
	switch {
	case !ok || have.Term != prev.Term:
		r.refuseAppend(m, prev.Index)
		return
	case sum != prevSum:
		r.fail(fmt.Errorf("entry %d of term %d is %v here and %v at leader %d [R2]",
			have.Index, have.Term, sum, prevSum, m.From))
		return
	}
	if r.merge(es, m) {
		r.verify(m, prev.Index+Index(len(es)))
	}
}

// chained says whether the message's entries follow Prev and each other.
func (r *Replica) chained(m *Message) bool {
	at, sum := m.Prev, m.PrevSum
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Group != r.o.Group || e.Birth != r.o.Birth || e.Index != at.Index+1 || e.Prev != sum ||
			e.Term < at.Term || e.Term > m.Term || e.Kind < KindCommands || e.Kind > KindConfiguration ||
			!e.Loaded() || int(e.Length) != len(e.Data) || e.Sum != e.Identity.Digest() {
			return false
		}
		at, sum = e.Identity.Position(), e.Sum
	}
	return true
}

// merge appends what the log lacks. What it holds and the leader does not goes first, with
// everything after it; nothing else is ever truncated, so that an old message takes nothing away.
func (r *Replica) merge(es []Entry, m *Message) bool {
	for i := range es {
		e := &es[i]
		have, sum, ok := r.log.position(e.Index)
		switch {
		case ok && sum == e.Sum:
			continue
		case ok && have.Term == e.Term:
			r.fail(fmt.Errorf("entry %d of term %d is %v here and %v at leader %d [R2]",
				e.Index, e.Term, sum, e.Sum, m.From))
			return false
		case ok && e.Index <= r.commit:
			r.fail(fmt.Errorf("entry %d of term %d is committed here, leader %d has one of term %d [R6]",
				e.Index, have.Term, m.From, e.Term))
			return false
		case ok:
			r.truncate(e.Index)
		}
		if !r.take(*e) {
			return false
		}
	}
	return true
}

// verify notes how far the log equals the leader's, and answers when it is durable.
func (r *Replica) verify(m *Message, through Index) {
	r.verified = max(r.verified, through)
	r.learnCommit(min(m.Commit, through))
	r.ackDue = true
	r.ackRound = max(r.ackRound, m.Round)
}

// refuseAppend tells the leader where to look next: the last position here whose term is at most
// that of its Prev. The logs differ at the given place.
func (r *Replica) refuseAppend(m *Message, at Index) {
	have, _, ok := r.log.position(at)
	switch {
	case ok && at <= r.told:
		r.fail(fmt.Errorf("entry %d of term %d is committed here, leader %d has another one [R6]", have.Index, have.Term, m.From))
		return
	case ok && at <= r.commit:
		// Only a snapshot says that it is committed, and a leader of a later term than this replica knows
		// of may have committed it. Then m is of a leader that nobody needs any more.
		return
	}
	i := min(m.Prev.Index, r.log.last())
	for i > r.log.base.Index && r.log.at(i).Term > m.Prev.Term {
		i--
	}
	a := r.reply(MsgAppendReply, m)
	r.report(&a)
	a.Reject, a.Index, a.Round = true, m.Prev.Index, m.Round
	a.Hint, _, _ = r.log.position(i)
	r.send(a)
}

// flushAck answers the appends of this turn with one message. What it says to be durable is: at
// once if it is saved, else after the save that holds it (R7). Appends whose entries are on their
// way to the disk in an earlier save say what is durable now; onSaved says the rest.
func (r *Replica) flushAck() {
	if !r.ackDue || r.base != nil && r.verified > r.log.handed {
		return // a new base goes alone, and may pass log that waits: it cannot answer for any
	}
	r.ackDue = false
	to, ok := r.configuration().Member(r.leader)
	if r.leader == 0 || r.role != Follower {
		return
	}
	if !ok {
		to = Member{Replica: r.leader, Host: r.leaderHost, Incarnation: r.leaderIncarnation}
	}
	a := r.to(MsgAppendReply, &to)
	r.report(&a)
	a.Round = r.ackRound
	if r.verified > r.log.handed {
		a.Index = min(r.verified, r.handing())
		r.ackDue = a.Index < r.verified
		r.acked = max(r.acked, a.Index)
		r.sendAfterSave(a)
		return
	}
	a.Index = min(r.log.saved, r.verified)
	r.acked = max(r.acked, a.Index)
	r.send(a)
}
