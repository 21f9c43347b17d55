package raft

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// oracle watches a world from outside and knows what must never be (thesis figure 3.2).
type oracle struct {
	t         *testing.T
	w         *world
	leaders   map[Term]ReplicaID
	entries   map[Position]Digest
	committed map[Index]Digest
	applied   map[Index]Digest
	commit    Index
	votes     map[[2]uint64]ReplicaID // durable: (replica, term)
	reads     map[uint64]Index        // token: what had been committed when it was asked
	terms     map[ReplicaID]Term
	times     map[ReplicaID]Time
	needs     [][2]ReplicaID // leader, follower without entries
	later     Index          // entries that were appended between the event looked at and now
	count     map[string]int
}

func newOracle(t *testing.T, w *world) *oracle {
	o := &oracle{
		t: t, w: w, leaders: map[Term]ReplicaID{}, entries: map[Position]Digest{}, committed: map[Index]Digest{},
		applied: map[Index]Digest{}, votes: map[[2]uint64]ReplicaID{}, reads: map[uint64]Index{},
		terms: map[ReplicaID]Term{}, times: map[ReplicaID]Time{}, count: map[string]int{},
	}
	w.seen = o.observe
	return o
}

// observe checks one Ready.
func (o *oracle) observe(h *host, rd *Ready) {
	if rd.Failed != nil {
		o.t.Fatalf("replica %d failed: %v", h.self.Replica, rd.Failed)
	}
	if rd.Diverged != nil {
		o.t.Fatalf("replica %d diverged at mark %d", h.self.Replica, rd.Diverged.Index)
	}
	for i, e := range rd.Events {
		o.later = 0
		for _, after := range rd.Events[i+1:] {
			if after.Kind == evEntryAppended {
				o.later++
			}
		}
		o.event(h, e)
	}
	for _, e := range rd.Apply {
		if was, ok := o.applied[e.Index]; ok && was != e.Sum {
			o.t.Fatalf("state machine safety: entry %d applied as %v and as %v", e.Index, was, e.Sum)
		}
		o.applied[e.Index] = e.Sum
		if !h.disk.holds(e.Index, e.Sum) {
			o.t.Fatalf("replica %d applies entry %d before its disk has it", h.self.Replica, e.Index)
		}
	}
	if rd.GivenUp > 0 {
		o.count["given up"]++
	}
	for _, m := range append(rd.Messages, rd.AfterSave...) {
		o.message(m)
	}
	for _, m := range rd.Messages {
		o.early(h, m)
	}
	for _, p := range rd.Proposed {
		if p.Ref == 1 {
			o.count[[...]string{
				Appended: "changed", NotLeader: "change", Transferring: "change while handing over", Unsettled: "change unsettled",
				Invalid: "change invalid", InFlight: "change in flight", Outdated: "change outdated", NoVoters: "change without voters",
				NotHeard: "change to silent voters",
			}[p.Refused]]++
		}
	}
	for _, q := range rd.Reads {
		asked, ok := o.reads[q.Token]
		if !ok {
			o.t.Fatalf("read %d answered twice, or never asked", q.Token)
		}
		delete(o.reads, q.Token)
		if q.Failed {
			o.count["read failed"]++
			continue
		}
		o.count["read"]++
		if q.Index < asked {
			o.t.Fatalf("stale read: index %d, but %d had been committed", q.Index, asked)
		}
	}
	for _, f := range rd.NeedSnapshot {
		o.needs = append(o.needs, [2]ReplicaID{h.self.Replica, f})
	}
}

func (o *oracle) message(m Message) {
	size := int64(0)
	for i := range m.Entries {
		size += m.Entries[i].size()
	}
	if len(m.Entries) > 1 && size > o.w.options.MaxAppendBytes {
		o.t.Fatalf("append of %d bytes", size)
	}
}

// early checks what may leave before the save: nothing that the disk does not know.
func (o *oracle) early(h *host, m Message) {
	switch {
	case m.Type == MsgVote && h.disk.hard != (HardState{m.Term, m.From}):
		o.t.Fatalf("vote request of term %d left before the candidacy was durable", m.Term)
	case m.Type == MsgVoteReply && !m.Reject && h.disk.hard != (HardState{m.Term, m.To}):
		o.t.Fatalf("vote of term %d left before it was durable", m.Term)
	case m.Type == MsgAppendReply && !m.Reject && m.Index > h.disk.last():
		o.t.Fatalf("replica %d acknowledged entry %d before it was durable", h.self.Replica, m.Index)
	}
}

