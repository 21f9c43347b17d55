package sim_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// write sends n commands of size bytes from 16 callers at once, and waits for their ends.
func write(ctx context.Context, w *sim.World, n, size int) {
	open := 16
	for i := range open {
		w.Go(world.Driver, "writer", func() {
			for c := w.Client(200 + i); n > 0; {
				n--
				_, _ = c.Propose(ctx, append(fmt.Appendf(nil, "%d.%d.", i, n), make([]byte, size)...))
			}
			open--
		})
	}
	for open > 0 {
		w.Sleep(10 * time.Millisecond)
	}
}

// snapshot seals one on the leader.
func snapshot(w *sim.World) {
	leader := w.AwaitLeader()
	w.Do(leader, func() {
		if _, err := w.Group(leader).Snapshot(w.Context()); err != nil {
			w.Errorf("snapshot on host %d: %v", leader, err)
		}
	})
}

// A follower saves quickly, its lane lags, and payloads have left memory. The snapshot that it gets
// once it has been cut off for long drops from its log the very entries that the lane has still to read.
func TestSnapshotOvertakesALaneThatReadsFromTheLog(t *testing.T) {
	t.Parallel()
	sim.Run(t, sim.Options{
		Machine: counter.Machine.Kind(), Hosts: 3, Seeds: 2, Length: time.Second, Faults: sim.None,
		Options: func(_ int, o *lockstep.Options) {
			o.MaxApplyBytes, o.MaxInboxBytes, o.CallTimeout = 64<<10, 8<<20, 3*time.Second
			o.WALSegmentBytes, o.MaxWALBytes, o.SnapshotAfterBytes = 4<<20, 64<<20, 8<<20
		},
		Script: func(ctx context.Context, w *sim.World) {
			slow := (w.AwaitLeader() + 1) % 3
			w.Disk(slow).Hook = func(op world.Op, name string) error {
				if op == world.OpRead && strings.Contains(name, "wal/") {
					w.Sleep(100 * time.Millisecond) // the log is read slowly, and written as ever
				}
				return nil
			}
			write(ctx, w, 400, 20<<10)
			w.Isolate(slow)
			w.Sleep(4 * time.Second) // links are lost, and what was under way with them
			for range 3 {
				write(ctx, w, 30, 1<<10)
				snapshot(w)
			}
			w.HealAll()
			w.Sleep(20 * time.Second)
		},
	})
}

// A follower is behind the leader's log, whose newest snapshot cannot be read any more; nobody writes.
func TestDamagedSnapshotOfTheLeaderDoesNotStrandAFollower(t *testing.T) {
	for name, ruin := range map[string]func(*world.Disk, string, int64) bool{
		"rotten":     func(d *world.Disk, file string, n int64) bool { return d.Rot(file, 0, n) },
		"unreadable": func(d *world.Disk, file string, n int64) bool { return d.Spoil(file, 0, n) },
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, func(ctx context.Context, w *sim.World) {
				c := w.Client(100)
				leader := w.AwaitLeader()
				behind := (leader + 1) % 3
				add(ctx, w, c, 5)
				w.Kill(behind)
				for range 3 {
					add(ctx, w, c, 20)
					snapshot(w)
				}
				w.Do(leader, func() {
					files := w.World.Host(leader).FS()
					infos, _ := files.ReadDir("data/snapshots") // in the order of groups and indexes
					newest := "data/snapshots/" + infos[len(infos)-1].Name
					info, _ := files.Stat(newest)
					if !ruin(w.Disk(leader), newest, info.Size) {
						w.Errorf("no snapshot to ruin: %v", infos)
					}
					if f, err := files.Open(newest, env.Read); err == nil {
						_ = f.DropCache()
						_ = f.Close()
					}
				})
				w.Start(behind)
			})
		})
	}
}
