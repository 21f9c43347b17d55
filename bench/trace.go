package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
)

// trace tells where the time of a lonely write goes: one client puts, and the engine's events on all
// three hosts, which are in this process, say when the entry reached which station. A value is the
// median time from the call; of the followers the faster one counts, which makes the majority.
func trace(t task) (point, error) {
	if t.Peer != subject && t.Peer != "lockstep-fdatasync" {
		return point{}, unable("tells no events")
	}
	logs := []*stations{{}, {}, {}}
	three, err := openTrio(t.Dir, 1, func(p place) (replica, error) {
		return openLockstep(p, lockstep.Options{Fdatasync: t.Peer != subject, Observer: logs[p.number-1]})
	})
	if err != nil {
		return point{}, err
	}
	defer three.close()
	time.Sleep(t.Warm)
	leader := three.leader(1).(*lockstepReplica)
	machine, cpu, began := machineCPU(), ownCPU(), time.Now()
	var writes []lonelyWrite
	for n := uint64(0); time.Since(began) < t.Duration; n++ {
		w := lonelyWrite{called: time.Now()}
		r, err := leader.groups[0].Propose(context.Background(), putCommand(n, n, t.Size))
		if err != nil {
			return point{}, err
		}
		w.answered, w.index = time.Now(), uint64(r.Index)
		writes = append(writes, w)
	}
	elapsed := time.Since(began)
	p := point{Foreign: float64(machineCPU()-machine-(ownCPU()-cpu)) / float64(elapsed)}
	own := logs[three.leaders[0].Load()]
	followers := slices.DeleteFunc(slices.Clone(logs), func(s *stations) bool { return s == own })
	for _, station := range []struct {
		name string
		kind env.EventKind
		of   []*stations
	}{
		{"leader appended µs", env.EntryAppended, []*stations{own}},
		{"follower appended µs", env.EntryAppended, followers},
		{"leader saved µs", env.EntriesSaved, []*stations{own}},
		{"follower saved µs", env.EntriesSaved, followers},
		{"committed µs", env.CommitAdvanced, []*stations{own}},
		{"executed µs", env.EntriesApplied, []*stations{own}},
	} {
		if took := medianTo(writes, station.kind, station.of); took > 0 {
			p.add(station.name, micros(took))
		}
	}
	var whole []float64
	for _, w := range writes {
		whole = append(whole, micros(w.answered.Sub(w.called)))
	}
	p.add("answered µs", median(whole))
	return p, nil
}

type lonelyWrite struct {
	called, answered time.Time
	index            uint64
}

// stations notes when a host's replica of group 1 came how far. It is safe for concurrent use.
type stations struct {
	mu     sync.Mutex
	events []arrival
}

type arrival struct {
	kind  env.EventKind
	index uint64
	at    time.Time
}

// Observe notes an event.
func (s *stations) Observe(e env.Event) {
	if e.Group != 1 {
		return
	}
	switch e.Kind {
	case env.EntryAppended, env.EntriesSaved, env.CommitAdvanced, env.EntriesApplied:
		s.mu.Lock()
		s.events = append(s.events, arrival{e.Kind, e.Index, time.Now()})
		s.mu.Unlock()
	}
}

// reached is when a station first was at an index or beyond.
func (s *stations) reached(kind env.EventKind) func(index uint64) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var of []arrival
	for _, e := range s.events {
		if e.kind == kind {
			of = append(of, e)
		}
	}
	return func(index uint64) (time.Time, bool) {
		i, _ := slices.BinarySearchFunc(of, index, func(a arrival, want uint64) int {
			if a.index < want {
				return -1
			}
			return 1
		})
		if i == len(of) {
			return time.Time{}, false
		}
		return of[i].at, true
	}
}

// medianTo is the median time from the call until the first of some hosts was there; 0 if none was.
func medianTo(writes []lonelyWrite, kind env.EventKind, of []*stations) time.Duration {
	var reached []func(uint64) (time.Time, bool)
	for _, s := range of {
		reached = append(reached, s.reached(kind))
	}
	var all []float64
	for _, w := range writes {
		first := time.Duration(-1)
		for _, at := range reached {
			if t, ok := at(w.index); ok && (first < 0 || t.Sub(w.called) < first) {
				first = t.Sub(w.called)
			}
		}
		if first >= 0 {
			all = append(all, float64(first))
		}
	}
	if len(all) == 0 {
		return 0
	}
	return time.Duration(median(all))
}
