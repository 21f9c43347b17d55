package raft

import "iter"

// Role of the replica now.
func (r *Replica) Role() Role { return r.role }

// Term the replica is in.
func (r *Replica) Term() Term { return r.hard.Term }

// Leader of the term; 0: unknown.
func (r *Replica) Leader() ReplicaID { return r.leader }

// HandingOver says whether a leader waits for another replica to take its place: it refuses proposals, for an
// election timeout at most.
func (r *Replica) HandingOver() bool { return r.handover.target != 0 }

// Heir is who is asked to take over, while HandingOver; 0: nobody.
func (r *Replica) Heir() ReplicaID { return r.handover.target }

// Commit is the highest index known to be committed.
func (r *Replica) Commit() Index { return r.commit }

// Saved is the highest index through which the log is durable here.
func (r *Replica) Saved() Index { return r.log.saved }

// Handed is through which index entries were given to the machine, or a snapshot that holds them.
func (r *Replica) Handed() Index { return r.applying }

// Committed yields the configurations of the log, from its base on, that are known to be committed, in
// order. Read only, valid until the next Step.
func (r *Replica) Committed() iter.Seq[*Configuration] {
	return func(yield func(c *Configuration) bool) {
		for _, c := range r.configurations {
			if c.Index > r.commit || !yield(c) {
				return
			}
		}
	}
}

// Settled says whether a leader has committed an entry of its term: what it then holds to be in
// force, no earlier leader's log takes back.
func (r *Replica) Settled() bool { return r.role == Leader && r.commit >= r.firstOwn }

// CommittedConfiguration is the newest that is known to be committed here; nil: none. Read only,
// valid until the next Step.
func (r *Replica) CommittedConfiguration() *Configuration {
	for i := len(r.configurations) - 1; i >= 0; i-- {
		if c := r.configurations[i]; c.Index <= r.commit && len(c.Voters) > 0 {
			return c
		}
	}
	return nil
}

// Followers yields every follower of a leader, and through which index its log is known to be
// durable and equal to ours; none on others.
func (r *Replica) Followers() iter.Seq2[Member, Index] {
	return func(yield func(m Member, match Index) bool) {
		for _, p := range r.followers {
			if r.role != Leader || !yield(p.member, p.match) {
				return
			}
		}
	}
}

// MarkAhead says whether a mark is on its way to the machine already: another one is of no more use.
func (r *Replica) MarkAhead() bool { return r.marker.last > r.applied }

// Silent is how many voters a leader has not heard from within an election timeout; 0 on others.
func (r *Replica) Silent() int {
	n := 0
	for _, p := range r.followers {
		if r.role == Leader && !p.learner && !r.recent(p) {
			n++
		}
	}
	return n
}
