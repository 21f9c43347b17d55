package raft

import "cmp"

// handover is a leadership transfer under way (thesis §3.10).
type handover struct {
	target   ReplicaID // 0: none
	deadline Instant   // given up then, and proposals are taken again
	resend   Instant
	another  Instant   // is asked then, too; 0: nobody
	failed   ReplicaID // of an earlier one, or of this: it did not take over
}

// onTransfer begins to hand leadership to a voter; 0: to the best placed one, of those that are there and did not
// decline.
func (r *Replica) onTransfer(id ReplicaID) {
	if r.role != Leader || r.handover.target != 0 {
		return
	}
	best, heirs := r.bestHeir(id)
	if best == nil {
		return
	}
	r.handover = handover{target: best.member.Replica, deadline: r.now + Instant(r.timeout())}
	if r.leaving && heirs > 1 {
		r.handover.another = r.now + r.impatience(best)
	}
	r.feedDue = true
	r.ringTransfer()
}

// bestHeir is who is asked to take over, and of how many.
func (r *Replica) bestHeir(id ReplicaID) (best *progress, heirs int) {
	for _, p := range r.followers {
		if p.learner || !r.recent(p) || id != 0 && p.member.Replica != id || id == 0 && !r.heir(p) || !r.configuration().votes(p.member) {
			continue
		}
		heirs++
		if best == nil || r.betterPlaced(p, best) {
			best = p
		}
	}
	return best, heirs
}

// impatience is how long a leader that leaves waits for one heir before it asks another: twice what asking it, its two
// saves and its question about votes take, and at least a heartbeat. An heir that stands still just then would hold up
// the group for an election timeout.
func (r *Replica) impatience(p *progress) Instant {
	syncs := r.patience.syncs.longest(r.awake(), r.window())
	return Instant(max(r.o.Heartbeat, 2*(p.trip.longest(r.awake(), r.window())+2*syncs)))
}

// askAnother turns to the next heir, within the same transfer: nothing is proposed in between, so that whoever of the two
// campaigns first has all, and this replica's vote.
func (r *Replica) askAnother() {
	h := &r.handover
	tried := h.target
	h.another, h.failed = 0, tried
	if best, heirs := r.bestHeir(0); heirs > 1 && best.member.Replica != tried {
		h.target, h.resend, h.another = best.member.Replica, 0, r.now+r.impatience(best)
	}
}

// heir says whether a voter may take over if nobody in particular is asked to.
func (r *Replica) heir(p *progress) bool { return !p.down && !p.declined }

// Heirless says of a leader that no other voter would take over: each has declined, or its link is closed.
func (r *Replica) Heirless() bool {
	for _, p := range r.followers {
		if !p.learner && r.heir(p) {
			return false
		}
	}
	return r.role == Leader
}

// betterPlaced compares two targets of a transfer: who did not take over is asked last (its log may be
// complete and its machine quarantined), then who does not keep up, then who has a lower priority.
func (r *Replica) betterPlaced(p, than *progress) bool {
	c, late := r.configuration(), func(p *progress) int {
		if r.keepsUp(p) {
			return 0
		}
		return 1
	}
	return cmp.Or(
		-cmp.Compare(r.lastChoice(p), r.lastChoice(than)),
		-cmp.Compare(late(p), late(than)),
		cmp.Compare(c.Priority(p.member.Host), c.Priority(than.member.Host)),
		cmp.Compare(p.match, than.match),
	) > 0
}

// ringTransfer tells the target to campaign once its disk has everything (bug 69), and gives up in
// time: a group must not refuse proposals because one replica does not answer.
func (r *Replica) ringTransfer() {
	h := &r.handover
	if h.target == 0 {
		return
	}
	if h.another != 0 && r.now >= h.another {
		r.askAnother()
	}
	p := r.follower(h.target)
	if p == nil || r.now >= h.deadline {
		r.handover = handover{failed: h.target}
		return
	}
	if p.match == r.log.last() && r.now >= h.resend {
		h.resend = r.now + Instant(r.o.Heartbeat)
		r.send(r.to(MsgTransfer, &p.member))
	}
}

// onTransferMessage: the leader wants this replica to lead. Its word lifts the stickiness of the
// others, and there is no pre-vote: nothing is to be found out. Who cannot lead says so, that another is asked at once.
func (r *Replica) onTransferMessage(m *Message) {
	if r.mayCampaign() && !r.unfit {
		r.campaign(true)
		return
	}
	a := r.reply(MsgHeartbeatReply, m)
	r.report(&a)
	a.Index = min(r.log.saved, r.verified)
	r.send(a)
}

// declined takes the answer of one that cannot take over.
func (r *Replica) declined(p *progress, m *Message) {
	if m.Round == 0 && m.Unfit && r.handover.target == p.member.Replica {
		p.declined = true
		r.handover = handover{failed: p.member.Replica}
	}
}
