package raft

import (
	"cmp"
	"slices"

	"github.com/lockstep-rsm/lockstep/raft/quorum"
)

// marks are the newest reports of one reporter, as many as there were room for: a group that has few marks
// takes room for few.
type marks struct {
	list []Mark // ascending
}

const (
	// maxReports is how many of its own a replica keeps: one for each mark that its machine has executed in this
	// life, as far as its log goes back. One that is behind may hold any of them for its newest, and ask what a
	// majority had there. It bounds what a group costs: 16 KiB.
	maxReports = 1024
	// maxMarks is how many are kept of those that a follower has reported, or a majority has agreed on.
	maxMarks = 16
)

// add notes a report, and forgets those before index base and the oldest ones beyond most. Older ones than the
// newest are late mail.
func (s *marks) add(m Mark, base Index, most int) bool {
	if m.Index <= s.newest().Index {
		return false
	}
	n := 0
	for n < len(s.list) && (s.list[n].Index < base || len(s.list)-n >= most) {
		n++
	}
	s.list = append(s.list[n:], m)
	return true
}

// newest report; zero: none.
func (s *marks) newest() Mark {
	if len(s.list) == 0 {
		return Mark{}
	}
	return s.list[len(s.list)-1]
}

// at returns the report for index i.
func (s *marks) at(i Index) (Mark, bool) {
	n, ok := slices.BinarySearchFunc(s.list, i, func(m Mark, i Index) int { return cmp.Compare(m.Index, i) })
	if !ok {
		return Mark{}, false
	}
	return s.list[n], true
}

// marker decides which entries are marked.
type marker struct {
	last  Index   // the newest marked entry, or where counting began
	at    Instant // when it was appended
	bytes int64   // of entries since then

	wanted bool
	wantAt Instant // at the latest
}

// startMarks finds where a new leader counts from.
func (r *Replica) startMarks() {
	k := &r.marker
	k.at, r.disputed = r.now, 0
	k.last, k.bytes = r.log.base.Index, 0
	for i := r.log.last(); i >= r.log.first() && i+r.o.MarkEvery > r.log.last(); i-- {
		if r.log.at(i).Flags&FlagMark != 0 {
			k.last = i
			break
		}
		k.bytes += r.log.at(i).size()
	}
	if k.wanted {
		k.wantAt = r.now + Instant(r.o.Heartbeat)
	}
}

// flags of the entry that a leader is about to append at i.
func (r *Replica) flags(i Index) Flags {
	k := &r.marker
	if k.wanted || r.o.MarkEvery > 0 && i >= k.last+r.o.MarkEvery ||
		r.o.MarkBytes > 0 && k.bytes >= r.o.MarkBytes ||
		r.o.MarkInterval > 0 && r.now-k.at >= Instant(r.o.MarkInterval) {
		return FlagMark
	}
	return 0
}

// appended follows the log, here and at followers: a mark is what was wanted.
func (k *marker) appended(e *Entry, now Instant) {
	if e.Flags&FlagMark != 0 {
		k.last, k.at, k.bytes, k.wanted, k.wantAt = e.Index, now, 0, false, 0
	} else {
		k.bytes += e.size()
	}
}

// onWantMark: a snapshot here waits for a mark. A follower's wish travels in its replies.
func (r *Replica) onWantMark() {
	r.marker.want(r)
	r.stirLeader()
}

func (k *marker) want(r *Replica) {
	if !k.wanted {
		k.wanted = true
		k.wantAt = r.now + Instant(r.o.Heartbeat)
	}
}

// marksDue is when a leader must append an empty entry to bear a mark, as no other came.
func (r *Replica) marksDeadline() (at Instant) {
	k := &r.marker
	if r.handover.target != 0 {
		return 0
	}
	if k.wanted {
		at = k.wantAt
	}
	if r.o.MarkInterval > 0 && r.log.last() > k.last {
		at = earlier(at, k.at+Instant(r.o.MarkInterval))
	}
	return at
}

func (r *Replica) ringMarks() {
	if at := r.marksDeadline(); at != 0 && r.now >= at && r.role == Leader {
		r.wake() // a follower may have wished for it since it was asked to be quiet
		r.append(KindEmpty, nil, emptyPayload)
	}
}

