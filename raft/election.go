package raft

import "github.com/lockstep-rsm/lockstep/raft/quorum"

// ballot is what a voter answered in the current (pre-)election.
type ballot struct {
	voter   ReplicaID
	granted bool
}

// resetElection draws the moment at which silence becomes an election: in [T, 2T), so that one
// replica wakes before the others (thesis §3.4); in [3T, 4T) for one that others should rather be elected than.
func (r *Replica) resetElection() {
	r.rest.quiet = false
	t := r.timeout()
	if r.unfit {
		t *= unfitPatience
	}
	r.electionAt = r.now + Instant(t+r.rand.below(t))
	if r.yields() {
		r.electionAt += Instant(2 * t)
	}
}

// mayVote: a vote counts only from a replica that some configuration of its own log names, in this
// very incarnation (a wiped disk has another one). A learner grants when asked: the candidate's
// configuration, not its own, says whether it is a voter by now (bug 16).
func (r *Replica) mayVote() bool {
	if r.stopped || r.o.NoVote {
		return false
	}
	for i := range r.configurations {
		if r.configurations[i].names(r.o.Self) {
			return true
		}
	}
	return false
}

// mayCampaign: only a voter (bug 17); of the configuration in force, or of one before it that is
// not known to be superseded. The removed may have to lead until their removal is committed: the
// new voters may lack the entry that says so, and nobody else has a log to win with (§4.2.2).
func (r *Replica) mayCampaign() bool {
	if r.stopped || r.stuck || r.leaving || r.o.NoVote {
		return false
	}
	for i := len(r.configurations) - 1; i >= 0; i-- {
		if r.configurations[i].votes(r.o.Self) {
			return true
		}
		if r.configurations[i].Index <= r.commit {
			break
		}
	}
	return false
}

// sole says whether this replica is the only voter.
func (r *Replica) sole() bool {
	c := r.configuration()
	return len(c.Voters) == 1 && !c.Joint() && c.votes(r.o.Self)
}

// sticky: the leader spoke within the shorter bound of the election timeout, so there is one, and who asks for
// votes is cut off from it, removed, or early (thesis §4.2.3). A leader that lost its quorum steps
// down by itself; until then it is its own proof.
func (r *Replica) sticky() bool {
	return r.role == Leader || r.rest.quiet ||
		r.leader != 0 && r.now-r.contact < Instant(r.timeout())
}

// ringElection does what is due while this replica does not lead.
func (r *Replica) ringElection() {
	switch {
	case r.rest.quiet:
	case r.now >= r.electionAt:
		if r.mayCampaign() {
			r.preCampaign()
		} else {
			r.resetElection()
		}
	case r.role == Candidate && r.resendAt != 0 && r.now >= r.resendAt && r.durable != r.hard:
		r.resendAt = r.now + Instant(r.o.Heartbeat) // they wait for the disk, each would bring one more save
	case r.role != Follower && r.resendAt != 0 && r.now >= r.resendAt:
		r.askVotes() // requests are lost; asking again is harmless
	}
}

func (r *Replica) electionDeadline() Instant {
	at := r.resendAt
	if r.mayCampaign() && !r.rest.quiet {
		at = earlier(at, r.electionAt)
	}
	return at
}

// preCampaign asks whether a campaign would be won, before it disturbs anybody's term (§9.6).
func (r *Replica) preCampaign() {
	if r.sole() {
		r.campaign(false)
		return
	}
	r.stepDown("")
	r.giveUpUnsaved()
	r.follow(0)
	r.role = PreCandidate
	r.openBallot()
	r.ballots = append(r.ballots, ballot{r.o.Self.Replica, true})
	r.askVotes()
	r.countVotes() // of a joint configuration it may be the only voter of both sets
}

// campaign begins a term and votes for itself: one save, in two batches, before anybody hears of
// it (bugs 24, 25 and 27). Its own vote counts when it is durable.
func (r *Replica) campaign(transfer bool) {
	r.stepDown("")
	r.giveUpUnsaved()
	r.follow(0)
	r.role = Candidate
	r.hard = HardState{Term: r.hard.Term + 1, Vote: r.o.Self.Replica}
	r.hardDirty, r.twoBatch = true, true
	r.verified, r.acked = 0, 0
	r.transfer = transfer
	r.patience.asked = r.now
	r.openBallot()
	r.event(Event{Kind: evTermChanged, Term: r.hard.Term})
	r.askVotes()
}

func (r *Replica) openBallot() {
	r.ballots = r.ballots[:0]
	r.resetElection()
}

// askVotes sends the request to every voter that has not answered.
func (r *Replica) askVotes() {
	r.resendAt = 0
	c := r.configuration()
	for _, set := range [...][]Member{c.Voters, c.Outgoing} {
		for i := range set {
			if set[i].Replica == r.o.Self.Replica || r.opinion(set[i].Replica) != quorum.Pending {
				continue
			}
			r.askVote(&set[i])
			r.resendAt = r.now + Instant(r.o.Heartbeat)
		}
	}
}

func (r *Replica) askVote(to *Member) {
	last, sum := r.log.lastIdentity()
	m := r.to(MsgVote, to)
	m.Transfer = r.transfer
	if r.role == PreCandidate {
		m.Type, m.Term = MsgPreVote, r.hard.Term+1
	}
	m.Prev, m.PrevSum = last.Position(), sum
	r.send(m)
}

