package raft

// A leader leads as long as it can commit. Two things keep it from that which another leader would not suffer
// from: its own disk (onStorageStuck) and its own way to the others, when heartbeats pass and entries do not.
// What a majority has received and cannot write is another matter: a vote needs the same disks, so that
// nobody could be elected in its place, while it still confirms reads.

// arrival is how a leader sees that what it appends is received.
type arrival struct {
	wanted Index   // a majority has to receive it
	since  Instant // nobody has received anything since
	sum    uint64  // of what the followers have received
}

// slowestLink is how many bytes in a second are sent at least: so much longer a leader waits for long
// entries to arrive.
const slowestLink = 4 << 20

// receivedOf is what a voter is known to hold, on disk or not. One that waits for a snapshot is fed
// otherwise.
func receivedOf(r *Replica, id ReplicaID) uint64 {
	p := r.follower(id)
	switch {
	case id == r.o.Self.Replica || p != nil && p.pace == snapshotted:
		return uint64(r.log.last())
	case p == nil:
		return 0
	}
	return uint64(p.received)
}

// appendsArrive says whether a majority has received what was in the log two election timeouts ago, or
// somebody something since.
func (r *Replica) appendsArrive() bool {
	a, sum := &r.arrival, uint64(0)
	for _, p := range r.followers {
		sum += uint64(p.received)
	}
	if Index(r.held(receivedOf)) >= a.wanted || sum != a.sum {
		*a = arrival{wanted: r.log.last(), since: r.now, sum: sum}
		return true
	}
	patience := 2*r.timeout() + r.uncommitted*1000/slowestLink*1_000_000
	return r.now-a.since <= Instant(patience)
}
