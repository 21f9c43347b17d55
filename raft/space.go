package raft

// giveUpUnsaved: a candidate gives up the entries that its disk refuses for lack of space. While a
// disk is full it still takes terms, votes and empty entries; but a leader's first empty entry behind
// entries that wait for space would wait with them, and every linearizable read behind it.
//
// What is given up is neither durable here as far as this replica knows, nor known to be committed. It is
// as if the appends that brought it had been lost, which is safe as long as nobody was told the contrary:
// an acknowledgement says what is durable and leaves only after the save of it (R7). One that waits may
// not leave any more, even if the disk writes the entries after all: the older leader would commit them
// by this replica's word, after its vote was asked and counted for a log without them. GivenUp has the
// host take such words back. That the disk may hold the entries until others are written over them is
// as after any truncation that a crash undoes.
//
// It is done before a pre-vote is asked, so that the question is about the log that the vote will be for.
func (r *Replica) giveUpUnsaved() {
	i := max(r.log.saved, r.commit) + 1
	if !r.full || i > r.log.last() {
		return
	}
	r.truncate(i)
	if g := &r.ready.GivenUp; *g == 0 || i < *g {
		*g = i
	}
	r.full = r.log.saved < r.log.last()
}

// fullPatience is for how many election timeouts a log may be full before others help: most clear by
// themselves within seconds.
const fullPatience = 8

// maxHelped bounds how often that is doubled for a follower that snapshots do not help.
const maxHelped = 4

// onStorageFull: the disk refuses entries, be it for the log's bound.
func (r *Replica) onStorageFull(bound bool) {
	was := r.full
	r.full, r.byBound = r.log.saved < r.log.last(), bound
	if r.full && !was {
		r.fullAt = r.now
	}
}

// relieve is a leader's help where a log stays full. A follower is given a snapshot in place of the entries that find no
// room: what it could cut its log behind may be a mark of which nobody else knows the state any more. And if it is the
// leader's own, while a voter has saved more, that one is asked to lead: clients are refused as long as a leader's
// log is full, and followers get snapshots.
func (r *Replica) relieve() {
	patience := Instant(fullPatience * r.o.ElectionTimeout)
	for _, p := range r.followers {
		if p.full && p.pace != snapshotted && r.recent(p) && r.now-p.fullAt > patience<<p.helped {
			p.fullAt, p.helped = r.now, min(p.helped+1, maxHelped)
			p.pace, p.asked, p.delivered, p.retryAt = snapshotted, false, false, 0
			p.window.reset()
			r.feedDue = true
		}
	}
	if !r.full || r.now-r.fullAt <= patience {
		return
	}
	var best *progress
	for _, p := range r.followers {
		if !p.learner && !p.unfit && r.recent(p) && p.match > r.log.saved && r.configuration().votes(p.member) && (best == nil || p.match > best.match) {
			best = p
		}
	}
	if best != nil {
		r.fullAt = r.now
		r.onTransfer(best.member.Replica)
	}
}