// opinion of a voter in the current ballot. A candidate's own waits for its disk.
func (r *Replica) opinion(id ReplicaID) quorum.Result {
	if id == r.o.Self.Replica && r.role == Candidate {
		if r.durable == r.hard {
			return quorum.Won
		}
		return quorum.Pending
	}
	for i := range r.ballots {
		if r.ballots[i].voter == id {
			if r.ballots[i].granted {
				return quorum.Won
			}
			return quorum.Lost
		}
	}
	return quorum.Pending
}

// cast notes a voter's first answer.
func (r *Replica) cast(id ReplicaID, granted bool) {
	if r.opinion(id) == quorum.Pending {
		r.ballots = append(r.ballots, ballot{id, granted})
	}
	r.countVotes()
}

func (r *Replica) countVotes() {
	switch res := r.tally((*Replica).opinion); {
	case res == quorum.Pending:
	case res == quorum.Lost:
		r.stepDown("")
	case r.role == PreCandidate:
		r.campaign(false)
	case r.durable == r.hard:
		r.becomeLeader()
	} // else the others have outrun this disk: who leads can write
}

// onPreVote answers without changing anything here, not even a timer (bug 72), but for a candidacy of its own: see
// giveWay.
func (r *Replica) onPreVote(m *Message) {
	if !r.mayVote() || m.Term > r.hard.Term && r.sticky() {
		return
	}
	a := r.reply(MsgPreVoteReply, m)
	// Whoever has the longer log but the lower term learns the term from the refusal, and asks
	// again: else two cohorts refuse each other forever (bug 70).
	a.Reject = m.Term <= r.hard.Term || !r.upToDate(m.Prev)
	if !a.Reject {
		a.Term = m.Term
		r.giveWay(m)
	}
	r.send(a)
}

// giveWay ends a pre-candidacy here in favour of one that was met under way, of a replica with a higher number and a
// log as good: where a round trip is not far below the timeout both would win, enter the same term, and split
// it, one election in four. Only once in a term, and the timer goes on: who asks may be heard and hear nothing.
func (r *Replica) giveWay(m *Message) {
	if r.role != PreCandidate || m.From < r.o.Self.Replica || r.gaveWay >= m.Term {
		return
	}
	r.gaveWay = m.Term
	at := r.electionAt
	r.stepDown("")
	r.electionAt = at
}

// upToDate: the candidate's log ends no earlier than ours, by term, then index (bug 76).
func (r *Replica) upToDate(candidate Position) bool {
	last, _ := r.log.lastIdentity()
	return !candidate.Less(last.Position())
}

func (r *Replica) onPreVoteReply(m *Message) {
	if r.role == PreCandidate && (m.Reject || m.Term == r.hard.Term+1) {
		r.cast(m.From, !m.Reject)
	}
}

// onVote grants one vote per term, to a candidate whose log is up to date; asked again by the same
// candidate, it looks at the log again (bug 25).
func (r *Replica) onVote(m *Message) {
	if !r.mayVote() {
		return
	}
	free := r.hard.Vote == m.From || r.hard.Vote == 0 && r.leader == 0
	a := r.reply(MsgVoteReply, m)
	a.Reject = !free || !r.upToDate(m.Prev)
	if !a.Reject {
		if r.hard.Vote == 0 {
			r.stepDown("") // a pre-candidacy
			r.hard.Vote = m.From
			r.hardDirty, r.twoBatch = true, true
		}
		r.resetElection()
	}
	r.send(a)
}

func (r *Replica) onVoteReply(m *Message) {
	if r.hard.Vote == r.o.Self.Replica {
		r.voted()
	}
	if r.role == Candidate {
		r.cast(m.From, !m.Reject)
	}
}

// becomeLeader of the term. Its first entry is its own and empty: entries of former terms are
// committed only with it (bug 1).
func (r *Replica) becomeLeader() {
	why := "election"
	if r.transfer {
		why = "transfer"
	}
	r.patience.leading = r.timeout() // until more is known
	r.role = Leader
	r.leader = r.o.Self.Replica
	r.ballots, r.resendAt, r.transfer = r.ballots[:0], 0, false
	r.event(Event{Kind: evLeaderElected, Term: r.hard.Term, Text: why})
	r.clock.lead(r.contact, r.now, r.wall)
	r.followers = nil
	r.followMembers()
	r.uncommitted = 0
	for _, e := range r.log.slice(r.commit+1, r.log.last()+1) {
		r.uncommitted += e.size()
	}
	r.arrival = arrival{since: r.now}
	r.beginLease()
	r.beginPreference()
	r.startMarks()
	r.rest = rest{}
	r.firstOwn = r.log.last() + 1
	r.heartbeatAt = r.nextBeat()
	r.append(KindEmpty, nil, emptyPayload)
}

// onHostRefused: nobody listens where the leader lived, so waiting for it is in vain. The wait is
// spread a little, or all followers would split the vote (docs/divergence.md, §4.2.3).
func (r *Replica) onHostRefused(host HostID) {
	r.onHostLost(host)
	m, ok := r.configuration().Member(r.leader)
	if r.role != Follower || !ok || m.Host != host {
		return
	}
	r.follow(0)
	if r.yields() || r.unfit {
		return // others first
	}
	r.electionAt = min(r.electionAt, r.now+1+Instant(r.rand.below(refusedSpread)))
}

// refusedSpread is over how many nanoseconds followers of a dead host spread their campaigns.
const refusedSpread = 20_000_000
