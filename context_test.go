package lockstep_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// A context that ends on the real clock would make a simulation depend on it: every call that has to
// wait says so, and under which name.
func TestForeignContextIsNamedByEveryCall(t *testing.T) {
	inWorld(t, 69, 3, 2*time.Minute, func(c *island) {
		if !c.leftAlone() {
			return
		}
		h, g := c.hosts[0], c.hosts[0].Group(1)
		foreign, cancel := context.WithCancel(context.Background())
		defer cancel()
		for name, call := range map[string]func() error{
			"Propose": func() error { _, err := g.Propose(foreign, addOne); return err },
			"Call.Wait": func() error {
				var call lockstep.Call
				if err := g.Start(addOne, &call); err != nil {
					return err
				}
				_, err := call.Wait(foreign)
				return err
			},
			"Read":           func() error { _, err := g.Read(foreign, nil, lockstep.ReadOptions{}); return err },
			"View":           func() error { _, _, err := g.View(foreign, lockstep.ReadOptions{}); return err },
			"Wait":           func() error { _, err := g.Wait(foreign, 1<<40); return err },
			"Snapshot":       func() error { _, err := g.Snapshot(foreign); return err },
			"TransferLeader": func() error { return g.TransferLeader(foreign, 2) },
			"Announce":       func() error { return h.Announce(foreign, "here") },
			"Create": func() error {
				_, err := h.Create(foreign, 9, lockstep.GroupOptions{Machine: "counter"})
				return err
			},
		} {
			c.w.Do(0, func() {
				if err := call(); !errors.Is(err, lockstep.ErrContext) {
					t.Errorf("%s: %v, want ErrContext", name, err)
				}
			})
		}
	})
}

// A read carries no command: whatever ends it, nothing of it is in the log.
func TestErrorsOfReadsSayNotCommitted(t *testing.T) {
	inWorld(t, 70, 3, 2*time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		c.w.Kill(1)
		c.w.Kill(2)
		g := c.hosts[0].Group(1)
		for name, read := range map[string]func(ctx context.Context) error{
			"Read": func(ctx context.Context) error { _, err := g.Read(ctx, nil, lockstep.ReadOptions{}); return err },
			"View": func(ctx context.Context) error { _, _, err := g.View(ctx, lockstep.ReadOptions{}); return err },
			"Wait": func(ctx context.Context) error { _, err := g.Wait(ctx, 1<<40); return err },
		} {
			c.w.Do(0, func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), time.Second)
				defer cancel()
				if err := read(ctx); err == nil || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
					t.Errorf("%s: %v is %v", name, err, lockstep.OutcomeOf(err))
				}
			})
		}
	})
}
