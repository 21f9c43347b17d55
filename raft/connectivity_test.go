package raft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// links says who is heard by whom: links[a][b] is that b hears a. Replicas are numbered from 0.
type links [][]bool

// linksOf makes the links of n replicas from the bits of pattern, one a pair; directed ones have two.
func linksOf(n int, pattern uint, directed bool) links {
	l := make(links, n)
	for a := range l {
		l[a] = make([]bool, n)
	}
	take := func() bool { bit := pattern&1 == 1; pattern >>= 1; return bit }
	for a := range n {
		for b := range a {
			l[a][b] = take()
			l[b][a] = l[a][b]
			if directed {
				l[b][a] = take()
			}
		}
	}
	return l
}

// name is equal for links that differ in the numbers of the replicas alone: the least of all their pictures.
func (l links) name() string {
	least := ""
	permute(len(l), func(p []int) {
		picture := make([]byte, 0, len(l)*len(l))
		for a := range l {
			for b := range l {
				bit := byte('0')
				if l[p[a]][p[b]] {
					bit = '1'
				}
				picture = append(picture, bit)
			}
		}
		if least == "" || string(picture) < least {
			least = string(picture)
		}
	})
	return least
}

func permute(n int, with func([]int)) {
	p := make([]int, n)
	var place func(i int)
	place = func(i int) {
		if i == n {
			with(p)
			return
		}
		for v := range n {
			if !slices.Contains(p[:i], v) {
				p[i] = v
				place(i + 1)
			}
		}
	}
	place(0)
}

// patterns are all links of n replicas, one of those that differ in numbers alone.
func patterns(n int, directed bool) (all []links) {
	bits := n * (n - 1) / 2
	if directed {
		bits *= 2
	}
	seen := map[string]bool{}
	for pattern := range uint(1) << bits {
		if l := linksOf(n, pattern, directed); !seen[l.name()] {
			seen[l.name()] = true
			all = append(all, l)
		}
	}
	return all
}

// able says which replicas can be elected: those that hear, and are heard by, a majority, themselves among
// it, of which nobody's log is ahead of theirs. That is the exact condition: of a voter that is not heard, or
// whose log is ahead, there is no vote (thesis §3.6.1), and a leader commits by those who answer.
func able(w *world, l links) (ids []ReplicaID) {
	for v := range l {
		n := 0
		for u := range l {
			mine, _ := w.hosts[v].r.log.lastIdentity()
			theirs, _ := w.hosts[u].r.log.lastIdentity()
			if u == v || l[u][v] && l[v][u] && !mine.Position().Less(theirs.Position()) {
				n++
			}
		}
		if n > len(l)/2 {
			ids = append(ids, ReplicaID(v+1))
		}
	}
	return ids
}

// trial lets a group that leader leads meet the links l, and says after how many election timeouts it has
// a leader for good; less than 0: nobody can be one.
type trial struct {
	w     *world
	l     links
	steps int
	busy  bool // the leaders have something to append, also when they are cut off
}

func newTrial(l links, leader int, seed uint64, busy bool, priorities ...Priority) *trial {
	o := testOptions()
	o.Seed, o.Check = seed, false
	var ids []ReplicaID
	for i := range l {
		ids = append(ids, ReplicaID(i+1))
	}
	t := &trial{w: newWorld(len(l), Configuration{Voters: members(ids...), NextReplica: ReplicaID(len(l) + 1), Priorities: priorities}, o), l: l, busy: busy}
	first := t.w.host(ids[leader])
	t.w.now += testElection
	first.r.electionAt = t.w.now
	t.w.step(first, Input{Kind: InClock})
	t.run(testElection)
	if t.w.leader() != first {
		panic("another replica leads than was meant to")
	}
	t.meet(l)
	return t
}

// meet makes the links what l says.
func (t *trial) meet(l links) {
	t.l = l
	for a := range l {
		for b := range l {
			t.w.cut[[2]ReplicaID{ReplicaID(a + 1), ReplicaID(b + 1)}] = !l[a][b]
		}
	}
}

// run lets the time pass.
func (t *trial) run(d int64) {
	for end := t.w.now + Instant(d); t.w.now < end; t.w.clock(5_000_000) {
		t.w.drain()
		t.steps++
		for _, h := range t.w.hosts {
			if t.busy && t.steps%10 == 0 && h.r.role == Leader && h.r.log.last() < h.r.commit+20 {
				t.w.step(h, Input{Kind: InPropose, Proposal: Proposal{Kind: KindEmpty, Payload: emptyPayload}})
			}
		}
	}
}

// leads is the leader that commits now; nil: there is none.
func (t *trial) leads() *host {
	for _, h := range t.w.hosts {
		if h.r.role != Leader {
			continue
		}
		before := h.r.commit
		t.w.step(h, Input{Kind: InPropose, Proposal: Proposal{Kind: KindEmpty, Payload: emptyPayload}})
		t.run(20_000_000)
		if h.r.role == Leader && h.r.commit > before {
			return h
		}
	}
	return nil
}

func (t *trial) terms() (all []Term) {
	for _, h := range t.w.hosts {
		all = append(all, h.r.hard.Term)
	}
	return all
}

