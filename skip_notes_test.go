package lockstep_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/lockstep-rsm/lockstep/sim/world"
)

// A note that the disk took in part only, or did not make durable, is written over by the next try (H28).
func TestNoteThatWasBegunIsWrittenLater(t *testing.T) {
	for _, failing := range []world.Op{world.OpWrite, world.OpSync, world.OpSyncDir} {
		mended := false
		ledgers(t, 79, 3, undecided(&mended), func(c *island, _ *watcher) {
			_, _ = c.say(0, "4")
			_, _ = c.say(0, "poison")
			_, dump := c.stoppedAt(0, 1, 2)
			if !c.until("its bytes are in the file", func() bool { return string(c.w.Disk(1).Medium(dump)) == "poison" }) {
				return
			}
			refused := 0
			c.w.Disk(1).Hook = func(op world.Op, name string) error {
				if op == failing && (strings.HasSuffix(name, ".executed") || strings.HasSuffix(name, "/quarantine")) {
					refused++
					return syscall.ENOSPC
				}
				return nil
			}
			mended = true
			c.restart(1)
			c.until("the disk has refused the note once", func() bool { return refused >= 1 })
			c.w.Disk(1).Hook = nil
			c.until("it serves", func() bool { n, err := c.hear(1); return err == nil && n == 104 })
		})
	}
}

// A note that a process has found, and not written, may be in the system's memory alone: who executes the command
// again writes it again before anybody sees what came of it, so that it outlives a power loss (H28).
func TestNoteThatWasFoundIsWrittenAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		mended := false
		ledgers(t, 300+seed, 3, undecided(&mended), func(c *island, _ *watcher) {
			_, _ = c.say(0, "4")
			_, _ = c.say(0, "poison")
			at, dump := c.stoppedAt(0, 1, 2)
			if !c.until("its bytes are in the file", func() bool { return string(c.w.Disk(1).Medium(dump)) == "poison" }) {
				return
			}
			begun := false
			c.w.Disk(1).Hook = func(op world.Op, name string) error {
				if strings.HasSuffix(name, ".executed") && op == world.OpSync {
					begun = true
					return syscall.EIO
				}
				return nil
			}
			mended = true
			c.restart(1)
			c.until("the note is begun", func() bool { return begun })
			c.w.Disk(1).Hook = nil
			c.restart(1) // the process dies before the note is durable
			if !c.until("it serves", func() bool { n, err := c.hear(1); return err == nil && n == 104 }) {
				return
			}
			mended = false
			c.w.PowerOff(1)
			c.w.Start(1)
			if err := c.start(1); err != nil {
				t.Error(err)
			}
			c.stoppedAt(0, 1, 2)
			err := c.skip(0, at)
			if err == nil {
				t.Errorf("seed %d: 104 was read, and is passed over", seed)
			}
		})
	}
}
