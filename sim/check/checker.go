package check

import "github.com/lockstep-rsm/lockstep/env"

// Fail is told of one broken promise, as fmt.Sprintf would be.
type Fail func(format string, args ...any)

// A Checker follows the events of all replicas of a cluster. Who votes is what a replica says to be in
// force for it.
type Checker struct {
	hosts  int
	fail   Fail
	groups map[uint64]*group // looked up, never iterated
	counts [1 << 8]uint64    // by kind
	probes Probes

	damaged []bool // by host: its disk was spoilt
	ill     []bool // by host: the machine that it has now was spoilt
	old     []bool // by host: its build may be too old for what its replicas get

	places map[uint64]int // by the id that the cluster gives a host: which host of the simulation
}

// Probes are rare situations that were met, beside those that an event kind of its own tells of.
type Probes struct {
	Commits        uint64 // first reports of a commit index
	RecoveredEmpty uint64 // lives that began with nothing but the founding entry
	RecoveredMore  uint64 // lives that found more than had been reported saved
	Deposed        uint64 // leaders that stepped down
	Removed        uint64 // replicas that ended
	Joint          uint64 // joint configurations that leaders appended
	LeftByAnother  uint64 // of which another leader appended what follows
	Promoted       uint64 // learners that became voters
	LeaderRemoved  uint64 // leaders that stepped down since they vote no more
	JointInstalled uint64 // snapshots that were installed with a joint configuration
	Admitted       uint64 // lives of a damaged replica that said so
	Stopped        uint64 // damaged replicas that stopped
	Unfit          uint64 // replicas whose machine was spoilt, and taken out of service
}

// New makes a Checker for a cluster of so many hosts, numbered from 0.
func New(hosts int, fail Fail) *Checker {
	c := &Checker{hosts: hosts, fail: fail, groups: map[uint64]*group{}, damaged: make([]bool, hosts), ill: make([]bool, hosts), old: make([]bool, hosts), places: map[uint64]int{}}
	for host := range hosts {
		c.places[uint64(host)+1] = host // until it says another
	}
	return c
}

// Damaged says that the disk of a host was spoilt. Its replicas may stop from now on, and may lack what they
// had saved if they say so; what they tell clients has to be right.
func (c *Checker) Damaged(host int) { c.damaged[host] = true }

// Ail says that the machine that a host's replica of group 1 has now was spoilt: until it has another one it may
// differ at marks, and be taken out of service.
func (c *Checker) Ail(host int) { c.ill[host] = true }

// Outdated says whether a host's build is one that may be too old for an entry: its replicas stop there, as they have to.
func (c *Checker) Outdated(host int, old bool) { c.old[host] = old }

// Ill says whether the replica still has the machine that was spoilt.
func (c *Checker) Ill(host int) bool { return c.ill[host] }

// Count is how many events of a kind were reported.
func (c *Checker) Count(k env.EventKind) uint64 { return c.counts[k] }

// Probes met so far.
func (c *Checker) Probes() Probes { return c.probes }

// group is what is known of one replicated log.
type group struct {
	id        uint64
	replicas  []replica
	leaders   map[uint64]uint64 // by term: the replica
	votes     map[vote]uint64   // durable: whom for
	entries   map[entry]uint64  // digest of the identity at (term, index): R2
	committed map[uint64]uint64 // digest by index
	newest    uint64            // highest committed index
	since     uint64            // the term in which that was first known to be committed
	chains    map[uint64]uint64 // of results, by index
	marks     map[uint64]uint64 // digests by index
	joint     uint64            // the term in which the newest joint configuration began
}

type vote struct{ term, replica uint64 }

type entry struct{ term, index uint64 }

