package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim/check"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// run is one simulation.
type run struct {
	o          Options
	seed       uint64
	w          *world.World
	rng        *rand.Rand // of the harness: faults and settings
	hosts      []*host
	checker    *check.Checker
	witness    *check.Witness
	calls      *check.Calls
	faults     [16]uint64
	probes     probes
	violations []violation
	settings   settings
	plan       *plan // nil: decisions are drawn
	recording  *Recording
	timeline   *timeline // nil: nobody draws
	core       *Decision // while only a majority is healed: who
	healing    bool      // no more faults
	changing   int       // decided changes of members that still run
	hollow     bool      // a host was lost, and the one in its place does not vote yet
	removed    []lockstep.HostID
	usedToken  string // some host has joined with
	using      bool   // the scratch group is in use
	destroyed  bool   // it has been
	done       bool
	clients    int  // that still run
	streams    int  // of commands started without waiting
	created    bool // the group exists: a handle on it needs no waiting
}

// host is one simulated host and the program on it.
type host struct {
	r        *run
	n        int
	wanted   bool // it should have a process
	open     *lockstep.Host
	group    *lockstep.Group
	machine  *observed // of the group's replica, this life's
	full     bool      // its disk is, or was while this life began
	slow     bool
	life     int  // counts its processes
	wiped    bool // it may serve no more: nobody waits for it
	damaged  bool // nor for this one: its disk or its machine was spoilt
	id       lockstep.HostID
	token    string // it joined with; empty: it is a founder
	away     bool   // an operator has it: nobody else starts it
	mischief string // what its machine does next: panic, fail or differ
}

// group is the one that is simulated, beside the engine's own.
const (
	groupID = lockstep.GroupID(1)
	port    = 7000
	name    = "machine"
)

// newRun prepares a run that draws its decisions, or, with a Recording, one that follows it.
func newRun(seed uint64, o Options, rec *Recording) *run {
	r := &run{o: o, seed: seed, rng: rand.New(rand.NewPCG(seed, 0x6c6f636b73746570))}
	r.settings.draw(r.rng, &o)
	trace := o.Trace
	if rec != nil {
		r.plan = newPlan(rec)
		r.settings.hosts, r.o.Clients, r.o.Length, r.o.Calls = rec.Hosts, rec.Clients, rec.Length, 0
	}
	r.recording = &Recording{
		Test: o.Name, Seed: seed, Hosts: r.settings.hosts, Clients: r.o.Clients, Length: r.o.Length,
	}
	if o.HTML != nil {
		r.timeline = newTimeline(r.settings.hosts)
		if trace = r.timeline; o.Trace != nil {
			trace = io.MultiWriter(o.Trace, r.timeline)
		}
	}
	r.w = world.New(seed, world.Options{Hosts: r.settings.hosts, Shuffle: r.rng.IntN(2) == 0, Trace: trace})
	r.checker = check.New(r.settings.hosts, r.broken)
	witness, err := check.NewWitness(o.Machine, r.broken)
	if err != nil {
		panic(err)
	}
	r.witness = witness
	if o.closely {
		witness.Watch()
	}
	r.calls = check.NewCalls(witness, r.broken)
	for n := range r.settings.hosts {
		r.hosts = append(r.hosts, &host{r: r, n: n, id: lockstep.HostID(n + 1)})
	}
	return r
}

// A violation is a broken promise.
type violation struct {
	at   time.Duration
	kind string // what two runs that break the same promise have in common
	text string
}

func (v violation) String() string { return fmt.Sprintf("%.6fs %s", v.at.Seconds(), v.text) }

// broken records a broken promise; the first ends the simulation. Its kind is the format.
func (r *run) broken(format string, args ...any) { r.breaks(format, format, args...) }

// breaks is broken for a promise whose kind the format does not tell.
func (r *run) breaks(kind, format string, args ...any) {
	v := violation{r.w.Now(), kind, fmt.Sprintf(format, args...)}
	if len(r.violations) < 100 {
		r.violations = append(r.violations, v)
	}
	if r.o.Trace != nil {
		fmt.Fprintf(r.o.Trace, "BROKEN %v\n", v)
	}
	r.w.Stop()
}

