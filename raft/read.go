package raft

import "slices"

// The bounds of reads: a read beyond them fails at once, and the caller asks again (A9).
const (
	maxReads  = 4096 // that wait, are in a round, or were forwarded
	maxRounds = 4    // confirmation rounds, or forwarded batches, in flight
)

// read is one question for a read index: of a client here, or of a follower there.
type read struct {
	token uint64
	at    Instant // while it waits or is forwarded: fails then
	from  Member  // who asked; Replica 0: a client here
	lease bool    // a leader's lease is enough
}

// readRound is reads that share a confirmation (thesis §6.4).
type readRound struct {
	round  uint64 // leader: an echo of it from a majority confirms; follower: the token on the wire
	index  Index
	resend Instant
	reads  []read
}

// reads are all questions not yet answered.
type reads struct {
	due     bool   // flushReads has something to look at
	serial  uint64 // of forwarded batches; begins at random, so that no life's token is another's (bug 65)
	count   int
	latest  Instant // at which one expires that has come
	waiting []read
	rounds  []readRound // leader: heartbeats are out
	asked   []readRound // follower: the leader was asked
}

// onRead takes a client's question.
func (r *Replica) onRead(token uint64, leased bool) { r.takeRead(read{token: token, lease: leased}) }

func (r *Replica) takeRead(q read) {
	if r.rest.quiet {
		r.wake() // the question itself wakes the leader
	}
	if r.reads.count >= maxReads {
		r.failRead(q)
		return
	}
	if q.lease && r.role == Leader {
		r.renewLease()
		if r.leased() {
			r.reads.count++
			r.answerRead(q, r.commit)
			return
		}
	}
	// They expire in order, though the timeout may have become shorter since the last one came.
	q.at = max(r.reads.latest, r.now+2*Instant(r.timeout()))
	r.reads.latest = q.at
	r.reads.count++
	r.reads.waiting = append(r.reads.waiting, q)
	r.reads.due = true
}

// onReadIndex takes a follower's question.
func (r *Replica) onReadIndex(m *Message) {
	q := read{token: m.Token, lease: m.Leased, from: Member{Replica: m.From, Host: m.FromHost, Incarnation: m.FromIncarnation}}
	if r.role != Leader {
		r.failRead(q)
		return
	}
	if !r.knows(q) {
		r.takeRead(q)
	}
}

// knows says whether a follower's question, sent again, is already here.
func (r *Replica) knows(q read) bool {
	same := func(have []read) bool {
		for i := range have {
			if have[i].token == q.token && have[i].from.Replica == q.from.Replica {
				return true
			}
		}
		return false
	}
	for i := range r.reads.rounds {
		if same(r.reads.rounds[i].reads) {
			return true
		}
	}
	return same(r.reads.waiting)
}

// flushReads starts a round for all reads that wait, or forwards them as one question.
func (r *Replica) flushReads() {
	if !r.reads.due {
		return
	}
	r.reads.due = false
	switch {
	case len(r.reads.waiting) == 0:
	case r.role == Leader:
		r.startRound()
	case r.leader != 0 && r.role == Follower:
		r.forwardReads()
	}
}

// startRound asks every voter whether this is still the leader. Before the term's first entry is
// committed the commit index may be behind what former leaders have answered for: reads wait (R8,
// bug 64).
func (r *Replica) startRound() {
	if r.commit < r.firstOwn || len(r.reads.rounds) >= maxRounds {
		return
	}
	r.round++
	r.reads.rounds = append(r.reads.rounds, readRound{round: r.round, index: r.commit, reads: r.reads.waiting})
	r.reads.waiting = nil
	r.confirmReads()
	if len(r.reads.rounds) == 0 {
		return // the only voter is its own majority
	}
	for _, p := range r.followers {
		if !p.learner {
			r.sendHeartbeat(p, r.round)
		}
	}
}

func roundOf(r *Replica, id ReplicaID) uint64 {
	if id == r.o.Self.Replica {
		return r.round
	}
	if p := r.follower(id); p != nil {
		return p.round
	}
	return 0
}

// confirmReads answers the reads whose round a majority has echoed. A read that came later has a
// later round.
func (r *Replica) confirmReads() {
	if len(r.reads.rounds) == 0 {
		return
	}
	confirmed := r.held(roundOf)
	n := 0
	for ; n < len(r.reads.rounds) && r.reads.rounds[n].round <= confirmed; n++ {
		for _, q := range r.reads.rounds[n].reads {
			r.answerRead(q, r.reads.rounds[n].index)
		}
	}
	if n > 0 {
		r.reads.rounds = append(r.reads.rounds[:0], r.reads.rounds[n:]...)
		r.reads.due = len(r.reads.waiting) > 0
	}
}