// replica is what one host's replica has reported. The log outlives its lives: entries that a crash
// lost are written over by what is appended in their place.
type replica struct {
	id       uint64
	stopped  bool // it says no more in this life
	removed  bool // it says no more: what its lane still executes is nobody's
	inForce  configuration
	term     uint64
	commit   uint64
	applied  uint64
	leads    uint64 // the term it leads; 0: none
	snapshot uint64 // where the log was cut beyond the commit index: a commit and a snapshot there are reported next

	base  uint64   // log[0] is at base+1
	log   []uint64 // digests
	saved uint64   // durable through here
	under uint64   // the replica stopped when it had appended so far: what was on its way to the disk is told of no more
	// What the disk may still hold instead, until an entry from oldTo on is durable: a truncation, and the
	// adoption of a snapshot, are in memory first. It may have an older one in its turn.
	old   *replica
	oldTo uint64

	voteTerm, voteFor uint64
}

func (c *Checker) group(id uint64) *group {
	g := c.groups[id]
	if g == nil {
		g = &group{
			id: id, replicas: make([]replica, c.hosts), leaders: map[uint64]uint64{}, votes: map[vote]uint64{},
			entries: map[entry]uint64{}, committed: map[uint64]uint64{}, chains: map[uint64]uint64{}, marks: map[uint64]uint64{},
		}
		c.groups[id] = g
	}
	return g
}

// Crashed says that the process on a host has ended: what it had not saved may be gone.
func (c *Checker) Crashed(host int) {
	c.ill[host] = false
	for _, id := range []uint64{0, 1} {
		if g := c.groups[id]; g != nil {
			r := &g.replicas[host]
			r.term, r.commit, r.applied, r.leads, r.snapshot, r.under = 0, 0, 0, 0, 0, 0
		}
	}
}

// Observe takes one event of the replica on a host.
func (c *Checker) Observe(host int, e *env.Event) {
	c.counts[e.Kind]++
	switch e.Kind {
	case env.WALSynced, env.LinkUp, env.LinkLost, env.CallBusy, env.RoundTrip, env.ReplicaDiverged, env.LogFailed, env.EntriesReadBack, env.CommandRepeated:
		return // of no replica's log, or told again by another event
	}
	g, r := c.replica(host, e)
	if !r.speaks(e) {
		return
	}
	if r.snapshot != 0 && e.Kind != env.SnapshotInstalled && e.Kind != env.CommitAdvanced && e.Kind != env.Configured {
		c.fail("host %d group %d: the log was cut at %d, beyond the commit index %d, and no snapshot is there", host, g.id, r.snapshot, r.commit)
		r.snapshot = 0
	}
	switch e.Kind {
	case env.TermChanged:
		c.monotone(host, g, "term", &r.term, e.Term)
	case env.VoteGranted:
		c.voteGranted(host, g, r, e)
	case env.LeaderElected:
		c.leaderElected(host, g, r, e)
	case env.SteppedDown:
		c.steppedDown(r, e)
	case env.EntryAppended:
		c.entryAppended(host, g, r, e)
	case env.LogTruncated:
		r.truncate(e.Index)
		c.atLeast(host, g, "first truncated index", e.Index, "committed index here, plus one", r.commit+1)
	case env.LogCompacted:
		if at := e.Index - 1; at > r.commit {
			// A replica that began from its own snapshot knows that to be committed, and need not say so.
			if have, ok := r.digest(at); !ok || have != g.committed[at] {
				r.snapshot = at
			}
		}
	case env.EntriesSaved:
		c.entriesSaved(host, g, r, e)
	case env.CommitAdvanced:
		c.commitAdvanced(host, g, r, e)
	case env.EntriesApplied:
		c.entriesApplied(host, g, r, e)
	case env.MarkReported:
		if !c.ill[host] || g.id != 1 {
			c.equal(host, g, "digest of the state at mark", g.marks, e.Index, e.Digest)
		}
	case env.SnapshotInstalled:
		if e.Term != 0 { // the replica's word; the lane's comes later, with the chain
			c.installed(host, g, r, e)
		} else {
			c.equal(host, g, "chain of results at", g.chains, e.Index, e.Digest)
			r.applied = max(r.applied, e.Index)
		}
	case env.LogRecovered:
		c.recovered(host, g, r, e)
	case env.Configured:
		c.configured(g, r, e)
	case env.ReplicaRemoved:
		c.ended(r)
		c.ill[host] = c.ill[host] && g.id != 1
	case env.ReplicaUnfit, env.ReplicaRebuilt, env.ReplicaStopped:
		c.service(host, g, r, e)
	}
}

