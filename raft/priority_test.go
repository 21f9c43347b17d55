package raft

import (
	"fmt"
	"slices"
	"testing"
)

// A group has a leader wherever one can be elected, whatever the priorities; after a while it is one that no replica
// linked with it, and able to lead, has a higher priority than, and stays (R18).
func TestLivenessOutranksPriorities(t *testing.T) {
	var trials, without int
	for _, of := range []struct {
		n        int
		directed bool
	}{{3, false}, {3, true}, {4, false}} {
		for _, l := range patterns(of.n, of.directed) {
			for given := range power(3, of.n) {
				if testing.Short() && given%5 != 0 || of.n == 4 && given%7 != 0 {
					continue
				}
				priorities := assigned(of.n, given)
				leader := given % of.n
				trial := newTrial(l, leader, uint64(given+1), given%2 == 0, priorities...)
				led, err := trial.prefer()
				if err != nil {
					t.Fatalf("%d replicas, links %s, replica %d led, priorities %v: %v", of.n, l.name(), leader+1, priorities, err)
				}
				trials++
				if !led {
					without++
				}
			}
		}
	}
	t.Logf("%d trials, in %d of them nobody can be elected", trials, without)
}

func power(base, n int) int {
	p := 1
	for range n {
		p *= base
	}
	return p
}

// assigned are the priorities that the digits of given name, one a replica.
func assigned(n, given int) (list []Priority) {
	for i := range n {
		if value := uint8(given % 3); value != DefaultPriority {
			list = append(list, Priority{Host: member(ReplicaID(i + 1)).Host, Value: value})
		}
		given /= 3
	}
	return list
}

// prefer judges one trial with priorities: whether somebody can be elected at all.
func (t *trial) prefer() (bool, error) {
	t.run(2 * testElection)
	for n := 2; t.leads() == nil; n++ {
		able := able(t.w, t.l)
		if len(able) == 0 {
			return false, t.rests()
		}
		if n == mostTimeouts+4 { // priority 0 waits longer
			return false, fmt.Errorf("replicas %v can be elected, and after %d election timeouts nobody leads; terms %v", able, n, t.terms())
		}
		t.run(testElection)
	}
	t.run(8 * shortestPreference * testElection)
	h := t.leads()
	for n := 0; h == nil && n < mostTimeouts; n++ { // one that finds no majority may be at it
		t.run(testElection)
		h = t.leads()
	}
	before := t.terms()
	if h == nil {
		return false, fmt.Errorf("nobody leads; terms %v", before)
	}
	c := h.r.Configuration()
	able, tries := able(t.w, t.l), 0
	for i, other := range t.w.hosts {
		me := int(h.self.Replica) - 1
		switch better := t.l[me][i] && t.l[i][me] && c.Priority(other.self.Host) > c.Priority(h.self.Host); {
		case better && slices.Contains(able, other.self.Replica):
			return false, fmt.Errorf("replica %d leads, and not %d; terms %v", h.self.Replica, other.self.Replica, before)
		case better:
			tries += 2 // the leader cannot know that it finds no majority; each try and the election after it is a term
		}
	}
	t.run(4 * shortestPreference * testElection)
	now, after := t.leads(), t.terms()
	if slices.Max(after) > slices.Max(before)+Term(tries) || tries == 0 && (now != h || !slices.Equal(before, after)) {
		return false, fmt.Errorf("replica %d led and was replaced; terms %v, then %v", h.self.Replica, before, after)
	}
	return true, nil
}

// A voter that takes over and does not last is asked less and less often, and one that never takes over as well.
func TestPreferenceForOneThatDoesNotLastFades(t *testing.T) {
	for _, lasts := range []bool{true, false} {
		c := Configuration{Voters: members(1, 2, 3), NextReplica: 4, Priorities: []Priority{{Host: 2, Value: 2}}}
		w := newWorld(3, c, testOptions())
		var tried []Instant
		w.seen = func(h *host, rd *Ready) {
			for _, e := range rd.Events {
				if e.Kind == evPreferred {
					tried = append(tried, w.now)
				}
			}
		}
		w.host(1).r.electionAt = w.now
		w.step(w.host(1), Input{Kind: InClock})
		for range 2000 {
			w.settle(testElection / 5)
			if h := w.host(2); lasts && h.r.role == Leader { // its disk fails it as soon as it leads
				h.r.Step(Input{Kind: InStop, Now: h.clock(w.now)})
				h.r.stopped = false
				w.pump(h)
			} else if !lasts {
				w.lose = func(m *Message) bool { return m.Type == MsgTransfer }
			}
		}
		if len(tried) < 4 || len(tried) > 12 {
			t.Fatalf("replica 2, which takes over: %v, was asked %d times in 400 election timeouts", lasts, len(tried))
		}
		for i := 2; i < len(tried); i++ {
			if !lasts && tried[i]-tried[i-1] < tried[i-1]-tried[i-2] {
				t.Fatalf("replica 2, which takes over: %v, was asked after a shorter wait: %v", lasts, tried)
			}
		}
	}
}

// A leader hands over by priority only to one that says it is fit, and keeps up; and never while members change, or
// its own disk is full.
func TestPreferenceWaitsForWhatComesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world)
		want  bool
	}{
		"nothing in the way":  {spoil: func(*world) {}, want: true},
		"the other is full":   {spoil: func(w *world) { w.host(2).r.full = true }},
		"the other is stuck":  {spoil: func(w *world) { w.host(2).r.stuck = true }},
		"this one is full":    {spoil: func(w *world) { w.host(1).r.full = true }},
		"the other is silent": {spoil: func(w *world) { w.cut[[2]ReplicaID{2, 1}] = true }},
		"the other lags": {spoil: func(w *world) {
			w.lose = func(m *Message) bool { return m.To == 2 && m.Type == MsgAppend }
			w.step(w.host(1), Input{Kind: InPropose, Proposal: Proposal{Kind: KindEmpty, Payload: emptyPayload}})
		}},
		"a voter to be learns": {spoil: func(w *world) {
			h := w.host(1)
			next := *h.r.Configuration()
			next.Voters, next.NextReplica = members(1, 2, 3, 4), 5 // 4 is down
			w.step(h, Input{Kind: InReconfigure, Change: &Change{Ref: 1, After: h.r.Configuration().Index, Next: next}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(3, Configuration{Voters: members(1, 2, 3), NextReplica: 4, Priorities: []Priority{{Host: 2, Value: 2}}}, testOptions())
			w.crash(w.addHost())
			w.now += testElection
			w.host(1).r.electionAt = w.now
			w.step(w.host(1), Input{Kind: InClock})
			w.settle(testHeartbeat)
			c.spoil(w)
			preferred := false
			w.seen = func(_ *host, rd *Ready) {
				preferred = preferred || slices.ContainsFunc(rd.Events, func(e Event) bool { return e.Kind == evPreferred })
			}
			w.settle(6 * testElection)
			if preferred != c.want {
				t.Errorf("replica 1 wants 2 to lead: %v; it leads itself: %v", preferred, w.host(1).r.role == Leader)
			}
		})
	}
}
