package host

import (
	"slices"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// quietCount counts how often groups have gone quiet, and leaders come.
type quietCount struct{ quiet, elected int }

func (q *quietCount) Observe(e env.Event) {
	switch e.Kind {
	case env.WentQuiet:
		q.quiet++
	case env.LeaderElected:
		q.elected++
	}
}

// three runs test beside three hosts with one group that is at rest.
func three(t *testing.T, test func(w *world.World, hosts []*Host, seen *quietCount)) {
	t.Helper()
	seen := &quietCount{}
	inWorld(t, 3, func(o *Options) { o.Observer = seen }, func(w *world.World, hosts []*Host) {
		createGroup(t, w, hosts[0], 1)
		w.Sleep(20 * time.Second)
		test(w, hosts, seen)
	})
}

// A word to be quiet, or to wake, that is lost leaves two hosts with different sums. They find it, wake what
// is quiet between them, and go quiet again, under the leaders that there are.
func TestLostWordWakesBothHosts(t *testing.T) {
	for name, lose := range map[string]func(g *group, leads bool){
		"to be quiet": func(g *group, leads bool) {
			if !leads {
				g.heardWord(0, false)
			}
		},
		"to wake": func(g *group, leads bool) {
			if leads {
				for _, host := range g.quieted {
					g.h.pair(host).to.remove(g)
				}
				g.quieted = nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			three(t, func(w *world.World, hosts []*Host, seen *quietCount) {
				before := *seen
				if before.quiet == 0 {
					t.Error("the groups never went quiet")
					return
				}
				for i, h := range hosts {
					w.Do(i, func() {
						h.post(event{kind: evDo, fn: func() {
							lose(h.groups[1], h.groups[1].r.Role() == raft.Leader)
						}})
					})
				}
				w.Sleep(10 * time.Second)
				if seen.quiet == before.quiet || seen.elected != before.elected {
					t.Errorf("%+v, before %+v", *seen, before)
				}
				for i, h := range hosts {
					w.Do(i, func() {
						h.post(event{kind: evDo, fn: func() {
							for _, p := range h.pairs {
								if o := hosts[p.host-1].pair(raft.HostID(i + 1)); p.to != o.from || p.from != o.to {
									t.Errorf("host %d and host %d speak of other groups: %+v, %+v", i+1, p.host, *p, *o)
								}
							}
						}})
					})
				}
			})
		})
	}
}

// Who leads no more says so: nobody waits for a leader whose host lives but speaks for another group.
func TestQuietLeaderThatStopsIsReplaced(t *testing.T) {
	three(t, func(w *world.World, hosts []*Host, seen *quietCount) {
		before := seen.elected
		for i, h := range hosts {
			w.Do(i, func() {
				h.post(event{kind: evDo, fn: func() {
					if g := h.groups[1]; g.r.Role() == raft.Leader {
						g.stop(errDiverged)
					}
				}})
			})
		}
		w.Sleep(2 * time.Second)
		if seen.elected == before {
			t.Error("nobody leads the group")
		}
	})
}

// leaderOf group id, among the hosts that are there; -1: none.
func leaderOf(w *world.World, hosts []*Host, id raft.GroupID) (at int) {
	at = -1
	for i := range hosts {
		if hosts[i] == nil {
			continue
		}
		onTurn(w, hosts, i, func(h *Host) {
			if g := h.groups[id]; g != nil && g.stopped == nil && g.r.Role() == raft.Leader {
				at = i
			}
		})
	}
	return at
}

// reconfigure gives group 1 these voters and learners.
func reconfigure(t *testing.T, w *world.World, h *Host, at int, voters, learners []raft.HostID) {
	w.Do(at, func() {
		c, err := h.Configuration(w.Context(), 1)
		if err == nil {
			_, err = h.Reconfigure(w.Context(), 1, &Target{Index: c.Index, Voters: voters, Learners: learners, Settings: c.Settings})
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// A learner that is removed while its group is quiet gets no word of it: its host is told that nobody speaks for the
// group any more, and what is quiet between the two hosts stays in step.
func TestRemovedLearnerIsSpokenForNoMore(t *testing.T) {
	three(t, func(w *world.World, hosts []*Host, seen *quietCount) {
		l := leaderOf(w, hosts, 1)
		gone := (l + 2) % 3
		voters := []raft.HostID{raft.HostID(l + 1), raft.HostID((l+1)%3 + 1)}
		reconfigure(t, w, hosts[l], l, voters, []raft.HostID{raft.HostID(gone + 1)})
		w.Sleep(20 * time.Second)
		onTurn(w, hosts, l, func(h *Host) {
			if len(h.groups[1].quieted) != 2 {
				t.Errorf("%d were told to be quiet", len(h.groups[1].quieted))
			}
		})
		reconfigure(t, w, hosts[l], l, voters, nil)
		w.Sleep(30 * time.Second)
		onTurn(w, hosts, gone, func(h *Host) {
			if g := h.groups[1]; g != nil && g.stopped == nil {
				t.Errorf("the removed replica lives: quiet %v, a leader was heard at %v", g.r.Quiet(), g.heard)
			}
		})
		before := *seen
		w.Sleep(30 * time.Second)
		if *seen != before {
			t.Errorf("groups at rest are woken: %+v after %+v", *seen, before)
		}
	})
}

// The packet that wakes a follower is lost while other groups of the two hosts talk: its host notices that nobody
// vouches for its leader.
func TestLostWakeIsNoticed(t *testing.T) {
	three(t, func(w *world.World, hosts []*Host, seen *quietCount) {
		stop := false
		w.Go(world.Driver, "busy", func() { // group 0 is kept awake
			for !stop {
				for i := range hosts {
					onTurn(w, hosts, i, func(h *Host) {
						if g := h.groups[0]; g.r.Role() == raft.Leader {
							g.step(raft.Input{Kind: raft.InHostUp, Host: raft.HostID((i+1)%3 + 1)})
						}
					})
				}
				w.Sleep(100 * time.Millisecond)
			}
		})
		w.Sleep(3 * time.Second)
		l, other := leaderOf(w, hosts, 1), leaderOf(w, hosts, 0)
		onTurn(w, hosts, l, func(h *Host) {
			g, lost := h.groups[1], 0
			if at := slices.Index(g.quieted, raft.HostID(other+1)); at >= 0 {
				lost = at
			}
			g.unsay(lost) // and the packet is dropped
			g.stop(errDiverged)
		})
		w.Sleep(5 * time.Second)
		if leaderOf(w, hosts, 1) < 0 {
			t.Error("nobody leads the group")
		}
		stop = true
		w.Sleep(time.Second)
	})
}

func TestQuietFollowersThatStopAreMissed(t *testing.T) {
	three(t, func(w *world.World, hosts []*Host, seen *quietCount) {
		l := leaderOf(w, hosts, 1)
		for i := range hosts {
			if i != l {
				onTurn(w, hosts, i, func(h *Host) { h.groups[1].stop(errDiverged) })
			}
		}
		w.Sleep(5 * time.Second)
		if leaderOf(w, hosts, 1) >= 0 {
			t.Error("a leader of nobody leads on")
		}
	})
}

// A late word of a former leader means nothing, and takes nobody's place.
func TestLateWordOfAFormerLeaderMeansNothing(t *testing.T) {
	three(t, func(w *world.World, hosts []*Host, seen *quietCount) {
		l := leaderOf(w, hosts, 1)
		f, o := (l+1)%3, (l+2)%3
		onTurn(w, hosts, f, func(h *Host) {
			g := h.groups[1]
			m := &raft.Message{Type: raft.MsgHeartbeat, Group: 1, Birth: g.birth, To: g.self.Replica, ToIncarnation: g.self.Incarnation, Term: g.r.Term() - 1}
			for _, v := range g.r.Configuration().Voters {
				if v.Host == raft.HostID(o+1) {
					m.From, m.FromIncarnation = v.Replica, v.Incarnation
				}
			}
			g.receive(raft.HostID(o+1), m)
		})
		onTurn(w, hosts, l, func(h *Host) { h.groups[1].stop(errDiverged) })
		w.Sleep(5 * time.Second)
		if leaderOf(w, hosts, 1) < 0 {
			t.Error("nobody leads the group")
		}
	})
}

// A host that is dead for good keeps no group awake, whoever leads then.
func TestGroupsGoQuietAfterAFailover(t *testing.T) {
	three(t, func(w *world.World, hosts []*Host, seen *quietCount) {
		l := leaderOf(w, hosts, 1)
		before := seen.quiet
		w.Kill(l)
		hosts[l] = nil
		w.Sleep(30 * time.Second)
		if seen.quiet < before+2 {
			t.Errorf("%d groups went quiet", seen.quiet-before)
		}
	})
}
