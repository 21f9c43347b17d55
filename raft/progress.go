package raft

// pace is how a leader feeds a follower; the drawing is in the package comment.
type pace uint8

const (
	probing     pace = iota // what it holds is unknown: one message at a time
	replicating             // optimistic: everything at once, within the window
	snapshotted             // its next entry is gone: a snapshot has to come first
)

// String names the pace.
func (s pace) String() string {
	switch s {
	case probing:
		return "probing"
	case replicating:
		return "replicating"
	}
	return "snapshotted"
}

// progress is what a leader knows of one follower, in one leadership. It belongs to a member, not
// to an id: a replica removed and added again begins anew (bug 20).
type progress struct {
	member   Member
	learner  bool
	pace     pace
	match    Index // durable there, and equal to ours
	next     Index // the entry to send next
	received Index // there, on disk or not, as it said last
	heard    Instant
	down     bool // its link is closed
	unfit    bool // it could not lead, it says
	declined bool // asked to take over it said so

	probeAt    Instant // when probing: not before
	probes     int     // when probing: unanswered so far
	probeRound uint64  // round of the last probe: an answer of an older round says nothing new

	window window

	round       uint64  // the newest confirmation round it has echoed
	expectRound uint64  // a reply of this round or later ...
	expectIndex Index   // ... has seen everything through this index, or it was lost
	told        Index   // the commit index it was told
	asked       bool    // when snapshotted: Ready.NeedSnapshot has said so
	delivered   bool    // when snapshotted: a stream to it has ended well
	retryAt     Instant // when snapshotted: not before

	trip      peak    // of its answers to heartbeats
	tripRound uint64  // that one is waited for; 0: none
	tripAt    Instant // when it was asked for
	timeout   int64   // that it was told to go by

	goal     Index   // of a learner: where this round of catching up ends
	goalAt   Instant // and when it began
	caughtUp bool    // the last one was short

	full   bool    // its disk has no room for entries
	fullAt Instant // since when, or when it was last given a snapshot for that
	helped int     // so often it was

	marks marks // it reported
	quiet bool  // it has agreed to be, in the round that asks for it

	absent  bool // it was silent, or its link closed, when the others were asked
	assumed bool // heard is when the leader woke; its host may know of an earlier sign
}

// window is the flow control of one follower: appends sent and not known to be durable there.
type window struct {
	sent  []flight
	bytes int64
}

// flight is one append on its way.
type flight struct {
	last  Index
	bytes int64
}

func (w *window) full(o *Options) bool {
	return len(w.sent) >= o.MaxWindow || w.bytes >= o.MaxWindowBytes
}

func (w *window) push(last Index, bytes int64) {
	w.sent = append(w.sent, flight{last, bytes})
	w.bytes += bytes
}

// free takes out what is durable through i.
func (w *window) free(i Index) {
	n := 0
	for n < len(w.sent) && w.sent[n].last <= i {
		w.bytes -= w.sent[n].bytes
		n++
	}
	if n > 0 {
		w.sent = w.sent[:copy(w.sent, w.sent[n:])]
	}
}

func (w *window) reset() { w.sent, w.bytes = w.sent[:0], 0 }

// probe goes back to one message at a time, beginning at next.
func (p *progress) probe(next Index) {
	p.pace = probing
	p.next = max(next, p.match+1)
	p.probeAt, p.probes = 0, 0
	p.window.reset()
}

// replicate goes on at full speed after i, the last entry known to have arrived there.
func (p *progress) replicate(i Index) {
	p.pace = replicating
	p.next = max(i, p.match) + 1
	p.window.reset()
	p.expectIndex = 0
}

// follower returns the progress of a member; nil if there is none, or while not leading.
func (r *Replica) follower(id ReplicaID) *progress {
	for _, p := range r.followers {
		if p.member.Replica == id {
			return p
		}
	}
	return nil
}

// followMembers makes the followers those of the configuration in force.
func (r *Replica) followMembers() {
	c := r.configuration()
	var next []*progress
	add := func(set []Member, learner bool) {
		for _, m := range set {
			if m.Replica == r.o.Self.Replica || has(next, m.Replica) {
				continue
			}
			p := r.follower(m.Replica)
			if p == nil || p.member.Incarnation != m.Incarnation {
				p = &progress{next: r.log.last() + 1, heard: r.now}
			}
			p.member, p.learner = m, learner
			next = append(next, p)
		}
	}
	add(c.Voters, false)
	add(c.Outgoing, false)
	add(c.Learners, true)
	r.followers = next
	r.feedDue = true
}

func has(ps []*progress, id ReplicaID) bool {
	for _, p := range ps {
		if p.member.Replica == id {
			return true
		}
	}
	return false
}
