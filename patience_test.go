package lockstep_test

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// elections counts leaders that an election made.
type elections struct{ n int }

func (e *elections) Observe(of env.Event) {
	if of.Kind == env.LeaderElected {
		e.n++
	}
}

// A cluster whose round trips, or syncs, take as long as an election timeout and more has a leader that stays, busy and
// at rest; one whose timeout does not adapt has none, or elects again and again. A silent leader is replaced within the
// stated bound (R20).
func TestSlowLinksAndDisksKeepTheirLeader(t *testing.T) {
	t.Parallel()
	ms := func(least, most time.Duration) world.Latency {
		return world.Latency{Min: least * time.Millisecond, Max: most * time.Millisecond}
	}
	for name, of := range map[string]world.Options{
		"links": {Net: ms(230, 290)},
		"disks": {Sync: ms(300, 450)},
	} {
		for _, adapts := range []bool{true, false} {
			inWorldOf(t, 90, 3, 20*time.Minute, of, func(c *island) {
				var seen elections
				c.tune = func(_ int, o *lockstep.Options) {
					o.Observer, o.Heartbeat, o.ElectionTimeout, o.MaxElectionTimeout = &seen, 50*time.Millisecond, 200*time.Millisecond, 3*time.Second
					if !adapts {
						o.MaxElectionTimeout = o.ElectionTimeout
					}
				}
				c.startAll()
				if _, err := c.create(0, 1, 10*time.Minute); err != nil {
					if adapts {
						t.Errorf("slow %s: %v", name, err)
					}
					return
				}
				c.w.Sleep(20 * time.Second)
				before, done := seen.n, 0
				for end := c.w.Now() + 2*time.Minute; c.w.Now() < end; c.w.Sleep(time.Second) {
					if _, err := c.add(0, 1, 10*time.Second); err == nil {
						done++
					}
				}
				c.w.Sleep(2 * time.Minute) // at rest
				if n := seen.n - before; adapts && (n > 0 || done < 40) || !adapts && n == 0 {
					t.Errorf("slow %s, adapting %v: %d leaders were elected in 4 minutes, %d commands done", name, adapts, n, done)
				}
				if !adapts {
					return
				}
				lead, at := c.leader(1), c.w.Now()
				c.w.PowerOff(lead)
				c.leader(1)
				if took := c.w.Now() - at; took > 8*time.Second { // twice the bound, and what an election takes
					t.Errorf("slow %s: %v without a leader", name, took)
				}
			})
		}
	}
}

// Where a round trip is a quarter of the timeout two often ask for votes at the same time, and where a process died and
// its host refuses connections they always do. One of them gives way: a leader is replaced within one election.
func TestSlowLinksSplitNoVotes(t *testing.T) {
	t.Parallel()
	for _, hosts := range []int{3, 5} {
		for seed := range seedsOf(40, 5) {
			slow := world.Options{Net: world.Latency{Min: 230 * time.Millisecond, Max: 290 * time.Millisecond}}
			inWorldOf(t, 100+seed, hosts, 20*time.Minute, slow, func(c *island) {
				c.tune = func(_ int, o *lockstep.Options) {
					o.Heartbeat, o.ElectionTimeout, o.MaxElectionTimeout = 50*time.Millisecond, 200*time.Millisecond, 3*time.Second
				}
				c.startAll()
				if _, err := c.create(0, 1, 10*time.Minute); err != nil {
					t.Error(err)
					return
				}
				c.w.Sleep(30 * time.Second)
				// Two timeouts, each of four round trips, and the election's two; refused, the election, and a sign of life.
				bound, lead, at := 6*time.Second, c.leader(1), c.w.Now()
				if seed%2 == 0 {
					c.w.PowerOff(lead)
				} else {
					bound = 2500 * time.Millisecond
					c.w.Kill(lead)
				}
				c.leader(1)
				if took := c.w.Now() - at; took > bound {
					t.Errorf("%d hosts, seed %d: %v without a leader, more than %v", hosts, seed, took, bound)
				}
			})
		}
	}
}

// rests counts how often groups went quiet.
type rests struct {
	elections
	quiet int
}

func (r *rests) Observe(of env.Event) {
	r.elections.Observe(of)
	if of.Kind == env.WentQuiet {
		r.quiet++
	}
}

// Groups rest too where a round trip takes longer than a heartbeat's time, and nobody forgets meanwhile how long
// elections take: what is asked after a long rest costs no leader (R20).
func TestGroupsOnSlowLinksRestAndKeepTheirLeader(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]world.Options{
		"links": {Net: world.Latency{Min: 230 * time.Millisecond, Max: 290 * time.Millisecond}},
		"disks": {Sync: world.Latency{Min: 300 * time.Millisecond, Max: 450 * time.Millisecond}},
	} {
		for seed := range seedsOf(6, 2) {
			inWorldOf(t, 400+seed, 3, 20*time.Minute, of, func(c *island) {
				var seen rests
				c.tune = func(_ int, o *lockstep.Options) {
					o.Observer, o.Heartbeat, o.ElectionTimeout, o.MaxElectionTimeout = &seen, 50*time.Millisecond, 200*time.Millisecond, 3*time.Second
				}
				c.startAll()
				if _, err := c.create(0, 1, 10*time.Minute); err != nil {
					t.Error(err)
					return
				}
				c.w.Sleep(30 * time.Second)
				for range 3 {
					quiet, elected := seen.quiet, seen.n
					c.w.Sleep(2 * time.Minute)
					if _, err := c.add(0, 1, 10*time.Second); err != nil {
						t.Errorf("slow %s, seed %d: a command after the rest: %v", name, seed, err)
					}
					c.w.Sleep(20 * time.Second)
					if n := seen.n - elected; n > 0 || seen.quiet == quiet {
						t.Errorf("slow %s, seed %d: %d leaders were elected after a rest, groups went quiet %d times", name, seed, n, seen.quiet-quiet)
					}
				}
			})
		}
	}
}

// With fast links and disks a leader whose host goes silent is replaced within two election timeouts, and what an
// election takes: nothing is any longer than without a bound above.
func TestFastClustersFailOverAsEver(t *testing.T) {
	t.Parallel()
	inWorld(t, 91, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		l := c.load(0, 1, 2)
		c.w.Sleep(10 * time.Second)
		lead := c.leader(1)
		c.end(l, lead)
		at := c.w.Now()
		c.w.PowerOff(lead)
		c.leader(1)
		if took := c.w.Now() - at; took > 900*time.Millisecond {
			t.Errorf("%v without a leader", took)
		}
	})
}
