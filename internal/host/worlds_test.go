package host

import (
	"log/slog"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// inWorld runs test beside so many hosts, which have just been opened. What is to be said of their options is tune's;
// nil: nothing.
func inWorld(t *testing.T, count int, tune func(o *Options), test func(w *world.World, hosts []*Host)) {
	t.Helper()
	w := world.New(1, world.Options{Hosts: count})
	defer w.Close()
	founders := make([]string, count)
	for i := range founders {
		founders[i] = w.Addr(i, 7000)
	}
	done := false
	w.Go(world.Driver, "test", func() {
		hosts := make([]*Host, count)
		for i := range hosts {
			o := Options{
				Dir: "data", Env: w.Host(i), Machines: map[string]machine.Kind{"counter": counter.Machine.Kind()},
				Logger: slog.New(slog.DiscardHandler), Insecure: true, Check: true, Lanes: 1, Loops: 1,
			}
			if count > 1 {
				o.Addr, o.Listen, o.Founders = founders[i], founders[i], founders
			}
			if tune != nil {
				tune(&o)
			}
			w.Do(i, func() {
				var err error
				if hosts[i], err = Open(w.Context(), o); err != nil {
					t.Error(err)
				}
			})
		}
		if !t.Failed() {
			test(w, hosts)
		}
		done = true
		w.Stop()
	})
	w.Run(2 * time.Minute)
	if !done {
		t.Errorf("did not end by %v\n%s", w.Now(), w.Dump())
	}
}

// alone runs test beside a host of its own, which has group 1.
func alone(t *testing.T, test func(w *world.World, h *Host)) {
	t.Helper()
	inWorld(t, 1, func(o *Options) { o.MaxInFlightBytes = 64 << 10 }, func(w *world.World, hosts []*Host) {
		createGroup(t, w, hosts[0], 1)
		test(w, hosts[0])
	})
}

// createGroup makes a group of counters, asking host 0 of the world.
func createGroup(t *testing.T, w *world.World, h *Host, id raft.GroupID) {
	t.Helper()
	w.Do(0, func() {
		if err := h.Create(w.Context(), id, "counter", nil, func(*raft.Settings) {}); err != nil {
			t.Error(err)
		}
	})
}

// onTurn runs f on host i's turn, and comes back when it has.
func onTurn(w *world.World, hosts []*Host, i int, f func(h *Host)) {
	done := false
	w.Do(i, func() { hosts[i].post(event{kind: evDo, fn: func() { f(hosts[i]); done = true }}) })
	for !done {
		w.Sleep(time.Millisecond)
	}
}