// main is the course of a simulation.
func (r *run) main() {
	for _, h := range r.hosts {
		r.w.Sleep(time.Duration(r.rng.Int64N(int64(100 * time.Millisecond))))
		h.start()
	}
	if !r.await("the cluster to serve", time.Minute, func() bool { return r.serving() == len(r.hosts) }) {
		return
	}
	r.created = true
	ctx, cancel := r.w.WithCancel(r.w.Context())
	defer cancel()
	r.startClients(ctx)
	began := r.w.Now()
	over := false
	if r.o.Script != nil {
		r.w.Go(world.Driver, "script", func() {
			defer func() { over = true }()
			r.o.Script(ctx, &World{r: r, World: r.w})
		})
	}
	r.w.Go(world.Driver, "faults", r.decideFaults)
	r.w.Go(world.Driver, "operator", r.operate)
	for r.w.Now() < began+r.o.Length || r.calls.Ended(check.Answered) < r.o.Calls && r.w.Now() < began+4*r.o.Length {
		r.w.Sleep(time.Second)
	}
	r.recording.Length = r.w.Now() - began
	if r.o.Script != nil && !r.await("the script to end", 5*time.Minute, func() bool { return over }) {
		return
	}
	if !r.healCore() {
		return
	}
	r.heal()
	if !r.restoreMembers() || !r.answersAgain() {
		return
	}
	cancel()
	if !r.await("all clients to end", time.Minute, func() bool { return r.clients == 0 }) {
		return
	}
	if r.converge() && r.nothingLeft() && r.finish() {
		r.done = true
		r.w.Stop()
	}
}

// await polls a condition; false: it did not come true within d, which breaks a promise.
func (r *run) await(what string, d time.Duration, met func() bool) bool {
	for until := r.w.Now() + d; !met(); {
		if r.w.Now() >= until {
			r.breaks("waited for "+what, "waited %v for %s\n%s", d, what, r.status())
			return false
		}
		r.w.Sleep(20 * time.Millisecond)
	}
	return true
}

func (r *run) serving() (n int) {
	for _, h := range r.hosts {
		if h.group != nil {
			n++
		}
	}
	return n
}

// status is what each host says of itself, for reports.
func (r *run) status() (text string) {
	for _, h := range r.hosts {
		if h.open == nil {
			text += fmt.Sprintf("  host %d is down\n", h.n)
			continue
		}
		s := h.open.Status()
		text += fmt.Sprintf("  host %d: disk %s, why %q, %+v\n", h.n, s.Disk, s.Why, s.Groups)
	}
	return text
}

// heal ends all faults and starts what is down.
func (r *run) heal() {
	r.healing = true
	r.w.Messages(world.MessageFaults{})
	r.w.HealAll()
	for _, h := range r.hosts {
		d := r.w.Disk(h.n)
		d.Stuck, d.Slow, d.Capacity, d.HoldBack, d.Hook = false, 0, 0, 0, nil
		h.full, h.slow = false, false
		r.w.Drift(h.n, 0)
		r.w.Resume(h.n)
		h.mischief = ""
		h.startAgain()
	}
	r.w.Note(world.Driver, "healed")
}

// answersAgain waits for a call that began after the healing, if there are clients.
func (r *run) answersAgain() bool {
	before := r.calls.Ended(check.Answered)
	r.w.Sleep(2 * time.Second)
	if r.o.Client == nil || r.clients == 0 {
		return true
	}
	return r.await("a call to be answered after healing", budget, func() bool { return r.calls.Ended(check.Answered) > before+r.clients })
}

// converge waits until every replica serves a linearizable read and all have executed the same.
func (r *run) converge() bool {
	read := 0
	for _, h := range r.members() {
		r.w.Go(world.Driver, "last read", func() {
			for {
				ok := false
				r.w.Do(h.n, func() {
					if h.group == nil {
						return
					}
					v, _, err := h.group.View(r.w.Context(), lockstep.ReadOptions{})
					if err == nil {
						ok = v.Close() == nil
					}
				})
				if ok {
					read++
					return
				}
				r.w.Sleep(100 * time.Millisecond)
			}
		})
	}
	return r.await("every host to serve a linearizable read after healing", time.Minute, func() bool { return read == len(r.members()) }) &&
		r.await("all replicas to have executed the same", time.Minute, r.equal)
}

