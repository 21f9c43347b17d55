package raft

import "fmt"

// former is the state that check saw last: some rules are about two states.
type former struct {
	hard    HardState
	commit  Index
	applied Index
	role    Role
	last    Index // of the log
	sum     Digest
	cursor  Index // where the slow walk over the log is
}

// broken reports a violated invariant: our error, so we stop where it is seen (docs/INVARIANTS.md).
func (r *Replica) broken(number, format string, args ...any) {
	panic(fmt.Sprintf("raft: %s: replica %d, term %d: ", number, r.o.Self.Replica, r.hard.Term) +
		fmt.Sprintf(format, args...))
}

// check asserts the whole state; Options.Check runs it after every Step.
func (r *Replica) check() {
	if r.failed != nil {
		return
	}
	r.checkOrder()
	r.checkLog()
	r.checkRole()
	r.checkSuccession()
	if r.role == Leader {
		r.checkLeader()
	}
	r.checkReads()
	r.checkLease()
	r.checkRest()
	r.former.hard, r.former.role = r.hard, r.role
	r.former.commit, r.former.applied = r.commit, r.applied
}

// checkOrder: the indexes stand in their order and go forward only.
func (r *Replica) checkOrder() {
	l, f := &r.log, &r.former
	switch {
	case l.saved > l.last() || l.handed > l.last() || l.saved > max(l.handed, l.base.Index):
		r.broken("R3", "saved %d, handed %d, last %d", l.saved, l.handed, l.last())
	case r.applied > r.applying || r.applying > min(r.commit, max(l.saved, l.base.Index)):
		r.broken("R4", "applied %d, applying %d, commit %d, saved %d", r.applied, r.applying, r.commit, l.saved)
	case r.commit > l.last() || r.commit < f.commit || r.applied < f.applied:
		r.broken("R6", "commit %d after %d, applied %d after %d, last %d",
			r.commit, f.commit, r.applied, f.applied, l.last())
	case r.hard.Term < f.hard.Term:
		r.broken("R9", "term %d after %d", r.hard.Term, f.hard.Term)
	case r.hard.Term == f.hard.Term && f.hard.Vote != 0 && r.hard.Vote != f.hard.Vote:
		r.broken("R9", "vote for %d after one for %d", r.hard.Vote, f.hard.Vote)
	case r.durable != r.hard && !r.hardDirty && !r.savingHard():
		r.broken("R9", "term and vote %v are not on their way to the disk, which has %v", r.hard, r.durable)
	}
	for i := range r.saving {
		if r.saving[i].through > l.last() {
			r.broken("R3", "save %d will claim entry %d, last is %d", r.saving[i].seq, r.saving[i].through, l.last())
		}
	}
	if r.role == Leader && f.role == Leader && r.commit > f.commit {
		if at, _, ok := l.position(r.commit); ok && at.Term != r.hard.Term && r.commit > r.vouched {
			r.broken("R5", "entry %d of term %d was committed by counting", r.commit, at.Term)
		}
	}
}

func (r *Replica) savingHard() bool {
	for i := range r.saving {
		if r.saving[i].hardSet && r.saving[i].hard == r.hard {
			return true
		}
	}
	return false
}

// checkLog: where the log ends otherwise than before, all that is new is linked, and some before it; each time a slow
// walk visits one entry of all, for none ever changes. A digest costs as much as many other checks together.
func (r *Replica) checkLog() {
	l, f := &r.log, &r.former
	const some = 4
	last, sum := l.lastIdentity()
	if last.Index != f.last || sum != f.sum {
		low := max(l.first(), min(f.last, last.Index)+1) // that is new, if nothing was truncated
		for i := last.Index; i >= l.first() && (i >= low || last.Index-i < some); i-- {
			r.checkEntry(i)
		}
		f.last, f.sum = last.Index, sum
	}
	if f.cursor++; f.cursor < l.first() || f.cursor > l.last() {
		f.cursor = l.first()
	}
	if l.last() >= l.first() {
		r.checkEntry(f.cursor)
	}
	if c := r.configuration(); c.Index > last.Index {
		r.broken("R13", "the configuration in force is of entry %d, last is %d", c.Index, last.Index)
	}
	for i := 1; i < len(r.configurations); i++ {
		if r.configurations[i].Index <= r.configurations[i-1].Index {
			r.broken("R13", "configuration %d stands after %d", r.configurations[i].Index, r.configurations[i-1].Index)
		}
	}
}

func (r *Replica) checkEntry(i Index) {
	e := r.log.at(i)
	before, sum, ok := r.log.position(i - 1)
	switch {
	case e.Index != i || !ok || e.Prev != sum || e.Term < before.Term || e.Sum != e.Identity.Digest():
		r.broken("R2", "entry %d (index %d, term %d, %v) does not follow term %d, %v",
			i, e.Index, e.Term, e.Sum, before.Term, sum)
	case i > r.log.first() && e.Time < r.log.at(i-1).Time:
		r.broken("R11", "entry %d has log time %d after %d", i, e.Time, r.log.at(i-1).Time)
	case e.Kind == KindConfiguration && e.Data == nil && e.Length > 0:
		r.broken("R13", "configuration of entry %d is not in memory", i)
	case e.Kind == KindConfiguration && r.configuration().Index < i:
		r.broken("R13", "configuration of entry %d is not in force, that of %d is", i, r.configuration().Index)
	}
}

