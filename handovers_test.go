package lockstep_test

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// countedEnv counts how often a task of the host wakes another.
type countedEnv struct {
	env.Env
	wakes *int
}

func (c countedEnv) NewWaiter() env.Waiter { return countedWaiter{c.Env.NewWaiter(), c.wakes} }

type countedWaiter struct {
	env.Waiter
	wakes *int
}

func (c countedWaiter) Wake() {
	*c.wakes++
	c.Waiter.Wake()
}

// Each time that one task wakes another costs as much as the algorithm: a lonely write has the log's
// writer, the lane and its caller to wake, a lonely read the lane and its caller.
func TestLonelyCallsAreHandedOverSeldom(t *testing.T) {
	inWorld(t, 68, 1, time.Minute, func(c *island) {
		var wakes int
		c.tune = func(_ int, o *lockstep.Options) { o.Env = countedEnv{o.Env, &wakes} }
		if !c.began() {
			return
		}
		query, err := counter.Machine.EncodeQuery(counter.Get{})
		if err != nil {
			t.Error(err)
			return
		}
		g := c.hosts[0].Group(1)
		for name, lonely := range map[string]struct {
			most int
			call func() error
		}{
			"write": {3, func() error { _, err := g.Propose(c.w.Context(), addOne); return err }},
			"read":  {2, func() error { _, err := g.Read(c.w.Context(), query, lockstep.ReadOptions{}); return err }},
		} {
			for range 10 {
				c.w.Sleep(100 * time.Millisecond) // the former is done with
				c.w.Do(0, func() {
					before := wakes
					if err := lonely.call(); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if n := wakes - before; n > lonely.most {
						t.Errorf("a lonely %s is handed over %d times, at most %d are wanted", name, n, lonely.most)
					}
				})
			}
		}
	})
}

// A link's task is not woken for a lonely write either: turns write to the followers, and acknowledge. What is
// left of a call on three hosts is the three at its leader and the followers' logs; at times a connection does not
// take what a turn writes, so the least of several counts.
func TestLonelyWriteWakesNoLink(t *testing.T) {
	inWorld(t, 68, 3, time.Minute, func(c *island) {
		var wakes int
		c.tune = func(i int, o *lockstep.Options) { o.Env = countedEnv{o.Env, &wakes} }
		if !c.began() {
			return
		}
		leader, least := c.leader(1), 1000
		for range 20 {
			c.w.Sleep(100 * time.Millisecond)
			c.w.Do(leader, func() {
				before := wakes
				if _, err := c.hosts[leader].Group(1).Propose(c.w.Context(), addOne); err != nil {
					t.Error(err)
				}
				least = min(least, wakes-before)
			})
		}
		if least > 5 {
			t.Errorf("a lonely write among three hosts is handed over %d times, 5 are wanted", least)
		}
	})
}
