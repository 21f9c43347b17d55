package raft

// Leases: a leader answers reads without a round while no other can commit. One is granted by a committed
// entry alone, and counts from the moment at which the leader appended it; it leans neither on heartbeats
// nor on the patience of followers.
//
//	leader of term 5   append ──── committed: leased from the append on ────▶ length, less what clocks drift
//	leader of term 7              elected ── commits nothing for the whole length ──▶ commits
//
// An entry of term 5 is on a majority, of which one voted in term 7 after it had the entry: so the later
// leader was elected after the append. It waits the whole length by its own clock, the holder counts less by
// as much as their clocks may run apart (Settings.MaxDriftPPM). Settings.Lease is in the configuration; a
// holder uses the shortest that may be in force, who waits the longest that may have been.
type lease struct {
	granting []grant // own entries that are not known to be committed, few of them
	from     Instant // when the newest committed one was appended; 0: none in this leadership
	defers   Instant // until then nothing is committed
}

// grant is an entry that will grant a lease.
type grant struct {
	index Index
	at    Instant
}

// leaseTerms are the shortest lease, and the largest drift, of the configurations of which one is in force for
// every later leader.
func (r *Replica) leaseTerms() (length int64, ppm uint32) {
	for i := len(r.configurations) - 1; i >= 0; i-- {
		c := r.configurations[i]
		if i == len(r.configurations)-1 || c.Settings.Lease < length {
			length = c.Settings.Lease
		}
		ppm = max(ppm, c.Settings.MaxDriftPPM)
		if c.Index <= r.commit {
			break
		}
	}
	return length, ppm
}

// leaseUntil is when this leader's lease ends by its own clock; 0: it has none.
func (r *Replica) leaseUntil() Instant {
	length, ppm := r.leaseTerms()
	if r.role != Leader || r.lease.from == 0 || r.commit < r.firstOwn || length <= 0 {
		return 0
	}
	return r.lease.from + Instant(length-length/1_000_000*int64(ppm)-length%1_000_000*int64(ppm)/1_000_000-1)
}

// leased says whether no other replica can have committed anything yet.
func (r *Replica) leased() bool { return r.now < r.leaseUntil() }

// beginLease of a new leader: another one may still have a lease, even if it has asked this replica to take
// its place.
func (r *Replica) beginLease() {
	r.lease = lease{}
	longest := int64(0)
	for i := range r.configurations {
		longest = max(longest, r.configurations[i].Settings.Lease)
	}
	if longest > 0 {
		r.lease.defers = r.now + Instant(longest)
	}
}

// defersCommit says whether a former leader's lease may not be over.
func (r *Replica) defersCommit() bool { return r.now < r.lease.defers }

// grantBy notes an entry of this leader. Between two that are kept there is a part of the lease, so that
// they are few.
func (r *Replica) grantBy(i Index) {
	length, _ := r.leaseTerms()
	g := r.lease.granting
	if length <= 0 || len(g) > 0 && r.now-g[len(g)-1].at < Instant(length/16) {
		return
	}
	r.lease.granting = append(g, grant{index: i, at: r.now})
}

// granted takes note of a commit.
func (r *Replica) granted() {
	g := r.lease.granting
	n := 0
	for n < len(g) && g[n].index <= r.commit {
		r.lease.from = g[n].at
		n++
	}
	r.lease.granting = g[:copy(g, g[n:])]
}

// renewLease appends an entry that will grant one, if nothing else on its way does: reads ask for it, so
// that a group that nobody reads costs nothing.
func (r *Replica) renewLease() {
	length, _ := r.leaseTerms()
	if length <= 0 || len(r.lease.granting) > 0 || r.handover.target != 0 || r.commit < r.firstOwn ||
		r.leaseUntil()-r.now > Instant(length/2) || r.full {
		return
	}
	r.append(KindEmpty, nil, emptyPayload)
}