// service: a machine is taken out of service, or a replica stops, only where it was spoilt. One that was made anew
// begins where an agreed snapshot has it, or before everything.
func (c *Checker) service(host int, g *group, r *replica, e *env.Event) {
	switch {
	case e.Kind == env.ReplicaRebuilt:
		if e.Index > 0 {
			c.equal(host, g, "chain of results at", g.chains, e.Index, e.Digest)
		}
		r.applied = e.Index
		c.ill[host] = c.ill[host] && g.id != 1
	case e.Kind == env.ReplicaUnfit && (c.damaged[host] || c.ill[host] && g.id == 1):
		c.probes.Unfit++
	case e.Kind == env.ReplicaStopped && (c.damaged[host] || c.old[host] || c.ill[host] && g.id == 1): // an ill one when its log is full
		c.probes.Stopped++
		r.under, r.stopped = r.base+uint64(len(r.log)), true
	default:
		c.fail("host %d group %d: replica stopped: %s", host, g.id, e.Text)
	}
}

// replica is the one that an event is of.
func (c *Checker) replica(host int, e *env.Event) (*group, *replica) {
	if e.Host != 0 {
		c.places[e.Host] = host
	}
	g := c.group(e.Group)
	return g, &g.replicas[host]
}

// speaks says whether the event is of a replica that lives, and which that is from now on.
func (r *replica) speaks(e *env.Event) bool {
	switch {
	case e.Kind == env.LogRecovered && e.Replica != r.id && r.id != 0: // another, in the place of one that was removed
		*r = replica{}
	case e.Kind == env.LogRecovered:
		r.removed = false // a crash came before its end was durable
	case r.removed:
		return false
	}
	r.id = e.Replica
	return true
}

// ended notes that a replica says no more.
func (c *Checker) ended(r *replica) {
	r.removed, r.leads = true, 0
	c.probes.Removed++
}

// steppedDown counts leaderships that end, and why.
func (c *Checker) steppedDown(r *replica, e *env.Event) {
	c.probes.Deposed++
	if e.Text == "no voter any more" {
		c.probes.LeaderRemoved++
	}
	r.leads = 0
}

// monotone refuses a step back within one life.
func (c *Checker) monotone(host int, g *group, what string, have *uint64, now uint64) {
	if now < *have {
		c.fail("host %d group %d: %s went back from %d to %d", host, g.id, what, *have, now)
	}
	*have = now
}

func (c *Checker) atLeast(host int, g *group, what string, have uint64, than string, least uint64) {
	if have < least {
		c.fail("host %d group %d: %s is %d, below the %s, %d", host, g.id, what, have, than, least)
	}
}

// equal refuses a second value for one key.
func (c *Checker) equal(host int, g *group, what string, known map[uint64]uint64, key, value uint64) {
	if have, ok := known[key]; ok && have != value {
		c.fail("host %d group %d: %s %d is %016x, elsewhere %016x", host, g.id, what, key, value, have)
	}
	known[key] = value
}

// Applied is the newest index that the replica of group 1 on a host has executed, and the chain of
// results there.
func (c *Checker) Applied(host int) (index, chain uint64) {
	g := c.group(1)
	r := &g.replicas[host]
	return r.applied, g.chains[r.applied]
}

// Committed is the newest index of group 1 that any replica knows to be committed.
func (c *Checker) Committed() uint64 { return c.group(1).newest }
