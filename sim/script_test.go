package sim_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// scripted plays a few seeds of a script alone: three hosts, no drawn faults, no clients.
func scripted(t *testing.T, script func(ctx context.Context, w *sim.World)) {
	t.Helper()
	seeds := 3
	if testing.Short() {
		seeds = 1
	}
	sim.Run(t, sim.Options{Machine: counter.Machine.Kind(), Hosts: 3, Seeds: seeds, Length: time.Second, Faults: sim.None, Script: script})
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

// A full disk clears by itself, and so does what it kept from beginning: here, as a group is created.
func TestGroupCreatedWhileADiskIsFullBeginsThereLater(t *testing.T) {
	scripted(t, func(_ context.Context, w *sim.World) {
		leader := w.AwaitLeader()
		full := (leader + 1) % 3
		w.Disk(full).Hook = func(op world.Op, name string) error {
			if op == world.OpCreate && strings.Contains(name, "founded/") {
				return syscall.ENOSPC
			}
			return nil
		}
		w.Do(leader, func() {
			if _, err := w.Host(leader).Create(w.Context(), 2, lockstep.GroupOptions{Machine: "machine"}); err != nil {
				w.Errorf("create: %v", err)
			}
		})
		w.Sleep(time.Second)
		if why := w.Host(full).Status().Why; !strings.Contains(why, "as soon as the disk has room") {
			w.Errorf("host %d, whose disk is full, says %q", full, why)
		}
		w.Disk(full).Hook = nil
		w.Sleep(5 * time.Second)
		w.Do(full, func() {
			v, _, err := w.Host(full).Group(2).View(w.Context(), lockstep.ReadOptions{})
			if why := w.Host(full).Status().Why; err != nil || why != "" {
				w.Errorf("with room again: %v, why %q", err, why)
				return
			}
			_ = v.Close()
		})
	})
}

// More reads than a leader keeps open at once (H19), of which it can confirm none: all end in their time.
func TestReadsBeyondTheBoundEndWithTheirContexts(t *testing.T) {
	query, err := counter.Machine.EncodeQuery(counter.Get{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = sim.Play(1, sim.Options{
		Machine: counter.Machine.Kind(), Hosts: 3, Length: time.Second, Faults: sim.None,
		Script: func(_ context.Context, w *sim.World) {
			leader := w.AwaitLeader()
			w.Isolate(leader)
			open := 4200
			for range open {
				w.Go(leader, "reader", func() {
					short, cancel := w.WithTimeout(w.Context(), time.Second)
					defer cancel()
					_, _ = w.Group(leader).Read(short, query, lockstep.ReadOptions{})
					open--
				})
			}
			w.Sleep(2 * time.Second)
			if open > 0 {
				w.Errorf("%d reads are open after a second of time for each", open)
			}
		},
	})
	if err != nil {
		t.Error(err)
	}
}

// long sends commands of several blocks without a pause, so that whatever stops a host stops it in
// the middle of a write. The counter refuses them, which costs nothing.
func long(ctx context.Context, c *sim.Client) {
	for n := 0; ctx.Err() == nil; n++ {
		_, _ = c.Propose(ctx, append(fmt.Appendf(nil, "%d.%d.", c.N, n), make([]byte, 20<<10)...))
		c.Sleep(time.Duration(c.Rand().Int64N(int64(20 * time.Millisecond))))
	}
}

func TestWritesCutShortAreNotKept(t *testing.T) {
	if testing.Short() {
		t.Skip("many seconds under the race detector, and one goroutine")
	}
	sim.Run(t, sim.Options{
		Machine: counter.Machine.Kind(), Client: long, Hosts: 3, Seeds: 2, Length: 12 * time.Second, Faults: sim.None,
		Options: func(_ int, o *lockstep.Options) {
			o.WALSegmentBytes, o.MaxWALBytes, o.SnapshotAfterBytes, o.MaxInboxBytes = 512<<10, 8<<20, 256<<10, 1<<20
		},
		Script: func(_ context.Context, w *sim.World) {
			for i := range 40 {
				h := w.Rand().IntN(3)
				w.Disk(h).Slow = float64(1 + w.Rand().IntN(20))
				w.Sleep(time.Duration(w.Rand().Int64N(int64(200 * time.Millisecond))))
				if i%2 == 0 {
					w.PowerOff(h)
				} else {
					w.Kill(h)
				}
				w.Disk(h).Slow = 0
				w.Sleep(100 * time.Millisecond)
				w.Start(h)
			}
		},
	})
}