// members are the hosts that have to serve: all that were neither wiped nor damaged, nor left broken
// outside the core that is healed.
func (r *run) members() (hosts []*host) {
	for _, h := range r.hosts {
		if !h.wiped && !h.damaged && (r.core == nil || slices.Contains(r.core.Hosts, h.n)) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

func (r *run) equal() bool {
	members := r.members()
	index, chain := r.checker.Applied(members[0].n)
	for _, h := range members {
		if i, c := r.checker.Applied(h.n); i != index || c != chain || i < r.checker.Committed() {
			return false
		}
	}
	return true
}

// finish closes all hosts and asks the judges for their last word.
func (r *run) finish() bool {
	for _, h := range r.members() {
		if h.machine != nil {
			h.machine.check("the end")
		}
	}
	r.calls.Finish()
	if r.o.Judge != nil {
		if err := r.o.Judge(r.calls.All); err != nil {
			r.broken("judge: %v", err)
		}
	}
	closed := 0
	for _, h := range r.hosts {
		r.w.Go(world.Driver, "close", func() {
			done := r.w.Do(h.n, func() {
				if h.open == nil {
					return // a wiped one
				}
				if err := h.open.Close(); err != nil && !h.damaged {
					r.broken("close host %d: %v", h.n, err)
				}
			})
			if done || h.damaged { // a damaged one may have given up, or does so now
				closed++
			}
		})
	}
	return r.await("all hosts to close", time.Minute, func() bool { return closed == len(r.hosts) })
}

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
		open, err := lockstep.Open(r.w.Context(), h.options())
		if err != nil {
			h.exit(err)
			return
		}
		h.open = open
		if r.created {
			h.group = open.Group(groupID)
		}
		group, err := open.Create(r.w.Context(), groupID, lockstep.GroupOptions{Machine: name, Settings: r.settings.group})
		if err != nil {
			h.exit(err)
			return
		}
		h.group = group
	})
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
	kind := h.r.witness.Kind(h.r.o.Machine, h.n)
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
	h *host
}

// Apply executes the batch, unless mischief was decided on for this host.
func (m *observed) Apply(batch []machine.Command, out *machine.Results) error {
	switch mischief := m.h.mischief; {
	case len(batch) == 0:
	case mischief == "panic":
		m.h.mischief = ""
		panic("the simulation lets the machine panic")
	case mischief == "fail":
		m.h.mischief = ""
		return errors.New("the simulation lets the machine fail")
	}
	return m.StateMachine.Apply(batch, out)
}

// Digest is another than the state's, if that was decided.
func (m *observed) Digest() (machine.Digest, bool) {
	digest, ok := m.StateMachine.Digest()
	if m.h.mischief == "differ" {
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
	switch {
	case e.Group <= uint64(groupID):
		r.checker.Observe(o.h.n, &e)
	case e.Kind == env.ReplicaStopped && !o.h.damaged:
		r.broken("host %d group %d: replica stopped: %s", o.h.n, e.Group, e.Text)
	}
	if e.Kind == env.EntriesReadBack {
		r.probes.hit("payload read back " + e.Text)
	}
	if e.Kind == env.MarkReported && e.Group == uint64(groupID) && o.h.machine != nil {
		o.h.machine.check(fmt.Sprintf("mark %d", e.Index))
	}
}

// result counts what happened.
func (r *run) result() Result {
	out := Result{
		Seed: r.seed, Hash: r.w.Hash(), Events: r.w.Events(), Time: r.w.Now(), Hosts: len(r.hosts),
		Calls: r.calls.Ended(check.Answered), Failed: r.calls.Ended(check.Never), Open: r.calls.Ended(check.Maybe),
		Recording: r.recording, differs: r.witness.Differs(),
	}
	for _, v := range r.violations {
		out.Broken = append(out.Broken, v.String())
	}
	if len(r.violations) > 0 {
		out.kind, out.broke = r.violations[0].kind, r.violations[0].at
	}
	for i, name := range faultNames {
		if drawn&r.o.Faults&(1<<i) != 0 {
			out.Faults = append(out.Faults, Count{name, r.faults[i]})
		}
	}
	out.Probes = r.countProbes()
	return out
}

// startClients begins the clients' lives.
func (r *run) startClients(ctx context.Context) {
	if r.o.Client == nil {
		return
	}
	for n := range r.o.Clients {
		c := newClient(r, n)
		r.clients++
		r.w.Go(world.Driver, fmt.Sprintf("client %d", n), func() {
			defer func() { r.clients-- }()
			r.o.Client(ctx, c)
		})
	}
}