func (o *oracle) event(h *host, e Event) {
	id := h.self.Replica
	switch e.Kind {
	case evTermChanged:
		if e.Term <= o.terms[id] {
			o.t.Fatalf("replica %d: term %d after %d", id, e.Term, o.terms[id])
		}
	case evVoteGranted:
		key := [2]uint64{uint64(id), uint64(e.Term)}
		if was, ok := o.votes[key]; ok && was != e.Peer {
			o.t.Fatalf("replica %d voted for %d and %d in term %d", id, was, e.Peer, e.Term)
		}
		o.votes[key] = e.Peer
	case evLeaderElected:
		o.elected(h, e.Term)
		if h.r.yields() && e.Text == "election" {
			o.count["elected with priority 0"]++
		}
	case evSteppedDown:
		o.count["stepped down: "+e.Text]++
	case evEntryAppended:
		o.configured(h, e)
		p := Position{e.Term, e.Index}
		if was, ok := o.entries[p]; ok && was != e.Digest {
			o.t.Fatalf("log matching: entry %v is %v and %v", p, was, e.Digest)
		}
		o.entries[p] = e.Digest
	case evPreferred:
		o.count["preferred"]++
	case evWentQuiet:
		o.count["quiet"]++
	case evLogTruncated:
		o.count["truncated"]++
	case evCommitAdvanced:
		o.commitAt(h, e.Index)
	case evSnapshotInstalled:
		o.count["installed"]++
		if h.r.commit > e.Index {
			o.count["installed in place of what waits"]++
		}
		if h.r.configurations[0].Joint() {
			o.count["installed while joint"]++
		}
		if sum, ok := o.committed[e.Index]; !ok || sum != e.Digest {
			o.t.Fatalf("replica %d installed entry %d that was not committed", id, e.Index)
		}
	}
}

// configured counts the steps of changes that leaders take by themselves.
func (o *oracle) configured(h *host, e Event) {
	c := h.r.Configuration()
	if h.r.role != Leader || c.Index != e.Index {
		return
	}
	before := h.r.configurations[len(h.r.configurations)-2]
	switch at, _, ok := h.r.log.position(before.Index); {
	case len(c.Next) > 0:
		o.count["learning"]++
	case c.Joint() && len(before.Next) > 0:
		o.count["promoted"]++
	case before.Joint() && ok && at.Term != e.Term:
		o.count["joint left by another leader"]++
	case before.Joint():
		o.count["joint left"]++
	}
}

func (o *oracle) elected(h *host, term Term) {
	id := h.self.Replica
	o.count["elected"]++
	if was, ok := o.leaders[term]; ok && was != id {
		o.t.Fatalf("election safety: replicas %d and %d lead term %d", was, id, term)
	}
	o.leaders[term] = id
	for i := h.r.log.base.Index; i <= o.commit; i++ {
		if _, sum, ok := h.r.log.position(i); i > 0 && (!ok || sum != o.committed[i]) {
			o.t.Fatalf("leader completeness: replica %d leads term %d without committed entry %d", id, term, i)
		}
	}
}

// commitAt: what one replica calls committed is on the disks of a majority, and stays what it is.
func (o *oracle) commitAt(h *host, i Index) {
	for k := max(o.commit+1, h.r.log.first()); k <= i; k++ {
		_, sum, ok := h.r.log.position(k)
		if !ok {
			break
		}
		o.committed[k] = sum
		if c := o.inForce(h); h.r.role == Leader && (!o.majority(c.Voters, k, sum) || c.Joint() && !o.majority(c.Outgoing, k, sum)) {
			o.t.Fatalf("entry %d is called committed by replica %d, but is not on the disks of a majority", k, h.self.Replica)
		}
	}
	if _, sum, ok := h.r.log.position(i); ok && sum != o.committed[i] {
		o.t.Fatalf("replica %d commits another entry %d", h.self.Replica, i)
	}
	o.commit = max(o.commit, i)
}

// inForce is a leader's configuration as it was at the event looked at.
func (o *oracle) inForce(h *host) *Configuration {
	i := len(h.r.configurations) - 1
	for i > 0 && h.r.configurations[i].Index > h.r.log.last()-o.later {
		i--
	}
	return h.r.configurations[i]
}

