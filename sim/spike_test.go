package sim_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// spike is the ground that package sim stands on: the production engine on three simulated hosts,
// through the public API alone.
type spike struct {
	t      *testing.T
	w      *world.World
	hosts  [3]*lockstep.Host
	groups [3]*lockstep.Group
}

func (s *spike) addr(i int) string { return s.w.Addr(i, 7000) }

// open is the program's main on host i.
func (s *spike) open(i int) {
	s.w.Go(i, "main", func() {
		h, err := lockstep.Open(s.w.Context(), lockstep.Options{
			Dir: "data", Addr: s.addr(i), Founders: []string{s.addr(0), s.addr(1), s.addr(2)}, Insecure: true,
			Machines: map[string]machine.Kind{"counter": counter.Machine.Kind()}, Env: s.w.Host(i), Check: true,
			Logger: slog.New(slog.DiscardHandler), WALSegmentBytes: 256 << 10, MaxWALBytes: 8 << 20, Lanes: 1,
		})
		if err != nil {
			panic(fmt.Sprint("open: ", err))
		}
		s.hosts[i] = h
		g, err := h.Create(s.w.Context(), 1, lockstep.GroupOptions{Machine: "counter"})
		if err != nil {
			panic(fmt.Sprint("create: ", err))
		}
		s.groups[i] = g
	})
}

func (s *spike) awaitGroups() {
	for s.groups[0] == nil || s.groups[1] == nil || s.groups[2] == nil {
		s.w.Sleep(10 * time.Millisecond)
	}
}

func (s *spike) add(i int, d time.Duration) (n int64, err error) {
	err = errors.New("host died")
	s.w.Do(i, func() {
		ctx, cancel := s.w.WithTimeout(s.w.Context(), d)
		defer cancel()
		n, err = lockstep.Typed(s.groups[i], counter.Machine).Propose(ctx, counter.Add{N: 1})
	})
	return n, err
}

func (s *spike) main() {
	t := s.t
	s.awaitGroups()
	for i := range 30 {
		if n, err := s.add(i%3, 5*time.Second); err != nil || n != int64(i+1) {
			t.Errorf("add %d: %d, %v", i, n, err)
		}
	}
	if _, err := s.add(0, time.Nanosecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("add without time: %v", err)
	}
	s.w.Do(0, func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if _, err := s.groups[0].Propose(ctx, nil); !errors.Is(err, lockstep.ErrContext) {
			t.Errorf("propose with a context of the real clock: %v", err)
		}
	})
	s.w.Kill(1)
	s.w.PowerOff(2)
	for i := 1; i < 3; i++ {
		s.groups[i] = nil
		s.w.Start(i)
		s.open(i)
	}
	s.awaitGroups()
	if n, err := s.add(2, 5*time.Second); err != nil || n < 31 {
		t.Errorf("add after restart: %d, %v", n, err)
	}
	for i := range 3 {
		s.w.Do(i, func() {
			if err := s.hosts[i].Close(); err != nil {
				t.Errorf("close host %d: %v", i, err)
			}
		})
	}
	s.w.Stop()
}

func (s *spike) play(seed uint64) (hash, events uint64) {
	s.w = world.New(seed, world.Options{Shuffle: true})
	defer s.w.Close()
	for i := range 3 {
		s.open(i)
	}
	s.w.Go(world.Driver, "test", s.main)
	if s.w.Run(time.Minute); s.w.Now() >= time.Minute {
		s.t.Errorf("seed %d did not end\n%s", seed, s.w.Dump())
	}
	return s.w.Hash(), s.w.Events()
}

func TestOneSeedOneTraceThroughThePublicAPI(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		hash, events := (&spike{t: t}).play(seed)
		if again, n := (&spike{t: t}).play(seed); again != hash || n != events {
			t.Errorf("seed %d: hash %016x after %d events, then %016x after %d", seed, hash, events, again, n)
		}
	}
}
