package raft

import (
	"flag"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The explorer takes the algorithm itself, three replicas of it, through every order of what can happen within
// bounds: each message delivered or lost, each save done early, late or never, elections, commands, a change
// of members, a crash that loses what was not saved. Links deliver in order, as the real ones do. Time does not
// pass: a replica stands for election when the explorer says so, and nobody holds on to a silent leader, which
// allows more than clocks would; nor does anybody give way to a higher number. States that differ only in the names of
// replicas are one.

// bounds say how often each thing may happen in one run.
type bounds struct {
	elections, commands, changes, crashes, losses, beats int
}

// history is what has been seen from outside on the way to a state.
type history struct {
	leaders   [8]ReplicaID // by term
	committed []committed  // by index, from 1 on
}

type committed struct {
	sum  Digest
	term Term // in which it was
}

// state is one point of a run. What a step does not touch is shared with the states before it.
type state struct {
	w     *world       // its net holds only what a step sends
	links [9][]Message // from replica i/3+1 to i%3+1, in order
	left  bounds
	seen  history
	wrong string

	hostNames [3]*names // found so far; nil: none
	linkNames [9]*names
}

const replicas = 3

func linkOf(from, to ReplicaID) int { return int(from-1)*replicas + int(to-1) }

// exploration is one walk over all states within bounds.
type exploration struct {
	renamings  [][]ReplicaID // old name less one: new name
	early      bool          // a bug of the host: what must wait for the disk leaves at once
	most       int
	states     map[[2]uint64]struct{}
	fields     map[reflect.Type][]int // that are no matter of time
	steps      int
	path       []action
	deepest    []action // the longest path, and the name of where it ends
	deepName   [2]uint64
	buf, inner []byte
}

const never = Instant(1) << 60

// first is the state in which nothing has happened.
func first(b bounds) *state {
	o := testOptions()
	o.MarkEvery, o.MarkInterval = 1000, 0
	s := &state{w: newWorld(3, Configuration{Voters: members(1, 2, 3), NextReplica: 4}, o), left: b}
	s.w.floors = true
	s.w.now = 1 << 40
	for _, h := range s.w.hosts {
		h.r.electionAt, h.r.gaveWay = never, Term(never)
	}
	s.w.net, s.w.seen = nil, s.observe
	return s
}

// after is a copy of s in which the replica's host may change.
func (s *state) after(id ReplicaID) *state {
	n := *s
	w := *s.w
	n.w = &w
	w.seen = n.observe
	n.seen.committed = slices.Clone(s.seen.committed)
	w.hosts = slices.Clone(s.w.hosts)
	h := *s.w.host(id)
	h.r = h.r.clone()
	h.r.contact = 0 // nobody holds on to a leader
	h.disk.entries = slices.Clip(h.disk.entries)
	h.queue, h.apply, h.sums = slices.Clone(h.queue), nil, map[Index]Digest{}
	w.hosts[id-1] = &h
	n.hostNames[id-1] = nil
	return &n
}

// clone of a replica whose Ready has been taken.
func (r *Replica) clone() *Replica {
	c := *r
	c.saving = slices.Clone(r.saving)
	c.log.entries = slices.Clip(r.log.entries)
	c.configurations = slices.Clone(r.configurations)
	c.ballots = slices.Clone(r.ballots)
	c.own.list, c.agreed.list = slices.Clip(r.own.list), slices.Clip(r.agreed.list)
	c.scratch = [2][]uint64{}
	c.followers = nil
	for _, p := range r.followers {
		q := *p
		q.window.sent, q.marks.list = slices.Clone(p.window.sent), slices.Clip(p.marks.list)
		c.followers = append(c.followers, &q)
	}
	c.reads.waiting, c.reads.rounds, c.reads.asked = slices.Clone(r.reads.waiting), slices.Clone(r.reads.rounds), slices.Clone(r.reads.asked)
	return &c
}

// observe checks what must hold of every run (thesis figure 3.2).
func (s *state) observe(h *host, rd *Ready) {
	for _, e := range rd.Events {
		switch e.Kind {
		case evLeaderElected:
			if was := s.seen.leaders[e.Term]; was != 0 && was != h.self.Replica {
				s.wrong = fmt.Sprintf("election safety: %d and %d lead term %d", was, h.self.Replica, e.Term)
			}
			s.seen.leaders[e.Term] = h.self.Replica
			for i, c := range s.seen.committed {
				if _, have, _ := h.r.log.position(Index(i + 1)); have != c.sum && c.term < e.Term {
					s.wrong = fmt.Sprintf("leader completeness: %d leads term %d without entry %d", h.self.Replica, e.Term, i+1)
				}
			}
		case evCommitAdvanced:
			s.commit(h, e.Index)
		}
	}
	if rd.Failed != nil {
		s.wrong = fmt.Sprintf("replica %d: %v", h.self.Replica, rd.Failed)
	}
}

func (s *state) commit(h *host, through Index) {
	for i := Index(1); i <= through; i++ {
		_, sum, ok := h.r.log.position(i)
		switch {
		case !ok: // under a snapshot
		case int(i) > len(s.seen.committed):
			s.seen.committed = append(s.seen.committed, committed{sum, h.r.hard.Term})
		case s.seen.committed[i-1].sum != sum:
			s.wrong = fmt.Sprintf("state machine safety: %d commits another entry %d", h.self.Replica, i)
		}
	}
}

// walk visits s and all that follows from it, depth first.
func (x *exploration) walk(t *testing.T, s *state) bool {
	if s.wrong != "" {
		return false
	}
	for k := range x.renamings {
		if _, ok := x.states[x.name(s, k)]; ok {
			return true
		}
	}
	x.states[x.name(s, 0)] = struct{}{}
	if len(x.path) > len(x.deepest) {
		x.deepest, x.deepName = slices.Clone(x.path), x.name(s, 0)
	}
	if len(x.states) > x.most {
		t.Fatalf("more than %d states: the bounds are too wide", x.most)
	}
	for _, a := range s.actions() {
		n := s.after(a.touches())
		x.path = append(x.path, a)
		x.steps++
		if text := n.do(a, x.early); text != "" {
			n.wrong = text
		}
		if !x.walk(t, n) {
			if s.wrong == "" && n.wrong != "" {
				s.wrong = n.wrong
			}
			return false
		}
		x.path = x.path[:len(x.path)-1]
	}
	return true
}

// action is one thing that can happen next.
type action struct {
	what     string
	who, and ReplicaID
}

// touches is the replica whose state may change.
func (a action) touches() ReplicaID {
	if a.what == "deliver" {
		return a.and
	}
	return a.who
}

func (a action) String() string {
	if a.and != 0 {
		return fmt.Sprintf("%s %d→%d", a.what, a.who, a.and)
	}
	return fmt.Sprintf("%s %d", a.what, a.who)
}

func (s *state) actions() (as []action) {
	for _, h := range s.w.hosts {
		id := h.self.Replica
		lead := h.r.role == Leader
		for _, c := range []struct {
			what string
			may  bool
		}{
			{"save", len(h.queue) > 0},
			{"campaign", s.left.elections > 0 && !lead && h.r.mayCampaign()},
			{"crash", s.left.crashes > 0},
			{"command", s.left.commands > 0 && lead},
			{"remove 3 by", s.left.changes > 0 && lead && h.r.commit >= h.r.firstOwn},
			{"beat", s.left.beats > 0 && lead},
		} {
			if c.may {
				as = append(as, action{what: c.what, who: id})
			}
		}
		for _, to := range s.w.hosts {
			if len(s.links[linkOf(id, to.self.Replica)]) > 0 {
				as = append(as, action{"deliver", id, to.self.Replica})
				if s.left.losses > 0 {
					as = append(as, action{"lose", id, to.self.Replica})
				}
			}
		}
	}
	return as
}

// do takes one step, and says what it breaks.
func (s *state) do(a action, early bool) (broken string) {
	defer func() {
		if p := recover(); p != nil {
			broken = fmt.Sprint(p)
		}
	}()
	w, h := s.w, s.w.host(a.who)
	switch a.what {
	case "save":
		w.sync(h, true)
	case "campaign":
		s.left.elections--
		h.r.now = w.now
		h.r.campaign(false)
		w.step(h, Input{Kind: InClock})
	case "crash":
		s.left.crashes--
		w.crash(h)
		for other := ReplicaID(1); other <= replicas; other++ {
			for _, l := range [...]int{linkOf(a.who, other), linkOf(other, a.who)} {
				s.links[l], s.linkNames[l] = nil, nil
			}
		}
		w.start(h)
		h.r.electionAt, h.r.gaveWay = never, Term(never)
	case "command":
		s.left.commands--
		propose(w, h, "x")
	case "remove 3 by":
		s.left.changes--
		c := h.r.Configuration()
		w.step(h, Input{Kind: InReconfigure, Change: &Change{After: c.Index, Next: Configuration{Voters: members(1, 2), NextReplica: 4}}})
	case "beat":
		s.left.beats--
		h.r.heartbeatAt = w.now
		for _, p := range h.r.followers {
			p.probeAt = 0
		}
		w.step(h, Input{Kind: InClock})
	case "deliver", "lose":
		l := linkOf(a.who, a.and)
		m := s.links[l][0]
		s.links[l], s.linkNames[l] = s.links[l][1:], nil
		if a.what == "lose" {
			s.left.losses--
		} else {
			w.deliver(m)
		}
	}
	h = w.host(a.touches())
	for i := range h.queue {
		if early {
			w.net = append(w.net, h.queue[i].after...)
			h.queue[i].after = nil
		}
	}
	w.execute(h, len(h.apply))
	for _, m := range w.net {
		l := linkOf(m.From, m.To)
		s.links[l], s.linkNames[l] = append(slices.Clip(s.links[l]), m), nil
	}
	w.net = nil
	return ""
}

// explore walks over all states within b.
func explore(t *testing.T, b bounds, early bool) (*exploration, string) {
	x := &exploration{early: early, most: 50_000_000, states: map[[2]uint64]struct{}{}, fields: map[reflect.Type][]int{}}
	x.renamings = [][]ReplicaID{{1, 2, 3}, {2, 1, 3}}
	if b.changes == 0 {
		x.renamings = append(x.renamings, []ReplicaID{1, 3, 2}, []ReplicaID{2, 3, 1}, []ReplicaID{3, 1, 2}, []ReplicaID{3, 2, 1})
	}
	s := first(b)
	x.walk(t, s)
	x.replay(t, b)
	t.Logf("%+v: %d states, %d steps", b, len(x.states), x.steps)
	return x, s.wrong
}

// replay takes the deepest path again, in one world: a state that shared what a step changes would differ.
func (x *exploration) replay(t *testing.T, b bounds) {
	s := first(b)
	for _, a := range x.deepest {
		s = s.after(a.touches())
		if broken := s.do(a, x.early); broken != "" {
			t.Fatal(broken)
		}
	}
	if x.name(s, 0) != x.deepName {
		t.Errorf("%v ends elsewhere when it is taken again", x.deepest)
	}
}

// told is a path as text.
func told(path []action) string {
	var b strings.Builder
	for i, a := range path {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.String())
	}
	return b.String()
}

