package sim_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim"
)

// scripted plays a few seeds of a script alone: three hosts, no drawn faults, no clients.
func scripted(t *testing.T, script func(ctx context.Context, w *sim.World)) {
	t.Helper()
	sim.Run(t, sim.Options{Machine: counter.Machine.Kind(), Hosts: 3, Seeds: 3, Length: time.Second, Faults: sim.None, Script: script})
}

// add proposes until it is answered, so that the log has something to lose.
func add(ctx context.Context, w *sim.World, c *sim.Client, times int) {
	count := lockstep.Typed(c, counter.Machine)
	for done := 0; done < times; {
		if _, err := count.Propose(ctx, counter.Add{N: 1}); err == nil {
			done++
		}
	}
}

func TestWipedHostGetsNoVote(t *testing.T) {
	scripted(t, func(ctx context.Context, w *sim.World) {
		c := w.Client(100)
		victim := (w.AwaitLeader() + 1) % 3
		add(ctx, w, c, 20)
		w.PowerOff(victim)
		w.Wipe(victim)
		w.Start(victim)
		w.Sleep(5 * time.Second)
		if why := w.Host(victim).Status().Why; !strings.Contains(why, "it gets no vote") {
			w.Errorf("wiped host %d says only %q", victim, why)
		}
		add(ctx, w, c, 5) // the other two serve on
		// Without a second voter the last one must not find a majority in the wiped one.
		lone := (victim + 1) % 3
		for h := range 3 {
			if h != victim && h != lone {
				w.Kill(h)
			}
		}
		w.Sleep(10 * time.Second)
		if w.Leader() == lone {
			w.Errorf("host %d leads with the vote of the wiped one", lone)
		}
	})
}

func TestStuckDiskOfLeaderFailsOver(t *testing.T) {
	scripted(t, func(ctx context.Context, w *sim.World) {
		c := w.Client(100)
		leader := w.AwaitLeader()
		add(ctx, w, c, 5)
		w.Disk(leader).Stuck = true
		w.Sleep(3 * time.Second)
		if now := w.Leader(); now == leader {
			w.Errorf("host %d leads on, with a stuck disk", leader)
		}
		w.Disk(leader).Stuck = false
	})
}

func TestPowerLossOfAllLosesNothing(t *testing.T) {
	scripted(t, func(ctx context.Context, w *sim.World) {
		c := w.Client(100)
		for range 5 {
			w.AwaitLeader()
			add(ctx, w, c, 10)
			w.PowerOff(0, 1, 2)
			for h := range 3 {
				w.Start(h)
			}
		}
	})
}
