package raft

import "math"

// How long silence has to last before it is an election. A candidate needs two round trips, and two syncs on its way,
// one after the other: where those take long, a fixed timeout ends every candidacy before it is decided, and makes a
// heartbeat that is late a reason for the next one. So the timeout follows what is measured, between two bounds:
//
//	ElectionTimeout ≤ 2 × (two round trips + two syncs) ≤ MaxElectionTimeout
//
// The leader measures round trips by its heartbeats, and says in each to how much more than ElectionTimeout they
// come: so both know by what the other goes. Who has no leader goes by what the last one said, and by how long
// the votes of its own candidacies took. Everybody adds the syncs of its own disk: of those that ended, so that one
// that stands still makes nobody wait longer. No safety rests on any of it.
type patience struct {
	stated  int64 // follower: by the last leader; 0: no more than ElectionTimeout
	leading int64 // leader: what it goes by itself
	syncs   peak  // of this replica's saves
	votes   peak  // from asking for them to the last that came
	asked   Instant
	stood   Instant // the disk stood still, or had no room, until then
	rested  Instant // for how long the replica has been quiet, in all
}

// peak is the longest of what was measured in one to two windows of time, of each two in a row the shorter: a replica
// that stood still, or was cut off for a moment, makes one of them long, and that is no reason to miss the next leader
// later. Where links or disks are slow all are.
type peak struct {
	latest, former int64
	since          Instant // the window of latest began
	before         int64   // measured last
}

func (p *peak) roll(now Instant, window int64) {
	switch passed := int64(now - p.since); {
	case passed >= 2*window:
		p.latest, p.former, p.since = 0, 0, now
	case passed >= window:
		p.latest, p.former, p.since = 0, p.latest, now
	}
}

func (p *peak) add(now Instant, took, window int64) {
	p.roll(now, window)
	p.latest = max(p.latest, min(took, p.before))
	p.before = took
}

func (p peak) longest(now Instant, window int64) int64 {
	p.roll(now, window)
	return max(p.latest, p.former)
}

// electionTrips is how many round trips and syncs the timeout is worth: twice those of an election.
const electionTrips = 4

// awake is the time that windows are counted in: it stands still while the replica is quiet, as nothing is measured
// then. Else the first heartbeats after a long rest would be waited for as if all were fast.
func (r *Replica) awake() Instant { return r.now - r.patience.rested }

// window is for how long something that was measured counts, at least.
func (r *Replica) window() int64 { return 2 * r.longestTimeout() }

func (r *Replica) longestTimeout() int64 { return max(r.o.ElectionTimeout, r.o.MaxElectionTimeout) }

// adapts says whether the timeout may be any longer than ElectionTimeout.
func (r *Replica) adapts() bool { return r.o.MaxElectionTimeout > r.o.ElectionTimeout }

func (r *Replica) bounded(timeout int64) int64 {
	return max(r.o.ElectionTimeout, min(timeout, r.o.MaxElectionTimeout))
}

// timeout is the election timeout that this replica goes by now.
func (r *Replica) timeout() int64 {
	switch {
	case !r.adapts():
		return r.o.ElectionTimeout
	case r.role == Leader:
		return max(r.o.ElectionTimeout, r.patience.leading)
	}
	return r.bounded(max(r.patience.stated, r.ownTimeout()))
}

// ownTimeout is what this replica's disk and candidacies are worth.
func (r *Replica) ownTimeout() int64 {
	return max(electionTrips*r.patience.syncs.longest(r.awake(), r.window()), 2*r.patience.votes.longest(r.awake(), r.window()))
}

// timeoutOf is what a follower goes by, or is told to.
func (r *Replica) timeoutOf(p *progress) int64 { return max(r.timeout(), p.timeout) }

// measure sets, with each heartbeat, the timeouts of this leader and of each follower: by the round trips to the
// fastest majority, for a follower that is further away by its own.
func (r *Replica) measure() {
	for _, p := range r.followers {
		if p.tripRound == 0 || int64(r.now-p.tripAt) > r.longestTimeout() {
			p.tripRound, p.tripAt = r.round, r.now
		}
	}
	if !r.adapts() {
		return
	}
	window := r.window()
	majority := math.MaxInt64 - int64(r.held(func(r *Replica, id ReplicaID) uint64 {
		if id == r.o.Self.Replica {
			return math.MaxInt64
		}
		if p := r.follower(id); p != nil {
			if trip := p.trip.longest(r.awake(), window); trip > 0 {
				return uint64(math.MaxInt64 - trip)
			}
		}
		return 0
	}))
	syncs := r.patience.syncs.longest(r.awake(), window)
	if majority == math.MaxInt64 {
		majority = 0 // not known yet: what its election took counts
	}
	r.patience.leading = r.bounded(max(electionTrips*(majority+syncs), r.ownTimeout()))
	for _, p := range r.followers {
		p.timeout = r.bounded(electionTrips * (max(majority, p.trip.longest(r.awake(), window)) + syncs))
	}
}

// returned takes the round trip of a heartbeat.
func (r *Replica) returned(p *progress, round uint64) {
	if p.tripRound == 0 || round < p.tripRound {
		return
	}
	p.trip.add(r.awake(), int64(r.now-p.tripAt), r.window())
	p.tripRound = 0
}

// synced takes how long a save took, that neither stood still, or waited for space, nor waited for one that did.
func (r *Replica) synced(since Instant) {
	if r.full || r.stuck {
		r.patience.stood = r.now
	}
	if r.adapts() && since > r.patience.stood {
		r.patience.syncs.add(r.awake(), int64(r.now-since), r.window())
	}
}

// voted takes how long a vote took to come, also when the candidacy that asked for it had ended by then.
func (r *Replica) voted() {
	if r.adapts() && r.role != Leader && r.patience.asked != 0 {
		r.patience.votes.add(r.awake(), int64(r.now-r.patience.asked), r.window())
	}
}

// Timeout is the election timeout that the replica goes by now, in nanoseconds.
func (r *Replica) Timeout() int64 { return r.timeout() }