var wide = flag.Bool("explore", false, "explore wide bounds, which takes minutes")

// No order of events within the bounds breaks a property of the thesis, or an assertion.
func TestExplore(t *testing.T) {
	all := []bounds{{elections: 1, commands: 1}}
	if *wide {
		all = []bounds{
			{elections: 2, crashes: 1},
			{elections: 1, commands: 1, beats: 1, losses: 1},
			{elections: 1, changes: 1},
			{elections: 1, changes: 1, crashes: 1},
			{elections: 1, commands: 1, changes: 1},
			{elections: 2, commands: 1},
		}
	}
	for _, b := range all {
		if x, wrong := explore(t, b, false); wrong != "" {
			t.Errorf("%+v: %s, after: %s", b, wrong, told(x.path))
		}
	}
}

// A host that sends votes and acknowledgements before they are saved loses them in a crash: the explorer
// finds a run in which that costs an entry, or makes two leaders.
func TestExplorerFindsWhatLeavesBeforeItsSave(t *testing.T) {
	if testing.Short() {
		t.Skip("visits a hundred thousand states on one goroutine")
	}
	x, wrong := explore(t, bounds{elections: 2, crashes: 1}, true)
	if wrong == "" {
		t.Error("nothing is found")
	}
	t.Logf("%s, after: %s", wrong, told(x.path))
}
