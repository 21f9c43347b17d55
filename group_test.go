package lockstep_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// Group 0 is the engine's own: a command of a user's in it would be one of the registry's.
func TestGroupZeroIsNobodys(t *testing.T) {
	inWorld(t, 67, 1, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		h := c.hosts[0]
		g := h.Group(0)
		calls := map[string]func(ctx context.Context) error{
			"Create": func(ctx context.Context) error {
				_, err := h.Create(ctx, 0, lockstep.GroupOptions{Machine: "counter"})
				return err
			},
			"Propose": func(ctx context.Context) error { _, err := g.Propose(ctx, []byte("{}")); return err },
			"Start":   func(context.Context) error { return g.Start([]byte("{}"), new(lockstep.Call)) },
			"Read": func(ctx context.Context) error {
				_, err := g.Read(ctx, []byte("{}"), lockstep.ReadOptions{})
				return err
			},
			"View": func(ctx context.Context) error {
				v, _, err := g.View(ctx, lockstep.ReadOptions{})
				if err == nil {
					_ = v.Close()
				}
				return err
			},
			"Wait":           func(ctx context.Context) error { _, err := g.Wait(ctx, 0); return err },
			"Snapshot":       func(ctx context.Context) error { _, err := g.Snapshot(ctx); return err },
			"TransferLeader": func(ctx context.Context) error { return g.TransferLeader(ctx, 0) },
			"Reconfigure": func(ctx context.Context) error {
				conf, err := g.Configuration(ctx)
				if err == nil {
					_, err = g.Reconfigure(ctx, conf)
				}
				return err
			},
		}
		for name, call := range calls {
			c.w.Do(0, func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), time.Second)
				defer cancel()
				err := call(ctx)
				var e *lockstep.Error
				if !errors.As(err, &e) || e.Op != name || e.Outcome != lockstep.NotCommitted ||
					!errors.Is(err, lockstep.ErrOptions) || !strings.Contains(err.Error(), "group ids begin at 1") {
					t.Errorf("%s: %v; want ErrOptions, not committed, that says where ids begin", name, err)
				}
			})
		}
		if s := g.Status(); s.State != "absent" || !strings.Contains(s.Why, "group ids begin at 1") {
			t.Errorf("status: %+v", s)
		}
	})
}
