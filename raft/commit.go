package raft

import "github.com/lockstep-rsm/lockstep/raft/digest"

// emptyPayload is the digest of no bytes.
var emptyPayload = payloadDigest(nil)

func payloadDigest(data []byte) Digest { return Digest(digest.Sum(data)) }

// onPropose appends one entry, or says why not.
func (r *Replica) onPropose(p *Proposal) {
	a := Proposed{Ref: p.Ref, Refused: r.refuse(p)}
	if a.Refused == Appended {
		a.Term, a.Index = r.hard.Term, r.append(p.Kind, p.Data, p.Payload)
		if p.Forwarded {
			r.awaited = a.Index
		}
	}
	r.ready.Proposed = append(r.ready.Proposed, a)
}

func (r *Replica) refuse(p *Proposal) Refusal {
	switch {
	case r.role != Leader || p.Term != 0 && p.Term != r.hard.Term:
		return NotLeader // a proposal for a former leadership would be a ghost in this one (bug 80)
	case r.handover.target != 0:
		return Transferring
	case r.unfit && p.Kind != KindEmpty:
		return NotLeader // of nobody who executes: see onUnfit
	case p.Kind != KindCommands && p.Kind != KindEmpty && p.Kind != KindTick:
		return Invalid
	case r.configuration().Settings.Halt != HaltNone && p.Kind != KindEmpty:
		return Halted
	case r.uncommitted > 0 && r.uncommitted+int64(len(p.Data))+entrySize > r.o.MaxUncommitted:
		return Overloaded // one is always admitted when nothing waits: the bound clears (A9)
	}
	return Appended
}

// append adds one entry to a leader's log.
func (r *Replica) append(kind Kind, data []byte, payload Digest) Index {
	r.wake()
	last, sum := r.log.lastIdentity()
	id := Identity{
		Group: r.o.Group, Birth: r.o.Birth, Kind: kind, Term: r.hard.Term, Index: last.Index + 1,
		Time: r.clock.read(r.now, r.wall), Length: uint32(len(data)), Payload: payload, Prev: sum,
	}
	id.Flags = r.flags(id.Index)
	e := Entry{Identity: id, Sum: id.Digest(), Data: data}
	r.take(e)
	r.uncommitted += e.size()
	r.grantBy(id.Index)
	r.feedDue = true
	return id.Index
}

// take puts an entry at the end of the log, a leader's or a follower's. A configuration is in
// force from here on. False: it cannot be read, and the replica has failed.
func (r *Replica) take(e Entry) bool {
	if e.Kind == KindConfiguration {
		c, err := r.decode(&e)
		if err != nil {
			r.fail(err)
			return false
		}
		r.log.push(e)
		r.enter(c)
	} else {
		r.log.push(e)
	}
	r.clock.appended(e.Time, r.now)
	r.marker.appended(&e, r.now)
	r.event(Event{Kind: evEntryAppended, Term: e.Term, Index: e.Index, Digest: e.Sum})
	return true
}

// held for the commit: of itself a leader counts only what its own disk holds (bug 30).
func matchOf(r *Replica, id ReplicaID) uint64 {
	if id == r.o.Self.Replica {
		return uint64(r.log.saved)
	}
	if p := r.follower(id); p != nil {
		return uint64(p.match)
	}
	return 0
}

// advanceCommit commits what a majority of every set of voters holds on disk, if it is of this
// term (R5, thesis §3.6.2): an older entry on a majority can still be overwritten (bug 1).
func (r *Replica) advanceCommit() {
	if r.role != Leader || r.defersCommit() {
		return
	}
	n := Index(r.held(matchOf))
	if n <= r.commit || n > r.log.last() || r.log.at(n).Term != r.hard.Term {
		return
	}
	r.settleCommit(n)
	r.granted()
	r.feedDue = true
	if c := r.configuration(); c.Index <= r.commit && !c.votes(r.o.Self) {
		// Removed: it has led until the change was committed, no longer (thesis §4.2.2). The commit
		// is told before, or the others would have to find it again.
		r.awaited = r.commit
		r.flushFollowers()
		r.bequeath()
		r.becomeFollower(r.hard.Term, "no voter any more")
	}
}

// settleCommit moves a leader's commit index.
func (r *Replica) settleCommit(n Index) {
	for _, e := range r.log.slice(r.commit+1, n+1) {
		r.uncommitted -= e.size()
	}
	r.learnCommit(n)
}

// hearCommit takes a follower's word for what was committed before this leadership: this log holds all of it
// (thesis §3.6.3). A leader learns it by its own first entry, too, unless full disks keep that from a majority:
// then no replica may lack what makes its log shorter because another one alone knows it.
func (r *Replica) hearCommit(n Index) {
	if n = min(n, r.firstOwn-1); n > r.commit {
		r.vouched = n
		r.settleCommit(n)
		r.feedDue = true
	}
}

// floor is the commit index as a Save may keep it (R19): of what a leader has told, the part that is durable
// here; and only once the term is durable in which it was told, so that no leader of an older one is believed
// against it after a crash.
func (r *Replica) floor() Index {
	if r.durable.Term != r.hard.Term {
		return 0
	}
	return min(r.told, r.log.saved)
}

// learnCommit takes a commit index that the leader of this term knows, which may be this replica.
func (r *Replica) learnCommit(n Index) {
	r.told = max(r.told, n)
	r.commitTo(n)
}

// commitTo moves the commit index forward, never back.
func (r *Replica) commitTo(n Index) {
	if n <= r.commit {
		return
	}
	r.commit = n
	r.event(Event{Kind: evCommitAdvanced, Term: r.hard.Term, Index: n})
	if r.role == Leader {
		r.reads.due = true
	}
}

// applyEnd is how far entries may be given to the machine: committed, saved here (R4: even a
// leader whose quorum is others' disks waits for its own), and not too far ahead of it.
func (r *Replica) applyEnd() Index {
	end := min(r.commit, r.log.saved)
	if end <= r.applying || r.applying-r.applied >= maxApplying {
		return r.applying
	}
	return min(end, r.applied+maxApplying)
}

// maxApplying bounds how many entries the machine's lane has before it.
const maxApplying = 4096

// takeApply puts into Ready what may be applied.
func (r *Replica) takeApply() {
	end := r.applyEnd()
	if end <= r.applying {
		return
	}
	r.ready.Apply = r.log.slice(max(r.applying+1, r.log.first()), end+1)
	r.applying = end
}