func (o *oracle) majority(voters []Member, k Index, sum Digest) bool {
	n := 0
	for _, m := range voters {
		if o.w.host(m.Replica).disk.holds(k, sum) {
			n++
		}
	}
	return n > len(voters)/2
}

// simulate throws dice for one seed.
func simulate(t *testing.T, seed uint64, steps int) map[string]int {
	g := rand.New(rand.NewPCG(seed, 1))
	n := []int{1, 3, 3, 3, 5}[g.IntN(5)]
	var c Configuration
	for i := 1; i <= n; i++ {
		c.Voters = append(c.Voters, member(ReplicaID(i)))
	}
	hosts := n
	if n == 3 && g.IntN(3) == 0 {
		c.Learners = members(4)
		hosts = 4
	}
	if n == 5 && g.IntN(3) == 0 {
		c.Voters, c.Outgoing = members(1, 2, 3), members(3, 4, 5)
	}
	c.NextReplica = ReplicaID(hosts + 1)
	if g.IntN(2) == 0 {
		c.Priorities = drawPriorities(g, c.Voters)
	}
	leases := g.IntN(2) == 0
	if leases {
		c.Settings.Lease, c.Settings.MaxDriftPPM = pick(g, []int64{testElection / 2, 2 * testElection}), 500_000
	}
	opt := testOptions()
	opt.Seed = seed
	opt.MarkEvery = Index(2 + g.IntN(16))
	if g.IntN(2) == 0 {
		opt.MaxSaveBytes, opt.MarkBytes = int64(1+g.IntN(600)), int64(1+g.IntN(600))
	}
	opt.Quiet = g.IntN(2) == 0
	opt.MaxElectionTimeout = []int64{0, 2 * testElection, 8 * testElection}[seed%3]
	w := &world{options: opt, cut: map[[2]ReplicaID]bool{}, now: 1, floors: g.IntN(4) > 0}
	o := newOracle(t, w)
	founding := makeEntry(nil, 1, KindConfiguration, encodeConfiguration(&c))
	o.committed[1], o.commit = founding.Sum, 0
	for i := 1; i <= hosts; i++ {
		h := &host{self: member(ReplicaID(i))}
		if leases {
			h.drift = pick(g, []int64{-200_000, 0, 200_000}) // 1.2 to 0.8 is half as fast again
		}
		h.disk.hard, h.disk.entries = HardState{Term: 1}, []Entry{founding}
		w.hosts = append(w.hosts, h)
		w.start(h)
	}
	d := dice{g: g, w: w, o: o, quiet: g.IntN(2) == 0}
	defer func() {
		if e := recover(); e != nil {
			t.Fatalf("seed %d: %v", seed, e)
		}
	}()
	for range steps {
		d.throw()
	}
	d.heal()
	return o.count
}

// drawPriorities gives some members another priority than they have by default.
func drawPriorities(g *rand.Rand, of []Member) (list []Priority) {
	for _, m := range of {
		if value := uint8(g.IntN(4)); value != DefaultPriority {
			list = append(list, Priority{Host: m.Host, Value: value})
		}
	}
	return list
}

type dice struct {
	g     *rand.Rand
	w     *world
	o     *oracle
	token uint64
	quiet bool // fewer crashes and losses, so that more is committed
}

func (d *dice) throw() {
	w, g := d.w, d.g
	h := pick(g, w.hosts)
	switch p := g.IntN(1000); {
	case p < 450:
		d.mail()
	case p < 600:
		w.clock(int64(g.IntN(8_000_000)))
	case p < 760:
		w.sync(h, true)
	case p < 850:
		w.execute(h, 1+g.IntN(8))
	case p < 930:
		if l := w.leader(); l != nil && g.IntN(4) > 0 {
			h = l
		}
		data := fmt.Appendf(nil, "%d", g.Uint64())
		e := makeEntry(nil, 0, KindCommands, data)
		w.step(h, Input{Kind: InPropose, Proposal: Proposal{Kind: KindCommands, Data: data, Payload: e.Payload}})
	case p < 955:
		d.read(h)
	case p < 960:
		d.change()
	case p < 961:
		w.settle(2 * testElection) // nobody asks for anything
	default:
		d.fault(h)
	}
}

