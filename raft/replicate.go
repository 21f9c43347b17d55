package raft

// ringLeader does what is due while leading.
func (r *Replica) ringLeader() {
	if !r.rest.quiet && r.now >= r.heartbeatAt {
		r.heartbeatAt = r.nextBeat()
		if !r.quorumHeard() {
			r.becomeFollower(r.hard.Term, "no quorum heard")
			return
		}
		if !r.appendsArrive() {
			r.becomeFollower(r.hard.Term, "entries do not arrive")
			return
		}
		r.heartbeat()
		r.relieve()
		r.ringPreference()
		r.advanceCommit() // a change of voters may have made a majority of those who had answered
		r.confirmReads()
	}
	if r.lease.defers != 0 && !r.defersCommit() && r.commit < r.firstOwn {
		r.advanceCommit()
	}
	r.ringTransfer()
	r.ringMarks()
	r.ringMembers()
	r.ringDispute()
}

// nextBeat is when heartbeats are due again: at a multiple of the interval by the host's clock, so that
// all groups led from one host speak in one frame per host.
func (r *Replica) nextBeat() Instant {
	every := Instant(r.o.Heartbeat)
	return (r.now/every + 1) * every
}

func (r *Replica) leaderDeadline() Instant {
	at := earlier(earlier(r.handover.deadline, r.handover.another), r.marksDeadline())
	if r.defersCommit() {
		at = earlier(at, r.lease.defers)
	}
	if r.rest.quiet {
		return at
	}
	return earlier(at, r.heartbeatAt)
}

// recent says whether a follower has spoken within an election timeout.
func (r *Replica) recent(p *progress) bool {
	return r.rest.quiet && !p.absent || r.now-p.heard <= Instant(r.timeoutOf(p))
}

// quorumHeard: a leader that hears no majority is cut off; those who can elect another should not
// meet it again as a leader that never knew (thesis §6.2).
func (r *Replica) quorumHeard() bool {
	heard := r.held(func(r *Replica, id ReplicaID) uint64 {
		if id == r.o.Self.Replica {
			return uint64(r.now)
		}
		if p := r.follower(id); p != nil {
			return uint64(p.heard)
		}
		return 0
	})
	return uint64(r.now) <= heard || r.now-Instant(heard) <= Instant(r.timeout())
}

// heartbeat tells every follower that the term has a leader. Each round has a new number: an echo
// of it proves that its sender had nothing of a later term when it came (thesis §6.4), and had
// received what was sent before it, unless that was lost.
func (r *Replica) heartbeat() {
	ask := r.mayAsk()
	r.round++
	r.measure()
	switch agreed := r.agreed.newest(); {
	case !ask:
		r.rest.round = 0
	case r.rest.round == 0 || r.rest.agreed != agreed:
		r.rest.round, r.rest.agreed = r.round, agreed
		for _, p := range r.followers {
			p.quiet = false
		}
	}
	for _, p := range r.followers {
		if p.pace == replicating && p.round >= p.expectRound {
			p.expectRound, p.expectIndex = r.round, p.next-1
		}
		r.sendHeartbeat(p, r.round)
	}
	r.feedDue = true
	r.restIfAgreed() // nobody has to be asked
}

// sendHeartbeat carries a commit index of at most what the follower is known to hold: further on
// it may hold something else (bug 32). Round 0 is a notice that wants no answer.
func (r *Replica) sendHeartbeat(p *progress, round uint64) {
	m := r.to(MsgHeartbeat, &p.member)
	m.Round = round
	m.Commit = min(r.commit, p.match)
	m.Agreed = r.agreedFor(p)
	if m.Quiet = round != 0 && r.rest.round != 0 && round >= r.rest.round; m.Quiet {
		m.Agreed = r.agreed.newest() // it is told of nothing more
	}
	p.told = max(p.told, m.Commit)
	if t := r.timeoutOf(p); t > r.o.ElectionTimeout {
		m.Timeout = t
	}
	r.send(m)
}

// flushFollowers feeds every follower what it may have now: once per Ready, so that what arrived
// in one turn leaves in one message.
func (r *Replica) flushFollowers() {
	due := r.feedDue
	r.feedDue = false // even if an answer of this turn has ended the leadership
	if r.role != Leader || !due {
		return
	}
	notify := r.notifiable()
	for _, p := range r.followers {
		r.feed(p)
		// Nothing more to send, but the commit moved: those who wait there for it should not have
		// to wait for the next heartbeat.
		if min(notify, p.match) > p.told {
			r.sendHeartbeat(p, 0)
		}
	}
}

// notifiable is through where followers get a notice of the commit if nothing else tells them: as far as
// somebody there is known to wait for it, or it is executed here. Whoever is answered here often calls again,
// and that entry tells them at no cost (docs/decisions/0033-commits-are-told-late.md).
func (r *Replica) notifiable() Index {
	if r.unfit {
		return r.commit // nothing is executed here
	}
	return min(r.commit, max(r.applied, r.awaited))
}

func (r *Replica) feed(p *progress) {
	switch {
	case p.pace != snapshotted && p.next <= r.log.base.Index:
		p.pace, p.asked, p.delivered, p.retryAt = snapshotted, false, false, 0
		p.window.reset()
		r.feedSnapshot(p)
	case p.pace == snapshotted:
		r.feedSnapshot(p)
	case p.pace == probing:
		if r.now < p.probeAt || p.down {
			return
		}
		r.sendProbe(p)
	default:
		for p.next <= r.log.last() && !p.window.full(&r.o) {
			es := r.log.bounded(p.next, r.log.last()+1, r.o.MaxAppendBytes)
			r.sendAppend(p, es)
			p.next += Index(len(es))
			p.window.push(p.next-1, bytesOf(es))
		}
	}
}

