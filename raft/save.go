package raft

import "slices"

// pendingSave is a Save given to the host and not yet durable.
type pendingSave struct {
	seq      uint64
	hard     HardState
	hardSet  bool
	twoBatch bool
	term     Term  // of the replica when it was given
	through  Index // the log is durable so far when it is done; a truncation lowers it
	entries  bool
	base     bool
	at       Instant // when it was given
}

// onlyHard says whether it asks for nothing but a term and vote.
func (s *pendingSave) onlyHard() bool { return s.hardSet && !s.entries && !s.base }

// takeSave puts into Ready what must become durable.
func (r *Replica) takeSave() {
	s := &r.ready.Save
	// Messages that wait for a former Save need one of their own to wait for: saves end in order.
	// A base alone may pass one that waits for space.
	if r.hardDirty || len(r.ready.AfterSave) > 0 && r.handing() == r.log.handed && (r.base == nil || r.durable != r.hard) {
		s.Hard, s.HardSet, s.TwoBatch = r.hard, true, r.twoBatch
	}
	s.Entries = r.log.slice(r.log.handed+1, r.handing()+1)
	s.Base, s.Replaces = r.base, r.replaces
	if s.Empty() {
		return
	}
	r.seq++
	s.Seq, s.Commit = r.seq, r.floor()
	r.log.handed = r.handing()
	r.saving = append(r.saving, pendingSave{
		seq: s.Seq, hard: r.hard, hardSet: s.HardSet, twoBatch: s.TwoBatch, term: r.hard.Term,
		through: r.log.handed, entries: len(s.Entries) > 0, base: s.Base != nil, at: r.now,
	})
	r.hardDirty, r.twoBatch, r.base, r.replaces = false, false, nil, false
}

// handing is how far the next Save takes the log: what is beyond the bound is in the one after
// it. So is what follows empty entries or a new base, for which a full disk has room.
func (r *Replica) handing() Index {
	if r.base != nil {
		return r.log.handed
	}
	if r.o.MaxSaveBytes == 0 {
		return r.log.last()
	}
	next := r.log.bounded(r.log.handed+1, r.log.last()+1, r.o.MaxSaveBytes)
	for i := range next {
		if next[i].Kind != KindEmpty && i > 0 && next[i-1].Kind == KindEmpty {
			return r.log.handed + Index(i)
		}
	}
	return r.log.handed + Index(len(next))
}

// truncate forgets the log from i on, and what older writes will claim to have saved of it (R3):
// their completions may come after the entries there are others (bugs 21 and 31).
func (r *Replica) truncate(i Index) {
	r.log.truncate(i)
	for k := range r.saving {
		r.saving[k].through = min(r.saving[k].through, i-1)
	}
	r.verified = min(r.verified, i-1)
	r.marker.last = min(r.marker.last, i-1)
	r.revert(i)
	last, _ := r.log.lastIdentity()
	r.clock.appended(last.Time, r.now)
	r.event(Event{Kind: evLogTruncated, Term: r.hard.Term, Index: i})
}

// onSaved: every Save up to seq is durable.
func (r *Replica) onSaved(seq uint64) {
	n, before := 0, r.log.saved
	for ; n < len(r.saving) && r.saving[n].seq <= seq; n++ {
		r.saved(&r.saving[n])
	}
	if n == 0 {
		return
	}
	r.synced(r.saving[0].at)
	r.saving = r.saving[:copy(r.saving, r.saving[n:])]
	r.stuck = false
	r.full = r.full && r.log.saved == before
	switch r.role {
	case Leader:
		r.advanceCommit()
	case Candidate:
		r.countVotes()
	default:
		r.ackDue = r.ackDue || r.leader != 0 && min(r.log.saved, r.verified) > r.acked
	}
}

func (r *Replica) saved(s *pendingSave) {
	r.savedHard(s)
	if s.through > r.log.saved {
		r.log.saved = s.through
		_, sum, _ := r.log.position(s.through)
		r.event(Event{Kind: evEntriesSaved, Term: s.term, Index: s.through, Digest: sum})
	}
}

// savedHard notes a durable term and vote; a newer one may have come before it.
func (r *Replica) savedHard(s *pendingSave) {
	if !s.hardSet || s.seq <= r.durableSeq {
		return
	}
	if s.hard.Vote != 0 && s.hard != r.durable {
		r.event(Event{Kind: evVoteGranted, Term: s.hard.Term, Peer: s.hard.Vote})
	}
	r.durable, r.durableSeq = s.hard, s.seq
}

// onHardSaved: a full disk lets terms and votes pass entries that wait for space, so that elections
// go on. Of the entries it says nothing. What is of the past with it is forgotten: it would pile up behind them.
func (r *Replica) onHardSaved(seq uint64) {
	for i := range r.saving {
		if r.saving[i].seq == seq {
			r.savedHard(&r.saving[i])
		}
	}
	if len(r.saving) > 1 { // the first one's end is still to be told
		rest := slices.DeleteFunc(r.saving[1:], func(s pendingSave) bool { return s.onlyHard() && s.seq <= r.durableSeq })
		r.saving = r.saving[:1+len(rest)]
	}
	if r.role == Candidate {
		r.countVotes()
	}
}

// send lets a message leave at once if the disk knows the term and vote it speaks of; else after
// the save of them (bugs 23 and 24). Questions about a vote and refusals promise nothing, so they
// wait for nothing.
func (r *Replica) send(m Message) {
	switch {
	case r.durable == r.hard:
	case m.Reject && r.hard.Vote == r.o.Self.Replica:
		// A term that this replica has begun is nobody's before it is durable. If its disk stands still,
		// it would depose, by refusing, every leader that can write. Whoever wants to know asks again.
		return
	case !m.Reject && m.Type != MsgPreVote && m.Type != MsgPreVoteReply:
		r.sendAfterSave(m)
		return
	}
	m.Group, m.Birth = r.o.Group, r.o.Birth
	m.From, m.FromIncarnation = r.o.Self.Replica, r.o.Self.Incarnation
	if r.ready.Messages == nil && r.memory != nil {
		r.ready.Messages = fromKept(&r.memory.messages)
	}
	r.ready.Messages = append(r.ready.Messages, m)
}

// sendAfterSave holds a message back until the next Save is durable.
func (r *Replica) sendAfterSave(m Message) {
	m.Group, m.Birth = r.o.Group, r.o.Birth
	m.From, m.FromIncarnation = r.o.Self.Replica, r.o.Self.Incarnation
	if r.ready.AfterSave == nil && r.memory != nil {
		r.ready.AfterSave = fromKept(&r.memory.messages)
	}
	r.ready.AfterSave = append(r.ready.AfterSave, m)
}

// to begins a message to a member, in this term.
func (r *Replica) to(t MessageType, m *Member) Message {
	return Message{Type: t, To: m.Replica, ToIncarnation: m.Incarnation, ToHost: m.Host, Term: r.hard.Term}
}

// reply begins an answer to whoever sent m: a member, or a stranger where m came from.
func (r *Replica) reply(t MessageType, m *Message) Message {
	a := Message{Type: t, To: m.From, ToIncarnation: m.FromIncarnation, ToHost: m.FromHost, Term: r.hard.Term}
	if member, ok := r.configuration().Member(m.From); ok {
		a.ToHost = member.Host
	}
	return a
}