func (d *dice) mail() {
	if len(d.w.net) == 0 {
		return
	}
	k := d.g.IntN(min(len(d.w.net), 4)) // mostly in order
	if d.g.IntN(20) == 0 {
		k = d.g.IntN(len(d.w.net))
	}
	m := d.w.net[k]
	if !d.quiet && d.g.IntN(20) == 0 {
		d.w.deliver(m) // and once more
		return
	}
	d.w.net = append(d.w.net[:k:k], d.w.net[k+1:]...)
	if !d.quiet && d.g.IntN(15) == 0 {
		return
	}
	d.w.deliver(m)
}

func (d *dice) read(h *host) {
	if h.down {
		return
	}
	d.token++
	d.o.reads[d.token] = d.o.commit
	leased := d.g.IntN(2) == 0
	if leased && h.r.role == Leader && h.r.leased() {
		d.o.count["leased"]++
	}
	d.w.step(h, Input{Kind: InRead, Token: d.token, Leased: leased})
}

// change asks for other members, among them now and then a new one. Who is named no more is never
// named again; its replica lives on and does not know.
func (d *dice) change() {
	l := d.w.leader()
	if l == nil {
		return
	}
	now := l.r.Configuration()
	next := Configuration{NextReplica: now.NextReplica, Settings: now.Settings}
	if now.Settings.Lease > 0 && d.g.IntN(3) == 0 {
		next.Settings.Lease = pick(d.g, []int64{0, testElection / 2, 2 * testElection})
	}
	var from []Member
	for _, h := range d.w.hosts {
		if _, ok := now.Member(h.self.Replica); ok {
			from = append(from, h.self)
		}
	}
	if d.g.IntN(3) > 0 && len(d.w.hosts) < 12 {
		from = append(from, d.w.addHost().self)
		next.NextReplica = from[len(from)-1].Replica + 1
	}
	for _, m := range from {
		switch p := d.g.IntN(10); {
		case p < 6:
			next.Voters = append(next.Voters, m)
		case p < 9:
			next.Learners = append(next.Learners, m)
		}
	}
	next.Priorities = slices.DeleteFunc(slices.Clone(now.Priorities), func(p Priority) bool {
		on := func(m Member) bool { return m.Host == p.Host }
		return !slices.ContainsFunc(next.Voters, on) && !slices.ContainsFunc(next.Learners, on)
	})
	if d.g.IntN(4) == 0 {
		next.Priorities = drawPriorities(d.g, next.Voters)
	}
	after := now.Index
	if d.g.IntN(10) == 0 {
		after--
	}
	d.w.step(l, Input{Kind: InReconfigure, Change: &Change{Ref: 1, After: after, Next: next}})
}

func (d *dice) fault(h *host) {
	w, g := d.w, d.g
	id := h.self.Replica
	switch p := g.IntN(100); {
	case p < 15:
		w.compact(h, h.applied-min(h.applied, Index(g.IntN(6))))
	case p < 40:
		d.stream()
	case p < 50 && (!d.quiet || g.IntN(4) == 0):
		if h.down {
			w.start(h)
			break
		}
		for range g.IntN(3) {
			w.sync(h, false) // on disk, but nobody heard of it
		}
		w.crash(h)
	case p < 60:
		if h.down {
			w.start(h)
		}
	case p < 66:
		other := pick(g, w.hosts).self.Replica
		w.cut[[2]ReplicaID{id, other}] = !d.quiet && g.IntN(2) == 0
	case p < 72:
		clear(w.cut)
	case p < 76:
		w.step(h, Input{Kind: InHostLost, Host: pick(g, w.hosts).self.Host})
	case p < 80:
		w.step(h, Input{Kind: InHostUp, Host: pick(g, w.hosts).self.Host})
	case p < 82:
		w.step(h, Input{Kind: InHostRefused, Host: pick(g, w.hosts).self.Host})
	case p < 84:
		w.step(h, Input{Kind: InStorageStuck})
	case p < 87:
		w.full(h, g.IntN(4))
		if h.r != nil && h.r.full && g.IntN(2) == 0 {
			h.r.electionAt = h.clock(w.now) // it campaigns while entries wait, the old leader still there
			w.step(h, Input{Kind: InClock})
		} else if from := pick(g, w.hosts); h.r != nil && h.r.full && from != h && !from.down {
			d.supplant(h, from)
		}
	case p < 90:
		w.step(h, Input{Kind: InTransfer})
	case p < 92:
		w.step(h, Input{Kind: InHostSilent, Host: pick(g, w.hosts).self.Host, Since: w.now - Instant(g.IntN(testElection))})
	case p < 95:
		if h.r != nil {
			w.step(h, Input{Kind: InTrim, Index: h.r.log.saved})
		}
	default:
		w.step(h, Input{Kind: InWantMark})
	}
}