func (r *Replica) answerRead(q read, index Index) {
	r.reads.count--
	if q.from.Replica == 0 {
		r.ready.Reads = append(r.ready.Reads, ReadReady{Token: q.token, Index: index})
		return
	}
	a := r.to(MsgReadIndexReply, r.located(&q.from))
	a.Token, a.Index = q.token, index
	r.send(a)
	r.awaited, r.feedDue = max(r.awaited, index), true
}

// failRead answers a read that nobody can confirm here.
func (r *Replica) failRead(q read) {
	if q.from.Replica == 0 {
		r.ready.Reads = append(r.ready.Reads, ReadReady{Token: q.token, Failed: true})
		return
	}
	a := r.to(MsgReadIndexReply, r.located(&q.from))
	a.Token, a.Reject = q.token, true
	r.send(a)
}

// located is m with the host that the configuration gives it.
func (r *Replica) located(m *Member) *Member {
	if named, ok := r.configuration().Member(m.Replica); ok && named.Incarnation == m.Incarnation {
		return &named
	}
	return m
}

// forwardReads asks the leader, once for all that wait.
func (r *Replica) forwardReads() {
	if len(r.reads.asked) >= maxRounds {
		return
	}
	r.reads.serial++
	r.reads.asked = append(r.reads.asked, readRound{round: r.reads.serial, reads: r.reads.waiting})
	r.reads.waiting = nil
	r.askLeader(&r.reads.asked[len(r.reads.asked)-1])
}

func (r *Replica) askLeader(b *readRound) {
	b.resend = r.now + 2*Instant(r.o.Heartbeat)
	m := r.to(MsgReadIndex, r.located(&Member{Replica: r.leader, Host: r.leaderHost, Incarnation: r.leaderIncarnation}))
	m.Token = b.round
	m.Leased = !slices.ContainsFunc(b.reads, func(q read) bool { return !q.lease })
	r.send(m)
}

// onReadIndexReply: the leader of this very term has answered. Tokens are never matched across
// terms: a change of term has emptied the list.
func (r *Replica) onReadIndexReply(m *Message) {
	if m.From != r.leader {
		return
	}
	for i := range r.reads.asked {
		b := r.reads.asked[i]
		if b.round != m.Token {
			continue
		}
		r.reads.asked = append(r.reads.asked[:i], r.reads.asked[i+1:]...)
		for _, q := range b.reads {
			if m.Reject {
				r.reads.count--
				r.failRead(q)
			} else {
				r.answerRead(q, m.Index)
			}
		}
		r.reads.due = len(r.reads.waiting) > 0
		return
	}
}

// failReads: the leader that was asked, or this leadership, is no more. Reads that have asked
// nobody yet wait for the next one.
func (r *Replica) failReads() {
	for _, set := range [...][]readRound{r.reads.rounds, r.reads.asked} {
		for i := range set {
			for _, q := range set[i].reads {
				r.reads.count--
				if q.from.Replica == 0 {
					r.failRead(q)
				}
			}
		}
	}
	r.reads.rounds, r.reads.asked = nil, nil
	kept := r.reads.waiting[:0]
	for _, q := range r.reads.waiting {
		if q.from.Replica == 0 {
			kept = append(kept, q)
		} else {
			r.reads.count--
		}
	}
	r.reads.waiting = kept
	r.reads.due = len(kept) > 0
}

// expireReads fails what has waited two election timeouts, and asks the leader again in between:
// messages are lost.
func (r *Replica) expireReads() {
	n := 0
	for ; n < len(r.reads.waiting) && r.now >= r.reads.waiting[n].at; n++ {
		r.reads.count--
		r.failRead(r.reads.waiting[n])
	}
	r.reads.waiting = r.reads.waiting[n:]
	for len(r.reads.asked) > 0 && r.now >= r.reads.asked[0].reads[0].at {
		for _, q := range r.reads.asked[0].reads {
			r.reads.count--
			r.failRead(q)
		}
		r.reads.asked = append(r.reads.asked[:0], r.reads.asked[1:]...)
		r.reads.due = len(r.reads.waiting) > 0
	}
	for i := range r.reads.asked {
		if r.now >= r.reads.asked[i].resend {
			r.askLeader(&r.reads.asked[i])
		}
	}
}

func (q *reads) deadline(*Replica) (at Instant) {
	if len(q.waiting) > 0 {
		at = q.waiting[0].at
	}
	for i := range q.asked {
		at = earlier(earlier(at, q.asked[i].resend), q.asked[i].reads[0].at)
	}
	return at
}