// checkRole: who leads or campaigns may, and has said so to its disk.
func (r *Replica) checkRole() {
	last, _ := r.log.lastIdentity()
	switch {
	case last.Term > r.hard.Term:
		r.broken("R9", "last entry is of term %d", last.Term)
	case r.role >= Candidate && r.hard.Vote != r.o.Self.Replica:
		r.broken("R9", "%v, but voted for %d", r.role, r.hard.Vote)
	case r.role == Leader && (r.leader != r.o.Self.Replica || r.durable != r.hard):
		r.broken("R9", "leads with leader %d, durable %v, hard %v", r.leader, r.durable, r.hard)
	case r.role != Leader && r.leader == r.o.Self.Replica:
		r.broken("R1", "%v follows itself", r.role)
	case r.role != Follower && (r.stopped || r.o.NoVote):
		r.broken("R9", "%v without the right to vote", r.role)
	}
}

func (r *Replica) checkLeader() {
	var uncommitted int64
	if n := len(r.log.slice(r.commit+1, r.log.last()+1)); n < 64 {
		uncommitted = bytesOf(r.log.slice(r.commit+1, r.log.last()+1))
		if uncommitted != r.uncommitted {
			r.broken("R14", "%d bytes uncommitted, counted %d", uncommitted, r.uncommitted)
		}
	}
	for _, p := range r.followers {
		switch {
		case p.match >= p.next || p.match > r.log.last() || p.next > r.log.last()+1:
			r.broken("R7", "follower %d: match %d, next %d, last %d", p.member.Replica, p.match, p.next, r.log.last())
		case len(p.window.sent) > r.o.MaxWindow || p.pace != replicating && len(p.window.sent) > 0:
			r.broken("R14", "follower %d is %v with %d appends in flight", p.member.Replica, p.pace, len(p.window.sent))
		}
	}
}

// checkLease: a new leader has waited for another one's lease (R17).
func (r *Replica) checkLease() {
	if r.role == Leader && r.defersCommit() && r.commit >= r.firstOwn {
		r.broken("R17", "commit %d before %d, at %d", r.commit, r.lease.defers, r.now)
	}
}

// checkReads: rounds are of this leadership, and all reads are counted.
func (r *Replica) checkReads() {
	n := len(r.reads.waiting)
	for i := range r.reads.rounds {
		q := &r.reads.rounds[i]
		n += len(q.reads)
		if r.role != Leader || r.commit < r.firstOwn || q.index > r.commit || q.round > r.round || q.index < r.firstOwn {
			r.broken("R8", "round %d at index %d: %v, commit %d, first own entry %d",
				q.round, q.index, r.role, r.commit, r.firstOwn)
		}
	}
	for i := range r.reads.asked {
		n += len(r.reads.asked[i].reads)
	}
	if n != r.reads.count || n > maxReads {
		r.broken("R14", "%d reads open, counted %d", n, r.reads.count)
	}
}

// checkReady: nothing leaves before what it says is durable.
func (r *Replica) checkReady() {
	rd := r.ready
	for i := range rd.Messages {
		m := &rd.Messages[i]
		switch {
		case m.Type == MsgAppendReply && !m.Reject && m.Term == r.hard.Term && m.Index > r.log.saved:
			r.broken("R7", "entry %d is acknowledged, saved is %d", m.Index, r.log.saved)
		case m.Type == MsgHeartbeatReply && m.Term == r.hard.Term && m.Index > r.log.saved:
			r.broken("R7", "entry %d is acknowledged, saved is %d", m.Index, r.log.saved)
		case m.Type == MsgVote && r.durable.Term < m.Term:
			r.broken("R9", "asks for votes in term %d, durable is %v", m.Term, r.durable)
		case m.Type == MsgVoteReply && !m.Reject && m.Term >= r.durable.Term && r.durable != (HardState{m.Term, m.To}):
			r.broken("R9", "grants a vote to %d in term %d, durable is %v", m.To, m.Term, r.durable)
		}
	}
	if c := rd.Save.Commit; c > min(r.told, r.log.saved) || c > 0 && r.durable.Term != r.hard.Term {
		r.broken("R19", "floor %d, told %d, saved %d, durable term %d", c, r.told, r.log.saved, r.durable.Term)
	}
	if n := len(rd.Apply); n > 0 && rd.Apply[n-1].Index > min(r.commit, r.log.saved) {
		r.broken("R4", "applies %d, commit %d, saved %d", rd.Apply[n-1].Index, r.commit, r.log.saved)
	}
	if len(rd.AfterSave) > 0 && rd.Save.Empty() {
		r.broken("R9", "%d messages wait for no save", len(rd.AfterSave))
	}
	if len(rd.Save.Entries) > 0 {
		if rd.Save.Base != nil {
			r.broken("R7", "entries from %d on go with base %d, which may pass log that waits", rd.Save.Entries[0].Index, rd.Save.Base.Index())
		}
		return
	}
	for i := range rd.AfterSave {
		if m := &rd.AfterSave[i]; m.Type == MsgAppendReply && !m.Reject && m.Index > r.log.saved {
			r.broken("R7", "entry %d is acknowledged with a save that has no entries, saved is %d", m.Index, r.log.saved)
		}
	}
}
