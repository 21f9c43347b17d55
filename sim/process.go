package sim

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// startAgain begins a process where there should be one, and is none.
func (h *host) startAgain() {
	if !h.wanted && !h.away {
		h.start()
	}
}

// start begins a process on the host, that opens it as any program would.
func (h *host) start() {
	r := h.r
	h.wanted, h.open, h.group, h.machine = true, nil, nil, nil
	h.life++
	if !r.w.Alive(h.n) {
		r.w.Start(h.n)
	}
	r.w.Go(h.n, "main", func() {
		open, err := h.openAs()
		if err != nil {
			h.exit(err)
			return
		}
		h.open = open
		if r.created {
			h.group = open.Group(groupID)
		}
		group, err := open.Create(r.w.Context(), groupID, lockstep.GroupOptions{Machine: name, Settings: r.settings.group})
		if errors.Is(err, lockstep.ErrQuarantined) {
			r.probes.hit("group found with its machine out of service")
			group, err = open.Group(groupID), nil // it exists, and the program has others
		}
		if err != nil {
			h.exit(err)
			return
		}
		h.group = group
	})
}

// openAs opens the host as its build does: of two, the new one knows one more feature level.
func (h *host) openAs() (*lockstep.Host, error) {
	if h.r.upgrading {
		return lockstep.OpenAt(h.r.w.Context(), h.options(), uint32(1+h.build))
	}
	return lockstep.Open(h.r.w.Context(), h.options())
}

// exit is the program ending on an error: an init system starts it again. Only a full disk is an
// excuse.
func (h *host) exit(err error) {
	r := h.r
	if h.wiped {
		return
	}
	if h.damaged {
		r.probes.hit("start refused on a damaged disk")
		r.w.Go(world.Driver, "give up", func() {
			h.down()
			r.w.Kill(h.n)
		})
		return
	}
	if !h.full {
		r.broken("host %d: %v", h.n, err)
	}
	r.probes.hit("start refused on a full disk")
	r.w.Go(world.Driver, "restart", func() {
		h.down()
		r.w.Kill(h.n)
		r.w.Sleep(time.Second)
		h.startAgain()
	})
}

// down forgets the process, which is about to be killed.
func (h *host) down() {
	h.wanted, h.open, h.group, h.machine = false, nil, nil, nil
	h.r.checker.Crashed(h.n)
}

func (h *host) options() lockstep.Options {
	r, s := h.r, &h.r.settings
	o := lockstep.Options{
		Dir: "data", Addr: r.w.Addr(h.n, port), Founders: r.founders(), Insecure: true, Check: true,
		Env: r.w.Host(h.n), Logger: slog.New(&tap{r: r, host: h.n}), Observer: &observer{h: h},
		Machines:    map[string]machine.Kind{name: h.kind(), scratchName: counter.Machine.Kind()},
		CallTimeout: s.callTimeout, Heartbeat: s.heartbeat, ElectionTimeout: s.election,
		WALSegmentBytes: s.segment, MaxWALBytes: s.wal, MaxInboxBytes: s.inbox,
		MaxApplyBytes: s.apply, MaxCacheBytes: s.cache, MaxInFlightBytes: s.flight,
		SnapshotAfterBytes: s.snapshotAfter, SnapshotBytesPerSecond: 1 << 20, Lanes: s.lanes, Loops: 1,
	}
	if h.token != "" {
		o.Founders, o.Join = nil, h.token
	}
	if r.o.Options != nil {
		r.o.Options(h.n, &o)
	}
	return o
}

func (r *run) founders() (addrs []string) {
	for n := range r.hosts {
		addrs = append(addrs, r.w.Addr(n, port))
	}
	return addrs
}

// kind is the user's machine with the witness in between.
func (h *host) kind() machine.Kind {
	kind := h.r.witness.Kind(h.r.kinds[h.build], h.n)
	inner := kind.New
	kind.New = func(p *machine.Place) (machine.StateMachine, error) {
		m, err := inner(p)
		if err != nil {
			return nil, err
		}
		h.machine = &observed{StateMachine: m, h: h}
		return h.machine, nil
	}
	return kind
}

// observed is a replica's machine, whose state the user's invariant is asked about.
type observed struct {
	machine.StateMachine
	h        *host
	mischief string // what it does next: panic, fail or differ
}

// Apply executes the batch, unless mischief was decided on for this host.
func (m *observed) Apply(batch []machine.Command, out *machine.Results) error {
	m.taste(batch)
	switch mischief := m.mischief; {
	case len(batch) == 0:
	case mischief == "panic":
		m.mischief = ""
		panic("the simulation lets the machine panic")
	case mischief == "fail":
		m.mischief = ""
		return errors.New("the simulation lets the machine fail")
	}
	return m.StateMachine.Apply(batch, out)
}

// Digest is another than the state's, if that was decided.
func (m *observed) Digest() (machine.Digest, bool) {
	digest, ok := m.StateMachine.Digest()
	if m.mischief == "differ" {
		digest ^= 1
	}
	return digest, ok
}

func (m *observed) check(when string) {
	r := m.h.r
	if r.o.Check == nil {
		return
	}
	v := m.View()
	if err := r.o.Check(v); err != nil {
		r.broken("invariant on host %d at %s: %v", m.h.n, when, err)
	}
	if err := v.Close(); err != nil {
		r.broken("close a view on host %d: %v", m.h.n, err)
	}
}

// observer gives the events of one life to the checker.
type observer struct{ h *host }

// Observe implements env.Observer.
func (o *observer) Observe(e env.Event) {
	r := o.h.r
	if r.o.Trace != nil {
		fmt.Fprintf(r.o.Trace, "%.6f h%d event %s\n", r.w.Now().Seconds(), o.h.n, describe(&e))
	}
	if r.timeline != nil {
		r.timeline.observe(r.w.Now(), o.h.n, &e)
	}
	if e.Kind == env.MachineUpgraded && e.Group == uint64(groupID) {
		r.witness.Upgraded(o.h.n, machine.Index(e.Index), machine.Version(e.Count))
	}
	// Who was down as the others agreed on what its build does not know, and became a member, learns of it when it is back.
	old := e.Kind == env.ReplicaStopped && o.h.build == 0 && r.upgrading && strings.Contains(e.Text, "build is too old")
	if old {
		r.probes.hit("build found to be too old")
	}
	switch {
	case e.Group <= uint64(groupID):
		r.checker.Outdated(o.h.n, old)
		r.checker.Observe(o.h.n, &e)
	case (e.Kind == env.ReplicaStopped || e.Kind == env.ReplicaUnfit) && !o.h.damaged && !old:
		r.broken("host %d group %d: replica stopped: %s", o.h.n, e.Group, e.Text)
	}
	if e.Kind == env.ReplicaRemoved && e.Group == uint64(groupID) {
		o.h.machine = nil // another replica here has another
	}
	if e.Kind == env.EntriesReadBack {
		r.probes.hit("payload read back " + e.Text)
	}
	if e.Kind == env.MarkReported && e.Group == uint64(groupID) && o.h.machine != nil {
		o.h.machine.check(fmt.Sprintf("mark %d", e.Index))
	}
}
