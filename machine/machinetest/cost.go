package machinetest

import (
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/lockstep-rsm/lockstep/machine"
)

// viewCost compares what a View costs in a small state and in one many times as large: the bytes it
// allocates, and the time it takes.
func (s *suite) viewCost() {
	s.t.Helper()
	s.r = rand.New(rand.NewPCG(1, 1))
	const few, many = 512, 32 * 512
	m := s.machine()
	var small, large cost
	for n := 0; n < many; n += few {
		batch := make([]step, few)
		for i := range batch {
			batch[i].command = machine.Command{Index: machine.Index(1 + n + i), Time: machine.Time(n+i) * 1000, Data: s.command(s.r)}
		}
		s.apply(m, batch)
		if n == 0 {
			small = s.costOfView(m)
		}
	}
	large = s.costOfView(m)
	if large.saved < 4*small.saved {
		s.t.Logf("the state does not grow with these commands (%d bytes after %d, %d after %d): the cost of View is not judged",
			small.saved, few, large.saved, many)
		return
	}
	if large.bytes > 8*small.bytes+4096 || large.time > 16*small.time && large.time > 50*time.Microsecond {
		s.fatalf("it costs %d bytes and %v with a state of %d bytes, %d bytes and %v with one of %d: keep the state copy-on-write",
			small.bytes, small.time, small.saved, large.bytes, large.time, large.saved)
	}
}

type cost struct {
	bytes uint64
	time  time.Duration
	saved int
}

// costOfView takes the least of several tries, for all else that runs adds to both measures.
func (s *suite) costOfView(m machine.StateMachine) cost {
	s.t.Helper()
	least := cost{bytes: 1 << 62, time: time.Hour}
	for range 16 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		v := m.View()
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		least.bytes = min(least.bytes, after.TotalAlloc-before.TotalAlloc)
		least.time = min(least.time, took)
		s.close(v)
	}
	v := s.view(m)
	least.saved = len(s.save(v))
	s.close(v)
	return least
}
