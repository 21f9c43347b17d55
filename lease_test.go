package lockstep_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// A leader that has a lease answers at once, another host in one trip; a lease is switched on in a running
// group, and off.
func TestLeasedReadNeedsNoRound(t *testing.T) {
	inWorld(t, 210, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		lead := c.leader(1)
		took := func(i int, level lockstep.Level) time.Duration {
			began := c.w.Now()
			if _, err := c.get(i, 1, 5*time.Second, lockstep.ReadOptions{Level: level}); err != nil {
				t.Errorf("read at level %d on host %d: %v", level, i, err)
			}
			return c.w.Now() - began
		}
		took(lead, lockstep.Leased)
		if d := took(lead, lockstep.Leased); d == 0 {
			t.Error("a leased read without a lease needs no round")
		}
		set := func(lease time.Duration) {
			c.reconfigure(lead, 1, func(conf *lockstep.Configuration) { conf.Settings.Lease = lease })
			if conf := c.configuration(lead, 1); conf.Settings.Lease != lease || conf.Settings.MaxDriftPPM != 500 {
				t.Errorf("settings are %+v, want a lease of %v", conf.Settings, lease)
			}
		}
		set(time.Second)
		took(lead, lockstep.Leased) // has the lease granted
		c.w.Sleep(100 * time.Millisecond)
		if d := took(lead, lockstep.Leased); d > 0 {
			t.Errorf("a leased read of the leader took %v, and should not leave it", d)
		}
		round := took(lead, lockstep.Linearizable)
		if round == 0 {
			t.Error("a linearizable read needs no round")
		}
		if d := took((lead+1)%3, lockstep.Leased); d == 0 || d > 2*round {
			t.Errorf("a leased read of a follower took %v, a round %v", d, round)
		}
		set(0)
		c.w.Sleep(time.Second)
		if d := took(lead, lockstep.Leased); d == 0 {
			t.Error("a leased read needs no round after leases were switched off")
		}
		err := c.within(lead, func(ctx context.Context) error {
			_, err := c.hosts[lead].Create(ctx, 2, lockstep.GroupOptions{Machine: "counter", Settings: lockstep.Settings{Lease: time.Hour}})
			return err
		})
		if !errors.Is(err, lockstep.ErrOptions) {
			t.Errorf("a lease of an hour: %v", err)
		}
	})
}

// With leases the next leader waits for the former one's: that is their price.
func TestNewLeaderWaitsForALease(t *testing.T) {
	for _, lease := range []time.Duration{0, 2 * time.Second} {
		inWorld(t, 211, 3, time.Minute, func(c *island) {
			if !c.began() {
				return
			}
			lead := c.leader(1)
			if lease > 0 {
				c.reconfigure(lead, 1, func(conf *lockstep.Configuration) { conf.Settings.Lease = lease })
			}
			c.w.Kill(lead)
			began := c.w.Now()
			c.until("a command of another host", func() bool { // the first may have gone to the dead leader
				_, err := c.add((lead+1)%3, 1, 10*time.Second)
				return err == nil
			})
			if d := c.w.Now() - began; d < lease || d > lease+time.Second {
				t.Errorf("with a lease of %v a command was committed %v after the leader's death", lease, d)
			}
		})
	}
}
