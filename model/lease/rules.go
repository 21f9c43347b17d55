package main

// rules are the design of leases. With one of them switched off there must be a counterexample. Beside each
// stands what implements it.
type rules struct {
	committed bool // an entry grants a lease once it is committed: raft.(*Replica).granted
	append    bool // ... which counts from the append of the entry, not from its commit: grantBy, granted
	lessDrift bool // a holder counts less, by what clocks may run apart: leaseUntil
	defers    bool // a new leader commits nothing for the length of a lease: beginLease, advanceCommit
	election  bool // ... counted from its election, not from when it began the life in which it was elected: beginLease
	always    bool // ... though it led before, and has not heard of another leader since: becomeLeader
	handover  bool // ... and though a leader asked it to take over: beginLease
	holds     bool // who asks another to take over may keep its lease. Off, with handover: it has none meanwhile
	monotonic bool // both count by a clock that does not jump: Input.Now, not Input.Wall
	fresh     bool // a clock is read after the read has come, not before: internal/host (*group).step
	shortest  bool // a holder uses the shortest length that may be in force: leaseTerms
	longest   bool // who waits uses the longest that may have been: beginLease. A margin while shortest holds
}

// design has all rules on.
func design() rules {
	return rules{
		committed: true, append: true, lessDrift: true, defers: true, election: true, always: true, handover: true,
		holds: true, monotonic: true, fresh: true, shortest: true, longest: true,
	}
}

// bounds are how many there are of each: terms, entries of a log, restarts, jumps of a wall clock; and the
// length of a lease, which one entry may change to another; 0: none does.
type bounds struct{ terms, log, restarts, jumps, length, change uint8 }

// model is the transition system that explore visits.
type model struct {
	r      rules
	b      bounds
	orders [][]uint8
}