// supplant gives a replica that has no room for entries the newest snapshot that another one can make.
func (d *dice) supplant(h, from *host) {
	w := d.w
	w.execute(from, len(from.apply))
	w.compact(from, from.applied)
	for len(from.queue) > 0 {
		w.sync(from, true)
	}
	if s := from.disk.base; s.Index() > 0 {
		w.step(h, Input{Kind: InInstalled, Snapshot: &s})
	}
}

// stream brings a snapshot to a follower that needs one.
func (d *dice) stream() {
	if len(d.o.needs) == 0 {
		return
	}
	k := d.g.IntN(len(d.o.needs))
	need := d.o.needs[k]
	d.o.needs = append(d.o.needs[:k:k], d.o.needs[k+1:]...)
	from, to := d.w.host(need[0]), d.w.host(need[1])
	failed := from.down || to.down || d.g.IntN(4) == 0 || from.disk.base.Index() == 0
	if !failed {
		s := from.disk.base
		d.w.step(to, Input{Kind: InInstalled, Snapshot: &s})
	}
	d.w.step(from, Input{Kind: InSnapshotSent, Replica: to.self.Replica, Failed: failed})
}

// heal ends all faults: the group must come back, take a proposal, and all logs be one.
func (d *dice) heal() {
	w := d.w
	clear(w.cut)
	for _, h := range w.hosts {
		if h.down {
			w.start(h)
		}
	}
	for _, h := range w.hosts {
		for _, other := range w.hosts { // a word to be quiet, or to wake, may have been lost
			w.step(h, Input{Kind: InHostSilent, Host: other.self.Host, Since: w.now})
		}
	}
	for range 100 {
		w.settle(100_000_000)
		for len(d.o.needs) > 0 {
			d.stream()
		}
		l := w.leader()
		if l == nil {
			continue
		}
		w.step(l, Input{Kind: InPropose, Proposal: Proposal{Kind: KindEmpty, Payload: emptyPayload}})
		w.settle(20_000_000)
		if d.converged() {
			return
		}
	}
	for _, h := range w.hosts {
		d.o.t.Logf("%d: %+v", h.self.Replica, h.r.Status())
	}
	d.o.t.Fatal("the group does not converge after healing")
}

// converged says whether every member of the leader's configuration, which is no change any more, has
// executed all of the leader's log.
func (d *dice) converged() bool {
	lead := d.w.leader()
	c := lead.r.Configuration()
	if c.Joint() || len(c.Next) > 0 {
		return false
	}
	last, sum := lead.r.log.lastIdentity()
	for _, h := range d.w.hosts {
		if _, ok := c.Member(h.self.Replica); !ok {
			continue
		}
		l, s := h.r.log.lastIdentity()
		if l.Index != last.Index || s != sum || h.r.commit != last.Index || h.applied != last.Index {
			return false
		}
	}
	return true
}

var oneSeed = flag.Uint64("seed", 0, "the only seed to simulate")

// TestSimulationKeepsThesisProperties throws dice over the whole algorithm. One seed: -seed n.
func TestSimulationKeepsThesisProperties(t *testing.T) {
	seeds, steps := uint64(400), 4000
	if testing.Short() {
		seeds = 40
	}
	if *oneSeed != 0 {
		simulate(t, *oneSeed, steps)
		return
	}
	total := map[string]int{}
	for seed := uint64(1); seed <= seeds; seed++ {
		if !t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			for k, n := range simulate(t, seed, steps) {
				total[k] += n
			}
		}) {
			t.FailNow()
		}
	}
	for _, k := range []string{
		"elected", "truncated", "given up", "installed", "installed in place of what waits", "read", "read failed", "changed", "learning", "promoted",
		"joint left", "joint left by another leader", "change in flight", "change outdated", "change without voters", "change unsettled",
		"change to silent voters", "stepped down: no voter any more", "installed while joint", "stepped down: no quorum heard", "leased", "quiet", "preferred", "elected with priority 0",
	} {
		if total[k] == 0 && !testing.Short() { // all seeds reach all of it, few need not
			t.Errorf("no seed has reached %q: the dice are loaded", k)
		}
	}
	t.Log(total)
}
