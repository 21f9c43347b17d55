package lockstep_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// TestHostIsRemovedWhileAnotherIsDown: of four hosts one is down and one, which is up, is removed. Its
// vote in group 0 is needed until that group has been changed: nobody may stop listening to it before.
func TestHostIsRemovedWhileAnotherIsDown(t *testing.T) {
	growing(t, 11, 4, 4, 20*time.Minute, func(c *island) {
		c.w.Kill(1)
		c.w.Sleep(5 * time.Second)
		_ = c.call(0, 2*time.Minute, func(ctx context.Context, h *lockstep.Host) error { return h.Remove(ctx, 4) })
		_ = c.call(0, 2*time.Minute, func(ctx context.Context, h *lockstep.Host) error {
			_, err := h.Token(ctx, time.Hour)
			return err
		})
	})
}

// TestChangeThatTookPlaceIsNotDenied cuts the leader off at every moment of a change that another host
// asked for: what is in force afterwards was not said to be in no log (H5).
func TestChangeThatTookPlaceIsNotDenied(t *testing.T) {
	t.Parallel()
	growing(t, 21, 3, 3, 100*time.Minute, func(c *island) {
		for k := 60; k < 85; k++ {
			c.until("answers", func() bool { _, err := c.add(0, 1, 10*time.Second); return err == nil })
			lead := c.leader(1)
			from := (lead + 1) % 3
			conf := c.configuration(from, 1)
			if conf.Index == 0 {
				continue
			}
			conf.Settings.MaxEntryBytes = int64(1000 + k)
			var err error
			done := false
			c.w.Go(from, "change", func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), 20*time.Second)
				defer cancel()
				_, err = c.hosts[from].Group(1).Reconfigure(ctx, conf)
				done = true
			})
			c.w.Sleep(time.Duration(k) * 100 * time.Microsecond)
			c.w.Cut(lead, from)
			c.w.Sleep(50 * time.Millisecond)
			c.w.Isolate(lead)
			c.until("the call ends", func() bool { return done })
			c.w.HealAll()
			c.until("answers", func() bool { _, err := c.add(from, 1, 10*time.Second); return err == nil })
			now := c.configuration(from, 1).Settings.MaxEntryBytes
			if err != nil && lockstep.OutcomeOf(err) == lockstep.NotCommitted && now == conf.Settings.MaxEntryBytes {
				t.Errorf("after %d00 µs: said not to be committed, and in force: %v", k, err)
			}
		}
	})
}

// TestHostIsPutBackBeforeItKnowsThatItWasRemoved ends a host at each disk operation of its removal from
// a group, and puts it back into the group as another replica while it is down. It serves as that one,
// and what is left of the first takes nothing away from it (H21).
func TestHostIsPutBackBeforeItKnowsThatItWasRemoved(t *testing.T) {
	t.Parallel()
	for k := 1; k <= 6; k++ {
		growing(t, uint64(100+k), 3, 3, 60*time.Minute, func(c *island) {
			for range 20 {
				_, _ = c.add(0, 1, 10*time.Second)
			}
			lead := c.leader(1)
			gone, from := (lead+1)%3, (lead+2)%3
			id := c.hosts[gone].ID()
			c.endAt(gone, k, false)
			c.reconfigure(from, 1, func(conf *lockstep.Configuration) {
				conf.Voters = slices.DeleteFunc(conf.Voters, func(h lockstep.HostID) bool { return h == id })
			})
			c.w.Sleep(200 * time.Millisecond)
			if c.w.Alive(gone) {
				c.w.Kill(gone)
			}
			c.w.Disk(gone).Hook = nil
			done := false
			c.w.Go(from, "put back", func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), 5*time.Minute)
				defer cancel()
				conf, _ := c.hosts[from].Group(1).Configuration(ctx)
				conf.Voters = append(conf.Voters, id)
				slices.Sort(conf.Voters)
				if _, err := c.hosts[from].Group(1).Reconfigure(ctx, conf); err != nil {
					t.Errorf("operation %d: put back: %v", k, err)
				}
				done = true
			})
			c.w.Sleep(3 * time.Second)
			for range 2 { // what it has become is there after another start too
				if c.w.Alive(gone) {
					c.w.Kill(gone)
				}
				c.w.Start(gone)
				if err := c.start(gone); err != nil {
					t.Error(err)
					return
				}
				if !c.until("it is back, and serves", func() bool {
					_, err := c.get(gone, 1, 5*time.Second, lockstep.ReadOptions{})
					return done && err == nil && c.hosts[gone].Group(1).Status().State == "serving"
				}) {
					return
				}
			}
		})
	}
}

// TestJoinedReplicaThatDiesBeforeItsFirstEntryBegins: its note is there, and no entry.
func TestJoinedReplicaThatDiesBeforeItsFirstEntryBegins(t *testing.T) {
	for k := 1; k <= 8; k++ {
		growing(t, uint64(300+k), 3, 4, 60*time.Minute, func(c *island) {
			c.join(3, 0)
			c.until("it votes in group 0", func() bool { return len(c.configuration(0, 0).Voters) == 4 })
			c.w.Sleep(5 * time.Second)
			done := false
			c.endAt(3, k, false)
			c.w.Go(0, "add", func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), 5*time.Minute)
				defer cancel()
				conf, _ := c.hosts[0].Group(1).Configuration(ctx)
				conf.Voters = append(conf.Voters, 4)
				if _, err := c.hosts[0].Group(1).Reconfigure(ctx, conf); err != nil {
					t.Errorf("operation %d: %v", k, err)
				}
				done = true
			})
			c.w.Sleep(3 * time.Second)
			c.w.Disk(3).Hook = nil
			if c.w.Alive(3) {
				c.w.Kill(3)
			}
			c.w.Start(3)
			if err := c.start(3); err != nil {
				t.Error(err)
				return
			}
			c.until("it begins", func() bool { return done && c.hosts[3].Group(1).Status().State == "serving" })
		})
	}
}