// sendProbe asks what the follower holds. Only the first carries entries: a dead one costs a fixed
// number of bytes.
func (r *Replica) sendProbe(p *progress) {
	var es []Entry
	if p.probes == 0 {
		es = r.log.bounded(p.next, r.log.last()+1, r.o.MaxAppendBytes)
	}
	r.round++
	p.probeRound = r.round
	p.probes++
	// Another one before the answer can be there would make it one to an older probe, again and again.
	p.probeAt = r.now + Instant(max(r.o.Heartbeat, 2*p.trip.longest(r.awake(), r.window())))
	r.sendAppend(p, es)
}

// sendAppend sends entries after next-1, before this replica's own disk has them (thesis §10.2.1).
func (r *Replica) sendAppend(p *progress, es []Entry) {
	m := r.to(MsgAppend, &p.member)
	m.Prev, m.PrevSum, _ = r.log.position(p.next - 1)
	m.Entries = es
	m.Commit = r.commit
	m.Round = r.round
	m.Agreed = r.agreedFor(p)
	p.told = max(p.told, min(r.commit, m.Prev.Index+Index(len(es))))
	r.send(m)
}

func bytesOf(es []Entry) (n int64) {
	for i := range es {
		n += es[i].size()
	}
	return n
}

// hear takes what every reply tells; nil if it is not a follower's.
func (r *Replica) hear(m *Message) *progress {
	if r.role != Leader {
		return nil
	}
	p := r.follower(m.From)
	if p == nil || p.member.Incarnation != m.FromIncarnation {
		return nil
	}
	p.heard, p.down = r.now, false
	p.absent, p.assumed = false, false
	r.returned(p, m.Round)
	if m.Round > p.round && m.Round <= r.round {
		p.round = m.Round
		r.confirmReads()
	}
	if m.Mark.Index > 0 {
		r.reported(p, m.Mark)
	}
	r.hearCommit(m.Commit)
	if m.WantMark && m.Hint.Index >= r.marker.last {
		r.marker.want(r)
	}
	return p
}

func (r *Replica) onAppendReply(m *Message) {
	p := r.hear(m)
	if p == nil {
		return
	}
	if m.Reject {
		r.refused(p, m)
		return
	}
	p.received, p.unfit, p.declined = m.Hint.Index, m.Unfit, p.declined && m.Unfit
	r.matched(p, m.Index)
	if p.pace != replicating && m.Hint.Index >= r.log.base.Index && m.Hint.Index <= r.log.last() && m.Round >= p.probeRound {
		p.replicate(m.Hint.Index)
	}
	r.feedDue = true
}

// matched: the follower holds the log through i on disk, as we have it. A reply that says less than
// is known is late mail.
func (r *Replica) matched(p *progress, i Index) {
	defer r.pursue(p)
	if i <= p.match || i > r.log.last() {
		return
	}
	p.match = i
	p.next = max(p.next, i+1)
	p.window.free(i)
	r.feedDue = true
	r.advanceCommit()
	r.ringTransfer()
}

// refused: the follower has something else, or nothing, at Prev. A late refusal must not rewind
// what has been agreed since (bug 22).
func (r *Replica) refused(p *progress, m *Message) {
	switch {
	case m.Index == 0:
		return
	case p.pace == snapshotted, m.Index <= p.match && m.Round < p.probeRound:
		return
	case p.pace == probing && m.Round < p.probeRound:
		return
	case p.pace == replicating && m.Index <= p.match:
		return
	}
	if m.Index <= p.match {
		// It answers this very probe, and lacks what it once had on disk: its disk lies. It is fed
		// again; what it held no longer counts (bug 34).
		p.match = min(p.match, m.Hint.Index)
	}
	p.probe(min(r.common(m.Hint), m.Index-1) + 1)
	r.feedDue = true
}

// common is our last position that the follower may share, given its last position whose term is
// at most that of the refused one: whole terms are skipped in one step (thesis §3.5).
func (r *Replica) common(hint Position) Index {
	i := min(hint.Index, r.log.last())
	for i > r.log.base.Index && r.log.at(i).Term > hint.Term {
		i--
	}
	return i
}

func (r *Replica) onHeartbeatReply(m *Message) {
	p := r.hear(m)
	if p == nil {
		return
	}
	p.received, p.unfit, p.declined = m.Hint.Index, m.Unfit, p.declined && m.Unfit
	r.declined(p, m)
	r.matched(p, m.Index)
	if m.Reject != p.full {
		p.full, p.fullAt, p.helped = m.Reject, r.now, 0
	}
	r.agreedToRest(p, m)
	switch p.pace {
	case probing:
		r.feedDue = true
	case replicating:
		// It has seen all that was sent before that heartbeat, and lacks some: lost on the way.
		// Nothing else would send it again, as next has gone on (bug 63).
		if m.Round >= p.expectRound && m.Hint.Index < p.expectIndex {
			p.probe(min(m.Hint.Index, r.log.last()) + 1)
			r.feedDue = true
		}
	}
}

func (r *Replica) onHostUp(host HostID) {
	for _, p := range r.followers {
		if p.member.Host == host {
			p.down = false
			if p.pace == probing {
				p.probeAt, p.probes = 0, 0
			}
			r.sendHeartbeat(p, r.round)
			r.feedDue = true
		}
	}
}

// onHostLost: what was in flight to that host may be lost. No hint of anything else: links close
// for many reasons.
func (r *Replica) onHostLost(host HostID) {
	for _, p := range r.followers {
		if p.member.Host == host {
			p.down = true
			if r.handover.target == p.member.Replica {
				r.handover = handover{failed: p.member.Replica} // another may be asked
			}
			if p.pace == replicating {
				p.probe(p.match + 1)
			}
		}
	}
}
