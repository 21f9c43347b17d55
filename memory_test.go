package lockstep_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

// heap is what is in use after collections: what a sync.Pool keeps outlives the first.
func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Whatever is asked of a host, its memory stays within its budgets (A9, H19), and below them nothing is refused:
// with many commands outstanding, with long ones, and while a follower is dead, for which nothing is kept in
// memory but a cache of a fixed size. Each load writes many times what may stay.
func TestLoadsStayWithinMemoryAndAreNotRefused(t *testing.T) {
	const cache, most = 1 << 20, 32 << 20 // most: of three hosts, caches and what is used again included
	for _, load := range []struct {
		name                     string
		outstanding, size, total int
		dead                     bool
	}{
		{"4096 commands of 1 KiB outstanding", 4096, 1 << 10, 64 << 20, false},
		{"commands of 1 MiB", 16, 1 << 20, 64 << 20, false},
		{"dead follower", 256, 16 << 10, 64 << 20, true},
	} {
		t.Run(load.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := newTrio(t)
			for i := range c.hosts {
				o := c.options(i)
				o.Check, o.Logger = false, slog.New(slog.DiscardHandler)
				o.Machines = map[string]machine.Kind{"tally": {New: func(*machine.Place) (machine.StateMachine, error) { return new(tally), nil }}}
				o.MaxCacheBytes, o.MaxInFlightBytes, o.WALSegmentBytes, o.MaxWALBytes = cache, 4<<20, 4<<20, 1<<30
				h, err := lockstep.Open(ctx, o)
				if err != nil {
					t.Fatal(err)
				}
				c.hosts[i] = h
			}
			g := c.leading(ctx, "tally")
			if load.dead {
				for i, h := range c.hosts {
					if h.Group(1).Status().Role != "leader" {
						c.stop(i)
						break
					}
				}
			}
			before := heap()
			var clients sync.WaitGroup
			for range load.outstanding {
				clients.Go(func() {
					cmd := make([]byte, load.size)
					for range max(load.total/load.size/load.outstanding, 1) {
						if _, err := g.Propose(ctx, cmd); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			clients.Wait()
			for i := range c.hosts { // what a follower has not executed yet waits there, within another budget
				for c.hosts[i] != nil && c.hosts[i].Group(1).Status().Applied < g.Status().Commit && ctx.Err() == nil {
					runtime.Gosched()
				}
			}
			if after := heap(); after-before > most {
				t.Errorf("%d MiB of commands have left %d MiB in memory, more than %d", load.total>>20, (after-before)>>20, most>>20)
			}
		})
	}
}