const (
	mostTimeouts = 12 // until somebody leads for good
	longEnough   = 15 // timeouts that it has to stay
)

// play judges one trial: the number of election timeouts after which somebody leads for good, -1 if nobody
// can.
func (t *trial) play() (int, error) {
	t.run(2 * testElection) // whoever has lost its majority has noticed
	for n := 2; ; n++ {
		able := able(t.w, t.l)
		h := t.leads()
		switch {
		case h != nil:
			return n, t.stays(h)
		case len(able) == 0:
			return -1, t.rests()
		case n == mostTimeouts:
			return n, fmt.Errorf("replicas %v can be elected, and after %d election timeouts nobody leads; terms %v", able, n, t.terms())
		}
		t.run(testElection)
	}
}

// stays: no replica deposes a leader that commits.
func (t *trial) stays(h *host) error {
	term := h.r.hard.Term
	t.run(4 * testElection)
	before := t.terms()
	t.run(longEnough * testElection)
	if now := t.leads(); now != h || h.r.hard.Term != term {
		return fmt.Errorf("replica %d led term %d, and was deposed; terms %v", h.self.Replica, term, t.terms())
	}
	if after := t.terms(); !slices.Equal(before, after) {
		return fmt.Errorf("replica %d leads, and terms rise from %v to %v", h.self.Replica, before, after)
	}
	return nil
}

// rests: who cannot be elected does not try for ever, and no term is begun.
func (t *trial) rests() error {
	t.run(4 * testElection)
	before := t.terms()
	t.run(longEnough * testElection)
	if after := t.terms(); !slices.Equal(before, after) {
		return fmt.Errorf("nobody can be elected, and terms rise from %v to %v", before, after)
	}
	return nil
}

// Pre-votes, the quorum that a leader must hear, and the patience with a leader that is heard do not keep
// each other from electing: in every pattern of links between up to five replicas, whoever led when it came,
// there is soon a leader that commits, and it stays, where any replica can be one (see able). Where none can,
// and beside a leader that stays, terms do not rise.
func TestEveryPatternOfLinksElectsOneLeaderBug74(t *testing.T) {
	for _, of := range []struct {
		n        int
		directed bool
		patterns int
	}{{3, false, 4}, {4, false, 11}, {5, false, 34}, {3, true, 16}, {4, true, 218}} {
		all := patterns(of.n, of.directed)
		if len(all) != of.patterns {
			t.Fatalf("%d patterns of %d replicas (directed: %v), there are %d", len(all), of.n, of.directed, of.patterns)
		}
		if testing.Short() && len(all) > 34 {
			continue
		}
		var c count
		for _, l := range all {
			for leader := range of.n {
				for _, busy := range []bool{false, true} {
					c.add(t, newTrial(l, leader, uint64(leader+1), busy), fmt.Sprintf("replica %d led", leader+1))
				}
			}
		}
		t.Logf("%d replicas, directed %v: %d patterns, %v", of.n, of.directed, len(all), c)
	}
}

// So it is if other patterns came before, in which messages were lost besides: logs have different lengths,
// and replicas different terms.
func TestPatternsOfLinksAfterOthersElectOneLeader(t *testing.T) {
	trials := 600
	if testing.Short() {
		trials = 60
	}
	all := patterns(5, false)
	all = append(all, patterns(3, true)...)
	var c count
	for seed := range uint64(trials) {
		g := rand.New(rand.NewPCG(seed, 2))
		l := pick(g, all)
		trial := newTrial(l, g.IntN(len(l)), seed, true)
		kept := 1 + g.IntN(4) // of five messages
		trial.w.lose = func(*Message) bool { return g.IntN(5) >= kept }
		for range 1 + g.IntN(4) {
			before := pick(g, all)
			for len(before) != len(l) {
				before = pick(g, all)
			}
			trial.meet(renumber(before, g.Perm(len(l))))
			trial.run(1 + g.Int64N(pick(g, []int64{1, 6})*testElection))
		}
		trial.meet(l)
		trial.w.lose = nil
		trial.busy = g.IntN(2) == 0
		c.add(t, trial, fmt.Sprintf("seed %d", seed))
	}
	t.Log(c)
}

// renumber is l with other numbers for the replicas.
func renumber(l links, p []int) links {
	out := linksOf(len(l), 0, false)
	for a := range l {
		for b := range l {
			out[p[a]][p[b]] = l[a][b]
		}
	}
	return out
}

// count sums up trials.
type count struct{ trials, without, slowest int }

func (c *count) add(t *testing.T, trial *trial, what string) {
	t.Helper()
	n, err := trial.play()
	if err != nil {
		t.Fatalf("%d replicas, links %s, %s, busy %v: %v", len(trial.l), trial.l.name(), what, trial.busy, err)
	}
	c.trials++
	c.slowest = max(c.slowest, n)
	if n < 0 {
		c.without++
	}
}

// String says what the trials have shown.
func (c count) String() string {
	return fmt.Sprintf("%d trials, in %d of them nobody can be elected; in the others somebody leads for good after %d election timeouts at most",
		c.trials, c.without, c.slowest)
}
