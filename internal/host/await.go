package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/raft"
)

// awaitReplica waits, for ctx alone, until this host has a replica of the group.
func (h *Host) awaitReplica(ctx context.Context, id raft.GroupID) error {
	w := h.env.NewWaiter()
	for {
		h.watch(w)
		h.mu.Lock()
		have, why := h.replicaLocked(id) != nil, h.why
		h.mu.Unlock()
		if have {
			return nil
		}
		if h.closed.Load() {
			return notCommitted(ErrClosed)
		}
		if err := w.Wait(ctx, h.env.Clock().Now()+foundingSlow); err != nil && err != env.ErrTimeout {
			if why != "" {
				err = fmt.Errorf("%w: %s", err, why)
			}
			return notCommitted(err)
		}
	}
}

// awaitAnswer waits, for ctx alone, until the group answers a linearizable read, and its replica here has
// caught up: it draws tokens and answers stale reads, too.
func (h *Host) awaitAnswer(ctx context.Context, id raft.GroupID) error {
	for {
		v, _, err := h.View(ctx, id, ReadOptions{})
		if err == nil {
			g, why := h.Replica(id), ""
			if g != nil {
				why = g.catchingUp()
			}
			if err = v.Close(); why == "" {
				return err
			}
			err = fmt.Errorf("%w: %s", ErrRecovering, why)
		}
		if ctx.Err() != nil || h.closed.Load() || errors.Is(err, ErrContext) || errors.Is(err, ErrQuarantined) ||
			errors.Is(err, ErrNoReplica) || errors.Is(err, ErrNoGroup) {
			return unknown(err)
		}
		if err := h.pause(ctx, foundingEvery); err != nil {
			return unknown(err)
		}
	}
}

func (h *Host) pause(ctx context.Context, d time.Duration) error {
	if err := h.env.NewWaiter().Wait(ctx, h.env.Clock().Now()+d); err != env.ErrTimeout {
		return err
	}
	return nil
}