// onMark takes the digest of this replica's machine at a marked entry.
func (r *Replica) onMark(m Mark) {
	if !r.own.add(m, r.log.base.Index, maxReports) {
		return
	}
	r.event(Event{Kind: evMarkReported, Index: m.Index, Digest: m.Digest})
	if a, ok := r.agreed.at(m.Index); ok && a.Digest != m.Digest {
		r.ready.Diverged = &m
	}
	if r.role == Leader {
		r.seekAgreement(m)
	}
}

// reported takes a follower's.
func (r *Replica) reported(p *progress, m Mark) {
	if p.marks.add(m, 0, maxMarks) {
		r.seekAgreement(m)
	}
}

// seekAgreement: has a majority of voters reported this very digest?
func (r *Replica) seekAgreement(m Mark) {
	if m.Index <= r.agreed.newest().Index {
		return
	}
	same := func(r *Replica, id ReplicaID) quorum.Result {
		have, ok := r.own.at(m.Index)
		if id != r.o.Self.Replica {
			p := r.follower(id)
			if p == nil {
				return quorum.Pending
			}
			have, ok = p.marks.at(m.Index)
		}
		if ok && have == m {
			return quorum.Won
		}
		return quorum.Pending
	}
	switch {
	case r.tally(same) == quorum.Won:
		r.agree(m)
	case m.Index > r.disputed && r.hopeless(m.Index):
		r.disputed = m.Index
	}
}

// hopeless says whether no digest can have a majority at a mark any more, whatever those report who have
// not yet: in one of the sets of voters the others are too few for each that was reported.
func (r *Replica) hopeless(i Index) bool {
	c := r.configuration()
	return r.split(c.Voters, i) || r.split(c.Outgoing, i)
}

func (r *Replica) split(voters []Member, i Index) bool {
	counts, most, missing := make(map[Digest]int), 0, 0
	for _, v := range voters {
		m, ok := r.own.at(i)
		if v.Replica != r.o.Self.Replica {
			p := r.follower(v.Replica)
			if p == nil {
				missing++
				continue
			}
			m, ok = p.marks.at(i)
		}
		if !ok {
			missing++
			continue
		}
		counts[m.Digest]++
		most = max(most, counts[m.Digest])
	}
	return len(voters) > 0 && most+missing <= len(voters)/2
}

// ringDispute halts a group of which nobody can say what its state is, by its own log: all replicas stop at
// one place, and stay so until an operator has found out. A mark from before the configuration in force
// is of the past: somebody has decided since.
func (r *Replica) ringDispute() {
	c := r.configuration()
	if r.role != Leader || r.disputed <= c.Index || c.Settings.Halt != HaltNone ||
		c.Joint() || c.Index > r.commit || r.commit < r.firstOwn || r.handover.target != 0 {
		return
	}
	next := *c
	next.Settings.Halt = HaltDisputed
	r.appendConfiguration(&next)
}

// agreedFor is what a follower is told: the newest mark that a majority agrees on, or, if its machine has
// not come so far, the mark that it reported last, once a majority agrees on a later one with this replica
// and this replica had the same state there: results are chained, so what is before is the same, too. A
// follower whose full disk keeps it from coming farther makes room by the snapshot it has there.
func (r *Replica) agreedFor(p *progress) Mark {
	agreed, theirs := r.agreed.newest(), p.marks.newest()
	if theirs.Index == 0 || theirs.Index >= agreed.Index {
		return agreed
	}
	here, ok := r.own.at(agreed.Index)
	if ours, had := r.own.at(theirs.Index); ok && here == agreed && had && ours == theirs {
		return theirs
	}
	return agreed
}

// learnAgreed takes what the leader says a majority agrees on.
func (r *Replica) learnAgreed(m Mark) {
	if m.Index > r.agreed.newest().Index {
		r.agree(m)
	}
}

func (r *Replica) agree(m Mark) {
	r.agreed.add(m, 0, maxMarks)
	r.ready.Agreed = &m
	if own, ok := r.own.at(m.Index); ok && own.Digest != m.Digest {
		r.ready.Diverged = &own
	}
}
