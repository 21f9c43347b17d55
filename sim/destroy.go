package sim

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// Beside the simulated group another one comes and goes: it is created, used, and destroyed, again and
// again under one id. The checker does not follow it: each birth of it is another log.
const (
	scratchID   = lockstep.GroupID(2)
	scratchName = "scratch"
	scratchFile = "snapshot-0000000000000002-"
	scratchDir  = "2-"
)

// useUp creates the scratch group, uses and destroys it. What has begun goes on after the healing.
func (r *run) useUp(d *Decision) {
	if r.using || r.hollow {
		return // hosts that are replaced do not vote in this group: it would lose one after the other
	}
	r.using = true
	r.changing++
	defer func() { r.using = false; r.changing-- }()
	create := func(ctx context.Context, h *lockstep.Host) error {
		_, err := h.Create(ctx, scratchID, lockstep.GroupOptions{Machine: scratchName})
		return err
	}
	r.until(func() bool { return r.byAnother(nil, create) })
	if n, ok := r.scratch(); ok && n != 0 {
		r.broken("H25: a group that is created anew begins with %d commands", n)
	}
	sent, acked := int64(0), int64(0)
	for range 5 {
		r.byAnother(nil, func(ctx context.Context, h *lockstep.Host) error {
			sent++
			_, err := lockstep.Typed(h.Group(scratchID), counter.Machine).Propose(ctx, counter.Add{N: 1})
			if err == nil {
				acked++
			}
			return err
		})
		r.w.Sleep(d.lasts(0) / 5)
	}
	if n, ok := r.scratch(); ok && (n < acked || n > sent) {
		r.broken("H25: a new group has executed %d commands, of %d that were sent and %d that were acknowledged", n, sent, acked)
	}
	r.until(func() bool {
		return r.byAnother(nil, func(ctx context.Context, h *lockstep.Host) error {
			if err := h.Destroy(ctx, scratchID); !errors.Is(err, lockstep.ErrNoGroup) { // it had, and was not told
				return err
			}
			return nil
		})
	})
	r.destroyed = true
	r.probes.hit("group destroyed")
	for _, h := range r.hosts {
		r.w.Do(h.n, func() {
			if h.open == nil {
				return
			}
			ctx, cancel := r.w.WithTimeout(r.w.Context(), 300*time.Millisecond)
			defer cancel()
			if n, err := lockstep.Typed(h.open.Group(scratchID), counter.Machine).Propose(ctx, counter.Add{N: 1}); err == nil {
				r.broken("H25: host %d acknowledges command %d of a group that is destroyed", h.n, n)
			}
		})
	}
}

// scratch reads how many commands the scratch group has executed; false: nobody can tell.
func (r *run) scratch() (n int64, ok bool) {
	ok = r.byAnother(nil, func(ctx context.Context, h *lockstep.Host) (err error) {
		n, err = lockstep.Typed(h.Group(scratchID), counter.Machine).Read(ctx, counter.Get{}, lockstep.ReadOptions{})
		return err
	})
	return n, ok
}

// nothingLeft waits until no host has anything of the destroyed group any more.
func (r *run) nothingLeft() bool {
	return !r.destroyed || r.await("what is left of a destroyed group to go", time.Minute, func() bool {
		for _, h := range r.members() {
			if h.open == nil || r.hasScratch(h) {
				return false
			}
		}
		return true
	})
}

func (r *run) hasScratch(h *host) bool {
	for _, g := range h.open.Status().Groups {
		if g.Group == scratchID {
			return true
		}
	}
	disk := r.w.Disk(h.n)
	for _, name := range disk.Names("data/snapshots") {
		if strings.HasPrefix(name, scratchFile) {
			return true
		}
	}
	for _, name := range disk.Names("data/machines") {
		if strings.HasPrefix(name, scratchDir) {
			return true
		}
	}
	return false
}
