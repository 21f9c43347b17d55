package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

// A rolling upgrade: hosts begin with the build before, are restarted with the new one, some and then others, and may go
// back until each has had it; the version of the machine is asked for early and late. The build before is Options.Former,
// or the machine without its newest version; one that has a single version gets a second one, which does the same.

// draws says whether the run has faults of a kind.
func (r *run) draws(kind Faults) bool {
	if r.plan != nil {
		return slices.ContainsFunc(r.plan.faults, func(d *Decision) bool { return verbs[d.Verb] != nil && verbs[d.Verb].kind == kind })
	}
	return slices.Contains(r.settings.kinds, kind)
}

// twoBuilds makes the build before and the new one of what the user gave.
func (r *run) twoBuilds() {
	kind := r.o.Machine
	kind.Oldest = max(kind.Oldest, 1)
	kind.Newest = max(kind.Newest, kind.Oldest)
	r.kinds = [2]machine.Kind{kind, kind}
	r.begins = kind.Oldest
	if r.upgrading = r.draws(Upgrade); !r.upgrading {
		return
	}
	switch {
	case r.o.Former.New != nil:
		former := r.o.Former
		former.Oldest = max(former.Oldest, 1)
		former.Newest = max(former.Newest, former.Oldest)
		r.kinds[0], r.begins = former, former.Newest
	case kind.Newest > kind.Oldest:
		r.kinds[0].Newest = kind.Oldest
	default:
		r.kinds[1] = twice(kind)
		r.kinds[0].New = r.kinds[1].New
	}
}

// twice gives a machine another version, in which it does the same.
func twice(kind machine.Kind) machine.Kind {
	inner, only := kind.New, kind.Newest
	kind.Newest = only + 1
	kind.New = func(p *machine.Place) (machine.StateMachine, error) {
		runs := p.Version
		p.Version = only
		m, err := inner(p)
		p.Version = runs
		return &secondVersion{StateMachine: m, only: only, runs: runs}, err
	}
	return kind
}

// secondVersion is a machine that has one version, and is told of two.
type secondVersion struct {
	machine.StateMachine
	only, runs machine.Version
}

// Upgrade notes what it was told.
func (m *secondVersion) Upgrade(v machine.Version) error {
	m.runs = v
	return nil
}

// Load loads the one version that there is.
func (m *secondVersion) Load(v machine.Version, from *machine.Reader) error {
	err := m.StateMachine.Load(m.only, from)
	if err == nil {
		m.runs = v
	}
	return err
}

// Digest tells of the version, too: replicas that run as two of them differ.
func (m *secondVersion) Digest() (machine.Digest, bool) {
	d, ok := m.StateMachine.Digest()
	return d ^ machine.Digest(m.runs-m.only), ok
}

// drawUpgrade draws which hosts get which build, or that the version is asked for.
func (r *run) drawUpgrade() *Decision {
	if r.rng.IntN(3) == 0 || r.everNew && r.allNew() {
		return &Decision{Verb: "raise", Hosts: []int{r.rng.IntN(len(r.hosts))}, For: []time.Duration{r.between(time.Second, 5*time.Second)}}
	}
	to := pick[int64](r.rng, 0, 1, 1, 1)
	d := decideOn("build", r.some(func(h *host) bool { return h.wanted && h.build != int(to) && (to == 1 || r.mayGoBack()) }))
	if d != nil {
		d.Amount, d.For = to, r.away(len(d.Hosts))
	}
	return d
}

// mayGoBack: the version may be raised as soon as all members have the new build, and which hosts are members
// may change.
func (r *run) mayGoBack() bool { return !r.everNew && !r.settings.changesMembers() && !r.healing }

func (r *run) allNew() bool {
	return !slices.ContainsFunc(r.hosts, func(h *host) bool { return h.build == 0 })
}

// giveBuild restarts hosts with a build: 0 is the one before, 1 the new one.
func (r *run) giveBuild(d *Decision) {
	for _, n := range d.Hosts {
		h := r.hosts[n]
		if d.Amount == 0 && !r.mayGoBack() || h.build == int(d.Amount) {
			continue
		}
		if d.Amount == 0 {
			r.probes.hit("host put back to the build before")
		}
		r.kill(n)
		h.build = int(min(max(d.Amount, 0), 1))
		r.everNew = r.everNew || r.allNew()
	}
	r.startLater(d)
}

// newBuilds gives every host the new build, as the faults end.
func (r *run) newBuilds() {
	for _, h := range r.hosts {
		if h.build == 0 {
			r.kill(h.n)
			h.build = 1
		}
	}
	r.everNew = true
}

// raise asks for the next version, from some host, for a while.
func (r *run) raise(d *Decision) {
	for _, n := range d.Hosts {
		h := r.hosts[n]
		r.w.Do(h.n, func() {
			if h.open == nil {
				return
			}
			ctx, cancel := r.w.WithTimeout(r.w.Context(), d.lasts(0))
			defer cancel()
			r.raiseBy(ctx, h.open.Group(groupID))
		})
	}
}

func (r *run) raiseBy(ctx context.Context, g *lockstep.Group) {
	conf, err := g.Configuration(ctx)
	if err != nil || conf.Settings.Version >= r.kinds[1].Newest {
		return
	}
	old := slices.ContainsFunc(conf.Voters, func(id lockstep.HostID) bool {
		return slices.ContainsFunc(r.hosts, func(h *host) bool { return h.id == id && h.build == 0 })
	})
	conf.Settings.Version++
	_, err = g.Reconfigure(ctx, conf)
	switch {
	case errors.Is(err, lockstep.ErrRefused):
		r.probes.hit("version refused")
	case err == nil && old && !r.everNew && !r.settings.changesMembers() && conf.Settings.Version > r.kinds[0].Newest:
		r.broken("H32: version %v is in force, and a voter has the build before", conf.Settings.Version)
	case err == nil:
		r.probes.hit("version raised")
	}
}

// raised waits, once all faults have ended, until the newest version runs, where builds were changed.
func (r *run) raised() bool {
	if !r.upgrading {
		return true
	}
	return r.await("the newest version to be raised after healing", 2*time.Minute, func() bool {
		for _, h := range r.members() {
			if h.open == nil {
				continue
			}
			if h.open.Group(groupID).Status().MachineVersion >= r.kinds[1].Newest {
				return true
			}
			r.raise(&Decision{Hosts: []int{h.n}, For: []time.Duration{5 * time.Second}})
		}
		return false
	})
}
