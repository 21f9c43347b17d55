package sim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

// Now and then somebody proposes a command at which every machine panics. It stops the group on all hosts; an operator, who
// looks at their status, has it passed over (Settings.Skip), and all go on.

// poison is what such a command begins with.
var poison = []byte("\xffthe simulation poisons ")

func (r *run) drawPoison() *Decision {
	if len(r.poisonous) > 0 || r.healing {
		return nil
	}
	return decideOn("poison", []int{r.rng.IntN(len(r.hosts))}, time.Second)
}

func (r *run) proposePoison(d *Decision) {
	for _, n := range d.Hosts {
		h := r.hosts[n]
		r.w.Do(n, func() {
			if h.group == nil {
				return
			}
			ctx, cancel := r.w.WithTimeout(r.w.Context(), d.lasts(0))
			defer cancel()
			r.poisons++
			_, err := h.group.Propose(ctx, fmt.Appendf(slices.Clone(poison), "%d", r.poisons))
			if err == nil {
				r.broken("H28: a command that no machine can execute was answered")
			}
		})
	}
}

// taste panics at a poisonous command, after a note of its place.
func (m *observed) taste(batch []machine.Command) {
	for i := range batch {
		if c := &batch[i]; bytes.HasPrefix(c.Data, poison) {
			r, at := m.h.r, lockstep.Skip{Index: c.Index, Ordinal: c.Ordinal}
			r.checker.Ail(m.h.n)
			if !r.passed[at] && !slices.Contains(r.poisonous, at) {
				r.poisonous = append(r.poisonous, at)
			}
			panic("the simulation lets every machine panic at this command")
		}
	}
}

// firstPoison is the first command at which a machine panicked and which is not passed over.
func (r *run) firstPoison() (at lockstep.Skip, ok bool) {
	if len(r.poisonous) == 0 {
		return at, false
	}
	return slices.MinFunc(r.poisonous, func(a, b lockstep.Skip) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Ordinal, b.Ordinal))
	}), true
}

// passOver has a command passed over if it can be, and restarts hosts that are stopped at others.
func (r *run) passOver(at lockstep.Skip) {
	stopped := 0
	for _, h := range r.hosts {
		switch s, ok := h.quarantined(); {
		case !ok:
		case strings.Contains(s, "group skip "+at.String()+"."):
			stopped++
		default:
			r.restartQuarantined(h)
			h.startAgain()
		}
	}
	if stopped == 0 {
		return
	}
	if r.byAnother(nil, func(ctx context.Context, open *lockstep.Host) error {
		conf, err := open.Group(groupID).Configuration(ctx)
		if err != nil {
			return err
		}
		conf.Settings.Skip = at
		_, err = open.Group(groupID).Reconfigure(ctx, conf)
		if errors.Is(err, lockstep.ErrRefused) {
			r.probes.hit("skip refused")
		}
		return err
	}) {
		r.probes.hit("command passed over")
		r.passed[at] = true
		r.poisonous = slices.DeleteFunc(r.poisonous, func(p lockstep.Skip) bool { return p == at })
	}
}

// quarantined is why the replica of the host is; false: it is not.
func (h *host) quarantined() (why string, ok bool) {
	if h.group == nil || !h.wanted || h.damaged {
		return "", false
	}
	s := h.group.Status()
	return s.Why, s.State == "quarantined"
}
