package world

import (
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// The measurements behind docs/decisions/0002-simulation-ground.md.

// TestSynctestTraces counts the traces that one seed gives when eight tasks sleep and write into
// one list, under testing/synctest and in a World. Only the World is held to a number.
func TestSynctestTraces(t *testing.T) {
	const runs, tasks, steps = 200, 8, 50
	count := func(play func(task func(n int, sleep func(time.Duration)))) int {
		seen := map[uint64]bool{}
		for range runs {
			var mu sync.Mutex
			trace := fnv.New64a()
			play(func(n int, sleep func(time.Duration)) {
				r := rand.New(rand.NewPCG(1, uint64(n)))
				for range steps {
					mu.Lock()
					_, _ = trace.Write([]byte{byte(n)})
					mu.Unlock()
					sleep(time.Duration(r.IntN(4)) * time.Millisecond)
				}
			})
			seen[trace.Sum64()] = true
		}
		return len(seen)
	}
	bubble := count(func(task func(int, func(time.Duration))) {
		synctest.Test(t, func(*testing.T) {
			var all sync.WaitGroup
			for n := range tasks {
				all.Add(1)
				env.OS().Run("task", func() { task(n, pass); all.Done() })
			}
			all.Wait()
		})
	})
	ours := count(func(task func(int, func(time.Duration))) {
		w := New(1, Options{})
		defer w.Close()
		for n := range tasks {
			w.Go(0, "task", func() { task(n, w.Sleep) })
		}
		w.Run(time.Hour)
	})
	t.Logf("%d runs of one seed: synctest %d traces, world %d", runs, bubble, ours)
	if ours != 1 {
		t.Fatalf("%d traces of one seed", ours)
	}
}

// pass lets d pass in a synctest bubble.
func pass(d time.Duration) {
	v := env.OS().NewWaiter()
	timer := time.AfterFunc(d, v.Wake)
	defer timer.Stop()
	_ = v.Wait(nil, 0)
}

func BenchmarkSwitchPull(b *testing.B) {
	next, stop := iter.Pull(func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
		}
	})
	defer stop()
	for b.Loop() {
		next()
	}
}

func BenchmarkSwitchChannels(b *testing.B) {
	ask, answer := make(chan int), make(chan int)
	env.OS().Run("answer", func() {
		for i := range ask {
			answer <- i
		}
		close(answer)
	})
	for b.Loop() {
		ask <- 1
		<-answer
	}
	close(ask)
	<-answer
}
