package lockstep_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// founded lists the clusters that the living hosts belong to.
func (c *island) founded() map[string][]int {
	of := make(map[string][]int)
	for i, h := range c.hosts {
		if h == nil || !c.w.Alive(i) {
			continue
		}
		if s := h.Status(); s.Cluster != "" {
			of[s.Cluster] = append(of[s.Cluster], i)
		}
	}
	return of
}

func (c *island) wantWhy(i int, part string) {
	c.t.Helper()
	for range 1000 {
		if strings.Contains(c.hosts[i].Status().Why, part) {
			return
		}
		c.w.Sleep(10 * time.Millisecond)
	}
	c.t.Errorf("host %d says %q, want %q in it", i, c.hosts[i].Status().Why, part)
}

func (c *island) wipe(i int) {
	c.w.Kill(i)
	c.w.Start(i)
	c.w.Do(i, func() {
		if err := c.w.Host(i).FS().RemoveAll("data"); err != nil {
			c.t.Error(err)
		}
	})
}

// Founders that are not started yet are the usual thing on a first start: a line of information, once.
func TestFirstStartTellsOnceWhomItWaitsFor(t *testing.T) {
	inWorld(t, 23, 3, time.Minute, func(c *island) {
		var log bytes.Buffer
		c.tune = func(_ int, o *lockstep.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		if err := c.start(0); err != nil {
			t.Error(err)
		}
		c.wantWhy(0, "waiting for founders: "+c.addrs[1]+", "+c.addrs[2]+" (")
		c.w.Sleep(5 * time.Second)
		text, line := log.String(), `level=INFO msg="waiting for founders: `+c.addrs[1]+", "+c.addrs[2]+`" addr=`+c.addrs[0]
		if strings.Count(text, "waiting for founders") != 1 || !strings.Contains(text, line) || strings.Contains(text, "WARN") || strings.Contains(text, "host=0") {
			t.Errorf("a first start logs\n%s\nwant once %s", text, line)
		}
	})
}

func TestFoundersWithOtherListsFoundNothingAndSayWhy(t *testing.T) {
	inWorld(t, 21, 3, time.Minute, func(c *island) {
		c.tune = func(i int, o *lockstep.Options) {
			if i == 1 { // two that each believe to be the first
				o.Founders = []string{c.addrs[1], c.addrs[0], c.addrs[2]}
			}
		}
		c.startAll()
		c.wantWhy(0, "told other founders")
		c.wantWhy(1, "told other founders")
		c.w.Sleep(10 * time.Second)
		if of := c.founded(); len(of) != 0 {
			t.Errorf("founded: %v", of)
		}
	})
}

// A founder that is bound to one founding, and is then told another list with itself as the first,
// must not mint: the founding that it is bound to may happen with its answer.
func TestBoundFounderDoesNotMintForAnotherList(t *testing.T) {
	inWorld(t, 22, 3, time.Minute, func(c *island) {
		for _, i := range []int{0, 1} {
			if err := c.start(i); err != nil {
				t.Error(err)
			}
		}
		c.wantWhy(0, c.addrs[2]) // 1 has answered by now: only 2 is missing
		c.w.Sleep(5 * time.Second)
		c.w.Kill(1)
		c.w.Start(1)
		c.tune = func(_ int, o *lockstep.Options) { o.Founders = []string{c.addrs[1], c.addrs[2]} }
		for _, i := range []int{1, 2} {
			if err := c.start(i); err != nil {
				t.Error(err)
			}
		}
		c.wantWhy(1, "bound to the founding of another list")
		c.w.Sleep(10 * time.Second)
		if of := c.founded(); len(of) != 0 {
			t.Errorf("founded: %v", of)
		}
	})
}

func TestMinterWipedAfterOthersAreBoundFoundsNothing(t *testing.T) {
	inWorld(t, 23, 3, time.Minute, func(c *island) {
		for _, i := range []int{0, 1} {
			if err := c.start(i); err != nil {
				t.Error(err)
			}
		}
		c.w.Sleep(5 * time.Second) // 1 is bound, 2 is missing
		c.wipe(0)
		for _, i := range []int{0, 2} {
			if err := c.start(i); err != nil {
				t.Error(err)
			}
		}
		c.wantWhy(0, "not bound to this founding")
		c.w.Sleep(10 * time.Second)
		if of := c.founded(); len(of) != 0 {
			t.Errorf("founded: %v", of)
		}
	})
}

// Whoever is killed whenever, there is one cluster in the end, and all are in it.
func TestFoundingSurvivesKillsAtAnyMoment(t *testing.T) {
	t.Parallel()
	for seed := range uint64(24) {
		inWorld(t, 100+seed, 3, 2*time.Minute, func(c *island) {
			c.startAll()
			for k := range 6 {
				c.w.Sleep(time.Duration(1+(seed*7+uint64(k)*13)%40) * time.Millisecond)
				i := int(seed+uint64(k)) % 3
				if seed%2 == 0 {
					c.w.Kill(i)
				} else {
					c.w.PowerOff(i)
				}
				c.w.Start(i)
				if err := c.start(i); err != nil {
					t.Errorf("seed %d: open host %d: %v", seed, i, err)
					return
				}
			}
			for range 1000 {
				if of := c.founded(); len(of) > 1 {
					t.Errorf("seed %d: more than one cluster: %v", seed, of)
					return
				} else if len(of) == 1 {
					for _, hosts := range of {
						if len(hosts) == 3 {
							return
						}
					}
				}
				c.w.Sleep(20 * time.Millisecond)
			}
			t.Errorf("seed %d: founded %v; %q %q %q", seed, c.founded(),
				c.hosts[0].Status().Why, c.hosts[1].Status().Why, c.hosts[2].Status().Why)
		})
	}
}
