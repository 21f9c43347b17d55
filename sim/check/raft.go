package check

import (
	"slices"

	"github.com/lockstep-rsm/lockstep/env"
)

// digest of the identity at an index; false: unknown, or below the base.
func (r *replica) digest(index uint64) (uint64, bool) {
	if index <= r.base || index > r.base+uint64(len(r.log)) {
		return 0, false
	}
	return r.log[index-r.base-1], true
}

func (r *replica) truncate(index uint64) {
	if index > r.base && index <= r.base+uint64(len(r.log)) {
		before := *r
		r.old, r.oldTo = &before, index
		r.log = slices.Clone(r.log[:index-r.base-1])
	}
	r.saved = min(r.saved, index-1)
}

// voteGranted: one vote per term, whatever crashed in between (R1).
func (c *Checker) voteGranted(host int, g *group, r *replica, e *env.Event) {
	key := vote{e.Term, e.Replica}
	if before, ok := g.votes[key]; ok && before != e.Peer {
		c.fail("R1: host %d group %d: voted for replica %d in term %d, before that for %d", host, g.id, e.Peer, e.Term, before)
	}
	g.votes[key] = e.Peer
	if e.Term >= r.voteTerm {
		r.voteTerm, r.voteFor = e.Term, e.Peer
	}
}

// leaderElected: one leader per term (R1), by durable votes (R9), holding
// all that is committed (R6).
func (c *Checker) leaderElected(host int, g *group, r *replica, e *env.Event) {
	if other, ok := g.leaders[e.Term]; ok && other != e.Replica {
		c.fail("R1: group %d: replicas %d and %d both lead term %d", g.id, other, e.Replica, e.Term)
	}
	g.leaders[e.Term] = e.Replica
	r.leads = e.Term
	for _, set := range c.voters(r) {
		votes := 0
		for _, m := range set {
			if g.votes[vote{e.Term, m.replica}] == e.Replica {
				votes++
			}
		}
		if votes <= len(set)/2 {
			c.fail("R9: host %d group %d: leads term %d with %d durable votes of %d voters", host, g.id, e.Term, votes, len(set))
		}
	}
	// Votes of an older term may come together late, when a newer leader has committed already: such a leader
	// holds what was committed before its term, and commits nothing.
	want, known := g.committed[g.newest]
	if have, ok := r.digest(g.newest); known && e.Term >= g.since && g.newest > r.base && (!ok || have != want) {
		c.fail("R6: host %d group %d: leads term %d without the committed entry %d", host, g.id, e.Term, g.newest)
	}
}

// entryAppended: entries of one index and term are one entry, and so is all before them, as the
// digest of an identity covers its predecessor's (R2).
func (c *Checker) entryAppended(host int, g *group, r *replica, e *env.Event) {
	last := r.base + uint64(len(r.log))
	if e.Index != last+1 {
		c.fail("R2: host %d group %d: appended entry %d after entry %d", host, g.id, e.Index, last)
		return
	}
	key := entry{e.Term, e.Index}
	if have, ok := g.entries[key]; ok && have != e.Digest {
		c.fail("R2: host %d group %d: entry %d of term %d is %016x, elsewhere %016x", host, g.id, e.Index, e.Term, e.Digest, have)
	}
	g.entries[key] = e.Digest
	if want, ok := g.committed[e.Index]; ok && want != e.Digest && e.Index <= r.commit {
		c.fail("R2: host %d group %d: entry %d is %016x, committed was %016x", host, g.id, e.Index, e.Digest, want)
	}
	r.log = append(r.log, e.Digest)
}

func (c *Checker) entriesSaved(host int, g *group, r *replica, e *env.Event) {
	if have, ok := r.digest(e.Index); ok && have != e.Digest {
		c.fail("A8: host %d group %d: saved entry %d as %016x, the log has %016x", host, g.id, e.Index, e.Digest, have)
	}
	r.saved = max(r.saved, e.Index)
	for o := r; o.old != nil; o = o.old {
		if e.Index >= o.oldTo {
			o.old = nil
			break
		}
	}
}

// commitAdvanced: what is committed is durable on a quorum, is one entry everywhere (R5).
func (c *Checker) commitAdvanced(host int, g *group, r *replica, e *env.Event) {
	c.monotone(host, g, "commit index", &r.commit, e.Index)
	if r.snapshot == e.Index {
		return // of the snapshot: the log here may be another that it replaces
	}
	digest, ok := r.digest(e.Index)
	if !ok {
		if e.Index > r.base {
			c.fail("host %d group %d: commit index %d is beyond the log's end %d", host, g.id, e.Index, r.base+uint64(len(r.log)))
		}
		return
	}
	if want, known := g.committed[e.Index]; known && want != digest {
		c.fail("R5: host %d group %d: committed entry %d is %016x, elsewhere %016x", host, g.id, e.Index, digest, want)
	}
	g.committed[e.Index] = digest
	if e.Index <= g.newest {
		return
	}
	if r.leads == e.Term && g.entries[entry{e.Term, e.Index}] != digest {
		c.fail("R5: host %d group %d: leads term %d and commits entry %d of an older term", host, g.id, e.Term, e.Index)
	}
	for i := g.newest + 1; i < e.Index; i++ { // of many that are committed at once the last is reported
		if d, ok := r.digest(i); ok {
			g.committed[i] = d
		}
	}
	g.newest, g.since = e.Index, e.Term
	c.probes.Commits++
	for _, set := range c.voters(r) {
		durable := 0
		for _, m := range set {
			at, ok := c.places[m.id]
			if !ok {
				continue
			}
			o := &g.replicas[at]
			have, ok := o.digest(e.Index)
			if o.id == m.replica && max(o.saved, o.under) >= e.Index && (have == digest && ok || o.base >= e.Index) {
				durable++
			}
		}
		if durable <= len(set)/2 {
			c.fail("R5: host %d group %d: committed entry %d is durable on %d of %d voters", host, g.id, e.Index, durable, len(set))
		}
	}
}

