package host

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

func TestBudgetTakesWhatIsAloneWhateverItsLength(t *testing.T) {
	b := budget{most: 100}
	if !b.take(1000) || b.take(1) {
		t.Error("a length above the bound is not taken alone, or not alone")
	}
	b.give(1000)
	if !b.take(60) || !b.take(40) || b.take(1) {
		t.Error("the bound is not met exactly")
	}
	b.give(100)
	if held := b.held.Load(); held != 0 {
		t.Errorf("%d bytes are held after all were given back", held)
	}
}

// Who fits is never refused because somebody who does not fit is asking at the same time.
func TestBudgetIsNeverMetBelowItsBound(t *testing.T) {
	const tasks, rounds = 4, 200000
	b := budget{most: 100}
	b.take(1)
	var refused, ended atomic.Int64
	done := env.OS().NewWaiter()
	for task := range 2 * tasks {
		env.OS().Run("budget", func() {
			for range rounds {
				switch {
				case task < tasks: // together with the others of its kind it fits
					if !b.take(20) {
						refused.Add(1)
						continue
					}
					b.give(20)
				case b.take(1000):
					t.Error("a length above the bound is taken beside others")
				}
			}
			if ended.Add(1) == 2*tasks {
				done.Wake()
			}
		})
	}
	if err := done.Wait(context.Background(), 0); err != nil || refused.Load() != 0 || b.held.Load() != 1 {
		t.Errorf("%v; %d were refused below the bound, %d bytes are held", err, refused.Load(), b.held.Load())
	}
}

// A peer that sends more than a turn handles is not read any further, beside the turn: nobody else
// waits for it, and it goes on as soon as a turn has handled what is above the bound.
func TestLinkIsNotReadOnWhileItsPacketsWait(t *testing.T) {
	alone(t, func(w *world.World, h *Host) {
		h.inbox.mu.Lock()
		h.inbox.turning = true // somebody runs the turn, and is slow
		h.inbox.mu.Unlock()
		const frame = 10 << 10
		frames := map[raft.HostID]int{}
		for _, from := range []raft.HostID{2, 3} {
			w.Go(0, "link", func() {
				for frames[from] < 20 {
					(*links)(h).Receive(from, []wire.Packet{{Reply: &wire.ForwardReply{Group: 77}}}, frame)
					frames[from]++
				}
			})
		}
		w.Sleep(time.Second)
		for from, n := range frames {
			if most := int(h.opts.MaxInFlightBytes); n*frame > most || (n+1)*frame <= most-frame {
				t.Errorf("host %d was read on after %d bytes, the bound is %d", from, n*frame, most)
			}
		}
		w.Do(0, h.turn)
		w.Sleep(time.Second)
		for from, n := range frames {
			if n != 20 {
				t.Errorf("host %d: %d frames of 20 were received after the turn had gone on", from, n)
			}
			if held := h.backlogOf(from).held.Load(); held != 0 {
				t.Errorf("host %d: %d bytes are held, and nothing waits", from, held)
			}
		}
		var err error
		w.Do(0, func() { _, err = h.Propose(w.Context(), 1, []byte("no command")) })
		var no *machine.Refusal
		if !errors.As(err, &no) {
			t.Errorf("propose after it: %v", err)
		}
	})
}

// Nobody makes a host keep what has ended: a Wait for an index far away leaves nothing behind.
func TestWaitThatEndsLeavesNothing(t *testing.T) {
	alone(t, func(w *world.World, h *Host) {
		w.Do(0, func() {
			for range 10 {
				ctx, cancel := w.WithTimeout(w.Context(), time.Millisecond)
				if _, err := h.Wait(ctx, 1, 1<<40); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("wait: %v", err)
				}
				cancel()
			}
		})
		if n := len(h.Replica(1).lane.waiters); n != 0 {
			t.Errorf("%d waiters are left", n)
		}
	})
}

// Nor does a Snapshot whose caller has lost patience.
func TestSnapshotThatIsGivenUpLeavesNothing(t *testing.T) {
	alone(t, func(w *world.World, h *Host) {
		w.Disk(0).Stuck = true
		w.Do(0, func() {
			for range 10 {
				ctx, cancel := w.WithTimeout(w.Context(), time.Millisecond)
				if _, err := h.Snapshot(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("snapshot: %v", err)
				}
				cancel()
			}
		})
		if n := len(h.Replica(1).snapshots.waiters); n != 0 {
			t.Errorf("%d waiters are left", n)
		}
		w.Disk(0).Stuck = false
		w.Do(0, func() {
			if _, err := h.Snapshot(w.Context(), 1); err != nil {
				t.Errorf("snapshot after it: %v", err)
			}
		})
	})
}
