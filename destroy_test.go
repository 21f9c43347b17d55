package lockstep_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
)

// hasOf lists the files that host i has of group 1.
func (c *island) hasOf(i int) (names []string) {
	for _, name := range c.w.Disk(i).Names("data/snapshots") {
		if strings.HasPrefix(name, "snapshot-0000000000000001-") {
			names = append(names, name)
		}
	}
	for _, dir := range []string{"data/machines", "data/quarantine"} {
		for _, name := range c.w.Disk(i).Names(dir) {
			if strings.HasPrefix(name, "1-") {
				names = append(names, name)
			}
		}
	}
	return names
}

// furnish makes a snapshot of group 1 on each host, files of its machine, and of commands at which that failed.
func (c *island) furnish() {
	for i := range c.hosts {
		_ = c.call(i, time.Minute, func(ctx context.Context, h *lockstep.Host) error {
			if _, err := h.Group(1).Snapshot(ctx); err != nil {
				return err
			}
			files := c.w.Host(i).FS()
			birth := strings.Split(c.hasOf(i)[0], "-")[2]
			for _, name := range []string{"data/machines/1-" + birth + "/state", "data/quarantine/1-7.0-" + birth + ".bin", "data/quarantine/1-7.0-" + birth + ".executed"} {
				if err := files.MkdirAll(path.Dir(name)); err != nil {
					return err
				}
				f, err := files.Open(name, env.Write|env.Create)
				if err != nil {
					return err
				}
				if err := f.Close(); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func (c *island) destroy(i int) error {
	return c.call(i, time.Minute, func(ctx context.Context, h *lockstep.Host) error { return h.Destroy(ctx, 1) })
}

func TestDestroyedGroupIsGoneEverywhereAndCreatedAnew(t *testing.T) {
	growing(t, 51, 3, 3, 20*time.Minute, func(c *island) {
		_ = c.call(1, time.Minute, func(ctx context.Context, h *lockstep.Host) error {
			if err := h.Destroy(ctx, 9); !errors.Is(err, lockstep.ErrNoGroup) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
				t.Errorf("destroy what never was: %v", err)
			}
			if err := h.Destroy(ctx, 0); !errors.Is(err, lockstep.ErrOptions) {
				t.Errorf("destroy group 0: %v", err)
			}
			return nil
		})
		for round := range 3 {
			for range 30 {
				_, _ = c.add(0, 1, 10*time.Second)
			}
			if n, err := c.get(2, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil || n != 30 {
				t.Errorf("round %d: the group begins with %d, %v", round, n-30, err)
			}
			c.furnish()
			if c.destroy(round) != nil {
				return
			}
			if left := c.hasOf(round); len(left) != 0 {
				t.Errorf("round %d: it returned, and left %v", round, left)
			}
			for i := range c.hosts {
				if n, err := c.add(i, 1, time.Second); err == nil {
					t.Errorf("host %d acknowledged %d behind the end", i, n)
				}
			}
			for i := range c.hosts {
				c.until("nothing is left", func() bool { return len(c.hasOf(i)) == 0 && len(c.hosts[i].Status().Groups) == 0 })
				if _, err := c.add(i, 1, time.Second); !errors.Is(err, lockstep.ErrNoGroup) {
					t.Errorf("a call on host %d ends with %v", i, err)
				}
			}
			if round == 1 { // so that the next one is founded by a life that has only read of the former
				c.w.PowerOff(0, 1, 2)
				for i := range c.hosts {
					c.w.Start(i)
					if err := c.start(i); err != nil {
						t.Error(err)
					}
				}
			}
			for i := range c.hosts {
				if _, err := c.create(i, 1, time.Minute); err != nil {
					t.Errorf("created anew on host %d: %v", i, err)
					return
				}
			}
		}
	})
}

// TestHostThatWasAwayEndsWhatWasDestroyed: the leader is cut off, or down, while its group ends and begins
// anew. What it still has to say is of a birth that is over.
func TestHostThatWasAwayEndsWhatWasDestroyed(t *testing.T) {
	for _, anew := range []bool{true, false} {
		for _, away := range []string{"cut off", "down"} {
			t.Run(fmt.Sprintf("%s, anew %v", away, anew), func(t *testing.T) {
				growing(t, 52, 3, 3, 20*time.Minute, func(c *island) {
					for range 30 {
						_, _ = c.add(0, 1, 10*time.Second)
					}
					c.furnish()
					lead := c.leader(1)
					from := (lead + 1) % 3
					if away == "down" {
						c.w.Kill(lead)
					} else {
						c.w.Isolate(lead)
					}
					c.w.Sleep(3 * time.Second)
					if c.destroy(from) != nil {
						return
					}
					if anew {
						if _, err := c.create(from, 1, time.Minute); err != nil {
							t.Error(err)
						}
						if _, err := c.add(from, 1, 10*time.Second); err != nil {
							t.Error(err)
						}
					}
					c.w.HealAll()
					if away == "down" {
						c.w.Start(lead)
						if err := c.start(lead); err != nil {
							t.Error(err)
						}
					}
					c.w.Sleep(10 * time.Second)
					for i := range c.hosts {
						if left := c.hasOf(i); len(left) != 0 {
							t.Errorf("host %d has %v", i, left)
						}
						n, err := c.get(i, 1, 5*time.Second, lockstep.ReadOptions{})
						if anew && (n != 1 || err != nil) || !anew && err == nil {
							t.Errorf("host %d reads %d, %v", i, n, err)
						}
					}
				})
			})
		}
	}
}

// TestCrashAtAnyDiskOperationOfADestruction ends a host at each disk operation while a group is destroyed.
func TestCrashAtAnyDiskOperationOfADestruction(t *testing.T) {
	t.Parallel()
	for k := 1; k <= 16; k++ {
		growing(t, uint64(500+k), 3, 3, 20*time.Minute, func(c *island) {
			for range 30 {
				_, _ = c.add(0, 1, 10*time.Second)
			}
			c.furnish()
			ends := k % 3
			c.endAt(ends, k, k%2 == 0)
			if c.destroy((ends+1)%3) != nil {
				return
			}
			c.w.Sleep(time.Second)
			c.w.Disk(ends).Hook = nil
			for range 2 {
				if c.w.Alive(ends) {
					c.w.Kill(ends)
				}
				c.w.Start(ends)
				if err := c.start(ends); err != nil {
					t.Error(err)
					return
				}
				c.until("nothing is left", func() bool { return len(c.hasOf(ends)) == 0 && len(c.hosts[ends].Status().Groups) == 0 })
				c.w.Sleep(5 * time.Second)
			}
			if why := c.hosts[ends].Status().Why; why != "" {
				t.Errorf("operation %d: the host complains: %q", k, why)
			}
			if _, err := c.create(ends, 1, time.Minute); err != nil {
				t.Errorf("operation %d: created anew: %v", k, err)
			}
			if n, err := c.get(ends, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil || n != 0 {
				t.Errorf("operation %d: begins with %d, %v", k, n, err)
			}
		})
	}
}

// TestHostThatReadsNothingIsToldThatAGroupIsGone: its replica of group 0 has lost its votes, so that it
// learns of the end from others alone.
func TestHostThatReadsNothingIsToldThatAGroupIsGone(t *testing.T) {
	growing(t, 53, 3, 3, 20*time.Minute, func(c *island) {
		c.w.Sleep(time.Second)
		lead := c.leader(1)
		deaf := (lead + 1) % 3
		c.newTerm(1) // what is left of group 1 is newer than the rot
		c.w.Sleep(time.Second)
		c.w.PowerOff(deaf)
		c.rotGroup(deaf, 0)
		c.w.Start(deaf)
		if err := c.start(deaf); err != nil {
			t.Error(err)
			return
		}
		c.w.Sleep(3 * time.Second)
		if groups := c.hosts[deaf].Status().Groups; !slices.ContainsFunc(groups, func(g lockstep.GroupStatus) bool { return g.Group == 1 && g.State == "serving" }) {
			t.Errorf("nothing to show: %+v", groups)
		}
		if c.destroy((deaf+1)%3) != nil {
			return
		}
		c.until("it ends its replica", func() bool {
			return !slices.ContainsFunc(c.hosts[deaf].Status().Groups, func(g lockstep.GroupStatus) bool { return g.Group == 1 })
		})
	})
}

// TestNothingIsAcknowledgedBehindTheEnd: the voters of a group are cut off from a majority of group 0, which
// could say alone that the group is over. Its end needs its own log, so that they serve on until that stops.
func TestNothingIsAcknowledgedBehindTheEnd(t *testing.T) {
	growing(t, 54, 5, 5, 20*time.Minute, func(c *island) {
		c.reconfigure(0, 1, func(conf *lockstep.Configuration) { conf.Voters = []lockstep.HostID{3, 4, 5} })
		c.w.Sleep(2 * time.Second)
		for _, far := range []int{3, 4} {
			for _, near := range []int{0, 1, 2} {
				c.w.Cut(far, near)
				c.w.Cut(near, far)
			}
		}
		c.w.Sleep(3 * time.Second)
		var err error
		c.w.Do(0, func() {
			ctx, cancel := c.w.WithTimeout(c.w.Context(), 10*time.Second)
			defer cancel()
			err = c.hosts[0].Destroy(ctx, 1)
		})
		if _, adding := c.add(3, 1, 10*time.Second); err == nil || adding != nil {
			t.Errorf("destroyed: %v; and a write where it could not be heard: %v", err, adding)
		}
		c.w.HealAll()
		if c.destroy(0) != nil {
			return
		}
		for i := range c.hosts {
			if _, err := c.add(i, 1, time.Second); err == nil {
				t.Errorf("host %d acknowledges behind the end", i)
			}
		}
	})
}
