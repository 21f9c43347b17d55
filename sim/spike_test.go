package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// spike runs the public API alone on three simulated hosts: open, propose with timeout and cancel,
// crash, reopen, close.
func spike(t *testing.T, seed uint64) (hash, events uint64) {
	w := world.New(seed, world.Options{Shuffle: true})
	defer w.Close()
	var founders []string
	for i := range 3 {
		founders = append(founders, w.Addr(i, 7000))
	}
	hosts := make([]*lockstep.Host, 3)
	groups := make([]*lockstep.Group, 3)
	open := func(i int) {
		log := slog.New(slog.DiscardHandler)
		if os.Getenv("SIMLOG") != "" {
			log = slog.New(slog.NewTextHandler(os.Stderr, nil))
		}
		w.Go(i, "main", func() {
			h, err := lockstep.Open(w.Context(), lockstep.Options{
				Dir: "data", Addr: founders[i], Founders: founders, Insecure: true, Env: w.Host(i), Check: true,
				Machines: map[string]machine.Kind{"counter": counter.Machine.Kind()}, Logger: log,
				WALSegmentBytes: 256 << 10, MaxWALBytes: 8 << 20, Lanes: 1, Loops: 1,
			})
			if err != nil {
				panic(fmt.Sprint("open: ", err))
			}
			hosts[i] = h
			g, err := h.Create(w.Context(), 1, lockstep.GroupOptions{Machine: "counter"})
			if err != nil {
				panic(fmt.Sprint("create: ", err))
			}
			groups[i] = g
		})
	}
	for i := range 3 {
		open(i)
	}
	done := false
	w.Go(world.Driver, "test", func() {
		add := func(i int, d time.Duration) (n int64, err error) {
			ok := w.Do(i, func() {
				ctx, cancel := w.WithTimeout(w.Context(), d)
				defer cancel()
				n, err = lockstep.Typed(groups[i], counter.Machine).Propose(ctx, counter.Add{N: 1})
			})
			if !ok {
				return 0, errors.New("host died")
			}
			return n, err
		}
		for groups[0] == nil || groups[1] == nil || groups[2] == nil {
			w.Sleep(10 * time.Millisecond)
		}
		for i := range 30 {
			if n, err := add(i%3, 5*time.Second); err != nil || n != int64(i+1) {
				t.Errorf("seed %d: add %d: %d, %v", seed, i, n, err)
			}
		}
		if _, err := add(0, time.Nanosecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("seed %d: add without time: %v", seed, err)
		}
		w.Do(0, func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if _, err := groups[0].Propose(ctx, nil); !errors.Is(err, lockstep.ErrContext) {
				t.Errorf("seed %d: foreign context: %v", seed, err)
			}
		})
		w.Kill(1)
		w.PowerOff(2)
		groups[1], groups[2] = nil, nil
		w.Start(1)
		w.Start(2)
		open(1)
		open(2)
		for groups[1] == nil || groups[2] == nil {
			w.Sleep(10 * time.Millisecond)
		}
		if n, err := add(2, 5*time.Second); err != nil || n < 31 {
			t.Errorf("seed %d: add after restart: %d, %v", seed, n, err)
		}
		w.Sleep(10 * time.Second)
		for i := range 3 {
			w.Do(i, func() { hosts[i].Close() })
		}
		done = true
		w.Stop()
	})
	w.Run(2 * time.Minute)
	if !done {
		t.Errorf("seed %d: did not end at %v\n%s", seed, w.Now(), w.Dump())
	}
	return w.Hash(), w.Events()
}

func TestSpike(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		h1, e1 := spike(t, seed)
		h2, e2 := spike(t, seed)
		if h1 != h2 || e1 != e2 {
			t.Errorf("seed %d: hash %x after %d events, then %x after %d", seed, h1, e1, h2, e2)
		}
		t.Logf("seed %d: %x %d", seed, h1, e1)
	}
}
