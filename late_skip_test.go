package lockstep_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// A host that joins the group later, with a build that can execute what was passed over, gets its log in pieces: one of
// them may end between the command and the word to pass over it. Its disk tells of neither. The machine executes the
// command, and nobody sees that: it is made anew as soon as the word is known, though no state was compared yet (H28).
func TestHostThatJoinsLaterExecutesWhatIsPassedOverUnseen(t *testing.T) {
	t.Parallel()
	const piece = 1 << 20 // of the log, in one message
	executed := 0
	for room := 1344; room < 2048; room += 96 { // the case is where the piece ends between the two, whatever is before them
		mended := 0
		ledgers(t, 480, 4, func(host int) func(*ledger, string) int64 {
			return func(_ *ledger, cmd string) int64 {
				switch {
				case cmd == "poison" && host < 3:
					panic("planted")
				case cmd == "poison":
					mended++
					return 1000
				}
				return 0
			}
		}, func(c *island, w *watcher) {
			tune := c.tune
			c.tune = func(i int, o *lockstep.Options) { // the next piece goes when the one before is on the disk
				tune(i, o)
				o.MaxInFlightBytes = 64 << 10
				o.WALSegmentBytes, o.MaxWALBytes, o.SnapshotAfterBytes = 4<<20, 256<<20, 64<<20 // no snapshot passes over anything
			}
			for i := range c.hosts {
				c.restart(i)
			}
			voters := func(ids ...lockstep.HostID) {
				c.reconfigure(0, 1, func(conf *lockstep.Configuration) { conf.Voters = ids })
			}
			voters(1, 2, 3)
			_, _ = c.say(0, "4")
			garbage := bytes.Repeat([]byte("x"), piece/2-room/2)
			for range 2 { // refused, and in the log
				_, _ = c.under(0, 10*time.Second, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
					return g.Propose(ctx, garbage)
				})
			}
			_, _ = c.say(0, "poison")
			at, _ := c.stoppedAt(0, 1, 2)
			if err := c.skip(1, at); err != nil {
				t.Errorf("room of %d: %v", room, err)
			}
			c.until("the others serve", func() bool { n, err := c.hear(0); return err == nil && n == 4 })
			done := false
			c.w.Go(world.Driver, "member", func() { voters(1, 2, 3, 4); done = true })
			for n := 0; n < 200 || !done; n++ {
				c.readsOnly(3, at, "4")
				c.w.Sleep(2 * time.Millisecond)
			}
			if mended > 0 {
				executed++
				if w.counts[3][env.ReplicaUnfit] == 0 {
					t.Errorf("room of %d: the command was executed, and the machine not made anew", room)
				}
			}
		})
	}
	if executed == 0 {
		t.Error("no host executed what is passed over: the case was not met")
	}
}

// readsOnly reads on host i at least what was passed over, and the newest; whatever is answered is want.
func (c *island) readsOnly(i int, at lockstep.Skip, want string) {
	for _, o := range []lockstep.ReadOptions{{Level: lockstep.AtLeast, After: at.Index}, {}} {
		r, err := c.under(i, 10*time.Millisecond, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) { return g.Read(ctx, nil, o) })
		if err == nil && string(r.Data) != want {
			c.t.Errorf("%v: host %d answers %q at %d, want %s", c.w.Now(), i, r.Data, r.Index, want)
		}
	}
}