// entriesApplied: only what is committed and saved here is applied (R4), with equal results.
func (c *Checker) entriesApplied(host int, g *group, r *replica, e *env.Event) {
	c.monotone(host, g, "applied index", &r.applied, e.Index)
	c.equal(host, g, "chain of results at", g.chains, e.Index, e.Digest)
	if e.Index > r.commit || e.Index > r.saved {
		c.fail("R4: host %d group %d: applied %d, committed is %d, saved %d", host, g.id, e.Index, r.commit, r.saved)
	}
}

// installed: a snapshot stands for the log up to its index.
func (c *Checker) installed(host int, g *group, r *replica, e *env.Event) {
	if want, ok := g.committed[e.Index]; ok && want != e.Digest {
		c.fail("R5: host %d group %d: snapshot at %d is of entry %016x, committed was %016x", host, g.id, e.Index, e.Digest, want)
	}
	if len(r.inForce.outgoing) > 0 {
		c.probes.JointInstalled++
	}
	if r.snapshot != 0 && r.snapshot != e.Index {
		c.fail("host %d group %d: snapshot at %d, commit index %d", host, g.id, e.Index, r.snapshot)
	}
	r.snapshot = 0
	before := *r
	if have, ok := r.digest(e.Index); ok && have == e.Digest {
		r.log = append([]uint64(nil), r.log[e.Index-r.base:]...) // the suffix stays
	} else {
		r.log, r.saved = nil, e.Index
	}
	r.base, r.saved = e.Index, max(r.saved, e.Index)
	r.old, r.oldTo = &before, e.Index
}

// recovered: what was saved is there after a restart, as the disk has it.
func (c *Checker) recovered(host int, g *group, r *replica, e *env.Event) {
	stopped := r.stopped
	r.term, r.stopped = e.Term, false
	if c.damaged[host] && e.Text != "" {
		c.admitted(host, g, r, e)
		return
	}
	if e.Term < r.voteTerm || e.Term == r.voteTerm && e.Peer != r.voteFor {
		c.fail("R9: host %d group %d: restarted in term %d with a vote for %d, had voted for %d in term %d",
			host, g.id, e.Term, e.Peer, r.voteFor, r.voteTerm)
	}
	if e.Peer != 0 {
		c.voteGranted(host, g, r, e) // durable, and the process ended before it said so
	}
	for o := r; o != nil; o = o.old {
		have, ok := o.digest(e.Index)
		if e.Index == o.base { // nothing behind it was durable
			have, ok = g.committed[e.Index]
			if e.Index == 0 { // one that had joined, and got nothing that is durable
				have, ok = e.Digest, true
			}
		}
		if ok && have == e.Digest {
			r.base, r.log, r.saved = o.base, o.log, o.saved
			break
		}
	}
	r.old = nil
	last := r.base + uint64(len(r.log))
	if last == 0 && e.Index == 0 {
		return // it has joined, and got nothing yet
	}
	if last == 0 { // its first life with the group: the founding entry
		c.probes.RecoveredEmpty++
		r.log, r.saved = append(r.log, e.Digest), e.Index
		g.entries[entry{e.Term, e.Index}] = e.Digest
		c.equal(host, g, "founding entry", g.committed, e.Index, e.Digest)
		return
	}
	if e.Index < r.saved {
		c.fail("R7: host %d group %d: restarted with a log through %d, had saved through %d", host, g.id, e.Index, r.saved)
		return
	}
	if want, ok := g.committed[e.Index]; (c.damaged[host] || stopped) && e.Index > last && ok && want == e.Digest {
		r.base, r.log, r.saved = e.Index, nil, e.Index // a snapshot that came while the replica was stopped
		return
	}
	if have, ok := r.digest(e.Index); e.Index > last || ok && have != e.Digest {
		c.fail("R7: host %d group %d: restarted with entry %d as %016x, had appended %016x through %d", host, g.id, e.Index, e.Digest, have, last)
		return
	}
	if e.Index > r.saved {
		c.probes.RecoveredMore++
	}
	r.log = r.log[:e.Index-r.base]
	r.saved = e.Index
}

// admitted: a damaged log has lost its end, and says so. What it still has is what it had.
func (c *Checker) admitted(host int, g *group, r *replica, e *env.Event) {
	c.probes.Admitted++
	last := r.base + uint64(len(r.log))
	have, ok := r.digest(e.Index)
	switch {
	case e.Index > last || ok && have != e.Digest:
		c.fail("R7: host %d group %d: restarted damaged with entry %d as %016x, had appended %016x through %d", host, g.id, e.Index, e.Digest, have, last)
		return
	case ok: // read from the disk: also what the process did not live to report as saved
		r.log = r.log[:e.Index-r.base]
	default: // before the snapshot that the log began from
		r.base, r.log = e.Index, nil
	}
	r.saved, r.old = e.Index, nil
}
