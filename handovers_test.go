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
		cmd, err := counter.Machine.EncodeCommand(counter.Add{N: 1})
		if err != nil {
			t.Error(err)
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
			"write": {3, func() error { _, err := g.Propose(c.w.Context(), cmd); return err }},
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
