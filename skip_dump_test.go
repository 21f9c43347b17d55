package lockstep_test

import (
	"context"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// The file that a replica names has the command of its own group, not of a former one under the same id.
func TestBytesOfACommandAreOfTheGroupThatIsThere(t *testing.T) {
	bad := "666"
	bend := func(int) func(*ledger, string) int64 {
		return func(_ *ledger, cmd string) int64 {
			if cmd == bad {
				panic("planted")
			}
			return 0
		}
	}
	ledgers(t, 500, 3, bend, func(c *island, _ *watcher) {
		_, _ = c.say(0, "4")
		_, _ = c.say(0, bad)
		_, dump := c.stoppedAt(0, 1, 2)
		c.until("its bytes are there", func() bool { return string(c.w.Disk(1).Medium(dump)) == "666" })
		c.until("destroyed", func() bool {
			return c.call(0, 20*time.Second, func(ctx context.Context, h *lockstep.Host) error { return h.Destroy(ctx, 1) }) == nil
		})
		bad = "777"
		c.until("created", func() bool {
			return c.call(0, 20*time.Second, func(ctx context.Context, h *lockstep.Host) error {
				_, err := h.Create(ctx, 1, lockstep.GroupOptions{Machine: "ledger"})
				return err
			}) == nil
		})
		c.until("first", func() bool { _, err := c.say(0, "4"); return err == nil })
		_, _ = c.say(0, bad)
		_, dump2 := c.stoppedAt(0, 1, 2)
		c.until("its bytes are there, in a file of its own", func() bool {
			return dump2 != dump && string(c.w.Disk(1).Medium(dump2)) == "777"
		})
	})
}

// With its group go the bytes of commands at which its machines failed: also on a host that was away, and on one whose
// replica had been taken out of the group before.
func TestBytesOfCommandsGoWithTheirGroup(t *testing.T) {
	for name, leave := range map[string]func(c *island){
		"away": func(c *island) { c.w.Kill(2) },
		"out": func(c *island) {
			c.reconfigure(0, 1, func(conf *lockstep.Configuration) { conf.Voters = []lockstep.HostID{1, 2} })
			c.until("it is out", func() bool { return len(c.hosts[2].Status().Groups) == 0 })
		},
		"out, and started again": func(c *island) {
			c.reconfigure(0, 1, func(conf *lockstep.Configuration) { conf.Voters = []lockstep.HostID{1, 2} })
			c.until("it is out", func() bool { return len(c.hosts[2].Status().Groups) == 0 })
			c.restart(2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			mended := false
			ledgers(t, 510, 3, poisoned(&mended), func(c *island, _ *watcher) {
				_, _ = c.say(0, "4")
				_, _ = c.say(0, "poison")
				_, dump := c.stoppedAt(0, 1, 2)
				for i := range c.hosts {
					c.until("its bytes are there", func() bool { return string(c.w.Disk(i).Medium(dump)) == "poison" })
				}
				leave(c)
				c.until("destroyed", func() bool { return c.destroy(0) == nil })
				if !c.w.Alive(2) {
					c.restart(2)
				}
				for i := range c.hosts {
					c.until("nothing is left", func() bool { return len(c.hasOf(i)) == 0 })
				}
			})
		})
	}
}
