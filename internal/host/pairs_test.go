package host

import (
	"log/slog"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
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
	w := world.New(1, world.Options{Hosts: 3})
	defer w.Close()
	seen := &quietCount{}
	done := false
	w.Go(world.Driver, "test", func() {
		hosts := make([]*Host, 3)
		founders := []string{w.Addr(0, 7000), w.Addr(1, 7000), w.Addr(2, 7000)}
		for i := range hosts {
			w.Do(i, func() {
				var err error
				hosts[i], err = Open(w.Context(), Options{
					Dir: "data", Env: w.Host(i), Machines: map[string]machine.Kind{"counter": counter.Machine.Kind()},
					Addr: founders[i], Listen: founders[i], Founders: founders, Logger: slog.New(slog.DiscardHandler), Insecure: true, Lanes: 1, Loops: 1, Observer: seen,
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		w.Do(0, func() {
			if err := hosts[0].Create(w.Context(), 1, "counter", nil, func(*raft.Settings) {}); err != nil {
				t.Error(err)
			}
		})
		w.Sleep(20 * time.Second)
		test(w, hosts, seen)
		done = true
		w.Stop()
	})
	w.Run(2 * time.Minute)
	if !done {
		t.Errorf("did not end by %v\n%s", w.Now(), w.Dump())
	}
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
