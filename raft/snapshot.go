package raft

import "fmt"

// onInstalled takes a snapshot that was received, verified and made durable here: it replaces the
// log up to its index. The host restores the machine (Ready.Install), and reports it by InApplied.
func (r *Replica) onInstalled(s *SnapshotMeta) {
	i := s.Index()
	have, sum, ok := r.log.position(i)
	switch {
	case i <= r.commit && ok && sum != s.Sum, ok && have.Term == s.Identity.Term && sum != s.Sum:
		r.fail(fmt.Errorf("snapshot of entry %d of term %d is %v, the log has %v of term %d [R2]",
			i, s.Identity.Term, s.Sum, sum, have.Term))
		return
	case i <= r.commit && !r.lacks(i):
		r.answerSnapshot(i, true) // an older one takes nothing away (bugs 43 and 44)
		return
	}
	if s.Identity.Term > r.hard.Term {
		r.becomeFollower(s.Identity.Term, "a later snapshot")
	} else if r.role == Leader {
		r.stepDown("a snapshot is ahead")
	}
	r.wake()                        // a group that rests does so with logs that are durable; this one went on without us (R16)
	replaces := !ok || sum != s.Sum // else the suffix stays: it follows the very same entry
	if replaces {
		// What older writes have saved, or will have, is of this log up to the commit index only.
		r.log.saved = min(r.log.saved, r.commit)
		for k := range r.saving {
			r.saving[k].through = min(r.saving[k].through, r.commit)
		}
	}
	passes := !replaces && r.lacks(i)
	r.cut(s, replaces || passes)
	if replaces {
		r.revert(i) // what came after is gone, and the configurations it brought (bug 13)
	}
	if passes {
		// On disk it stands in place of the whole log, so that it waits for no entry that does. What follows it
		// here goes there once more, behind it.
		r.log.handed = i
		for k := range r.saving {
			r.saving[k].through = min(r.saving[k].through, i)
		}
	}
	r.rebase(s.Configuration, i)
	r.commitTo(i)
	r.applying = i
	r.verified = max(r.verified, i)
	r.marker.last = max(r.marker.last, i)
	last, _ := r.log.lastIdentity()
	r.clock.appended(last.Time, r.now)
	r.ready.Install = s
	r.event(Event{Kind: evSnapshotInstalled, Term: s.Identity.Term, Index: i, Digest: s.Sum})
	r.answerSnapshot(i, false)
}

// lacks says whether entries through i are here, and find no room on the disk: a snapshot of them does. One that the
// log begins after is on its way there.
func (r *Replica) lacks(i Index) bool { return r.full && i > max(r.log.saved, r.log.base.Index) }

// cut makes the snapshot the beginning of the log, in memory now and on disk with the next Save.
func (r *Replica) cut(s *SnapshotMeta, replaces bool) {
	r.log.compact(s.Identity, s.Sum)
	r.base = s
	r.replaces = r.replaces || replaces
	r.event(Event{Kind: evLogCompacted, Index: r.log.first()})
}

// answerSnapshot tells the leader, if there is one, that the snapshot is durable or not wanted.
func (r *Replica) answerSnapshot(i Index, reject bool) {
	if r.leader == 0 || r.role != Follower {
		return
	}
	m := r.to(MsgSnapshotReply, r.located(&Member{Replica: r.leader, Host: r.leaderHost, Incarnation: r.leaderIncarnation}))
	m.Index, m.Reject = i, reject
	if reject {
		r.send(m)
	} else {
		r.sendAfterSave(m)
	}
}

// onCompact forgets the log up to a sealed, agreed snapshot of this replica.
func (r *Replica) onCompact(s *SnapshotMeta) {
	i := s.Index()
	if i <= r.log.base.Index || i > min(r.applied, r.log.saved) {
		return
	}
	if _, sum, _ := r.log.position(i); sum != s.Sum {
		r.fail(fmt.Errorf("snapshot of entry %d is %v, the log has %v [R2]", i, s.Sum, sum))
		return
	}
	r.cut(s, false)
	r.rebase(s.Configuration, i)
}

// onSnapshotOffer: a follower that needs no snapshot says so before it is streamed.
func (r *Replica) onSnapshotOffer(m *Message) {
	if m.Index <= r.commit && !r.lacks(m.Index) {
		r.answerSnapshot(m.Index, true)
	}
}

func (r *Replica) onSnapshotReply(m *Message) {
	p := r.hear(m)
	if p == nil {
		return
	}
	if !m.Reject {
		r.matched(p, m.Index)
	}
	if p.pace == snapshotted {
		p.probe(r.log.first())
	}
	r.feedDue = true
}

// onSnapshotSent: a stream ended. Of a good one the follower tells itself (MsgSnapshotReply); its
// word may be lost, so after a while it is probed, and asked for again if it lacks it (bug 47).
func (r *Replica) onSnapshotSent(id ReplicaID, failed bool) {
	p := r.follower(id)
	if p == nil || p.pace != snapshotted {
		return
	}
	p.retryAt = r.now + Instant(r.timeout())
	p.delivered = !failed
	p.asked = p.delivered
	if failed && p.next > r.log.base.Index { // nor does it need one: its log was full
		p.probe(p.match + 1)
		r.feedDue = true
	}
}

// feedSnapshot says once that a follower needs a snapshot, or looks whether it has it.
func (r *Replica) feedSnapshot(p *progress) {
	switch {
	case r.now < p.retryAt:
	case p.delivered:
		p.delivered = false
		p.probe(r.log.first())
		r.sendProbe(p)
	case !p.asked:
		p.asked = true
		r.ready.NeedSnapshot = append(r.ready.NeedSnapshot, p.member.Replica)
	}
}
