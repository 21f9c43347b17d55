package lockstep_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// shutdown stops host i as an operator does, and says how long another leader of group 1 took, and the
// whole.
func (c *island) shutdown(i int) (leader, all time.Duration) {
	began, done := c.w.Now(), false
	c.w.Go(i, "shutdown", func() {
		if err := c.hosts[i].Shutdown(c.w.Context()); err != nil {
			c.t.Errorf("shut down host %d: %v", i, err)
		}
		done = true
	})
	for !done || leader == 0 {
		for j, h := range c.hosts {
			if j != i && leader == 0 && c.w.Alive(j) && h.Group(1).Status().Role == "leader" {
				leader = c.w.Now() - began
			}
		}
		c.w.Sleep(time.Millisecond)
		if done && all == 0 {
			all = c.w.Now() - began
		}
		if c.w.Now()-began > 10*time.Second {
			c.t.Errorf("host %d shuts down for 10 s", i)
			return leader, all
		}
	}
	return leader, all
}

// A host that stops by itself hands over first: the next leader is there long before an election timeout,
// the others' clients see a short pause and no error, its own are answered or told that they were not heard.
func TestShutdownHandsOverFirst(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		inWorld(t, 180+seed, 3, time.Minute, func(c *island) {
			if !c.began() {
				return
			}
			lead := c.leader(1)
			l, own := c.load((lead+1)%3, (lead+2)%3), c.load(lead)
			c.w.Sleep(500 * time.Millisecond)
			leader, all := c.shutdown(lead)
			own.ends = true
			if leader > 50*time.Millisecond || all > 100*time.Millisecond {
				t.Errorf("seed %d: another host leads after %v, this one has stopped after %v", seed, leader, all)
			}
			c.w.Sleep(500 * time.Millisecond)
			for _, err := range own.failed {
				if !errors.Is(err, lockstep.ErrClosed) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
					t.Errorf("seed %d: a command of the host that stops: %v", seed, err)
					break
				}
			}
			l.acked += own.acked
			c.end(l, (lead+1)%3)
			if len(l.failed) > 0 || l.longest > 50*time.Millisecond {
				t.Errorf("seed %d: %d commands of the other hosts failed, one took %v", seed, len(l.failed), l.longest)
			}
		})
	}
}

// A host that stops stays until another leads, and asks another heir where one does not answer: where one of three stands
// still for a moment, its vote is missing, or its campaign.
func TestHostThatStopsWaitsForNoneThatStandsStill(t *testing.T) {
	for seed := range seedsOf(20, 4) {
		inWorld(t, 240+seed, 3, time.Minute, func(c *island) {
			if !c.began() {
				return
			}
			lead := c.leader(1)
			slow := (lead + 1 + int(seed)%2) % 3
			l := c.load(3 - lead - slow)
			c.w.Sleep(500 * time.Millisecond)
			c.w.Pause(slow)
			c.w.Sleep(time.Duration(seed/2) * 3 * time.Millisecond) // it may seem to be the best heir, and be asked
			leader, all := c.shutdown(lead)
			if leader > 150*time.Millisecond || all > 250*time.Millisecond {
				t.Errorf("seed %d: another host leads after %v, this one has stopped after %v", seed, leader, all)
			}
			c.w.Resume(slow)
			c.w.Sleep(time.Second)
			c.end(l, 3-lead-slow)
			if len(l.failed) > 0 {
				t.Errorf("seed %d: %d commands failed: %v", seed, len(l.failed), l.failed[0])
			}
		})
	}
}

// Hosts that stop at one time, as those of one program do, give leaderships to none of each other, and the last one waits
// for nobody; where one stays it gets all, each once.
func TestHostsThatStopTogetherHandOverToNoneOfThem(t *testing.T) {
	const groups = 6
	for seed := range seedsOf(20, 4) {
		for _, stay := range []int{0, 3} {
			inWorld(t, 200+seed, max(3, stay+2), time.Minute, func(c *island) {
				var seen elections
				c.tune = func(_ int, o *lockstep.Options) { o.Observer = &seen }
				if !c.began() {
					return
				}
				for id := lockstep.GroupID(1); id <= groups; id++ {
					if _, err := c.create(0, id, 10*time.Second); err != nil {
						t.Error(err)
						return
					}
					_ = c.call(0, 10*time.Second, func(ctx context.Context, h *lockstep.Host) error {
						return h.Group(id).TransferLeader(ctx, lockstep.HostID(int(id)%len(c.hosts)+1))
					})
				}
				c.w.Sleep(time.Second)
				led := 0
				for i := stay; i < len(c.hosts); i++ {
					for _, g := range c.hosts[i].Status().Groups {
						if g.Role == "leader" {
							led++
						}
					}
				}
				before, began, stopped := seen.n, c.w.Now(), 0
				for i := stay; i < len(c.hosts); i++ {
					c.w.Go(i, "shutdown", func() {
						if err := c.hosts[i].Shutdown(c.w.Context()); err != nil {
							t.Errorf("shut down host %d: %v", i, err)
						}
						stopped++
					})
				}
				for stopped < len(c.hosts)-stay && c.w.Now()-began < 10*time.Second {
					c.w.Sleep(time.Millisecond)
				}
				took := c.w.Now() - began
				c.w.Sleep(50 * time.Millisecond) // the last one is being elected
				n := seen.n - before
				if n != min(led, led*stay) || took > 60*time.Millisecond {
					t.Errorf("seed %d: %d of %d hosts, which led %d groups, stopped in %v, with %d transfers", seed, len(c.hosts)-stay, len(c.hosts), led, took, n)
				}
			})
		}
	}
}

// The leadership goes to who can take it: not to a host whose disk stands still, though its log is as long
// as any.
func TestShutdownHandsOverToWhoCanWrite(t *testing.T) {
	inWorld(t, 191, 5, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		lead := c.leader(1)
		stuck := (lead + 1) % 5
		c.w.Sleep(time.Second)
		c.w.Disk(stuck).Stuck = true
		leader, all := c.shutdown(lead)
		if limit := 450 * time.Millisecond; leader > limit || all > limit+50*time.Millisecond {
			t.Errorf("another host leads after %v, this one has stopped after %v", leader, all)
		}
		if now := c.leader(1); now == stuck {
			t.Errorf("host %d leads, whose disk stands still", now)
		}
		c.w.Disk(stuck).Stuck = false
	})
}

// A host that nobody can follow stops all the same, soon.
func TestShutdownWithoutAnotherHostIsBounded(t *testing.T) {
	inWorld(t, 192, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		lead := c.leader(1)
		for i := range c.hosts {
			if i != lead {
				c.w.Kill(i)
			}
		}
		began := c.w.Now()
		c.w.Do(lead, func() {
			var call lockstep.Call
			if err := c.hosts[lead].Group(1).Start([]byte("x"), &call); err != nil {
				t.Error(err)
			}
			if err := c.hosts[lead].Shutdown(c.w.Context()); err != nil {
				t.Error(err)
			}
			if _, err := call.Wait(c.w.Context()); !errors.Is(err, lockstep.ErrClosed) {
				t.Errorf("a command that nobody could commit: %v", err)
			}
		})
		if d := c.w.Now() - began; d > 2*time.Second {
			t.Errorf("stopped after %v", d)
		}
	})
}
