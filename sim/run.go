package sim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
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
	verdict    *check.Verdict // of Options.Judge; nil: it was not asked yet
	settings   settings
	plan       *plan // nil: decisions are drawn
	recording  *Recording
	timeline   *timeline // nil: nobody draws
	core       *Decision // while only a majority is healed: who
	healing    bool      // no more faults
	changing   int       // decided changes of members that still run
	hollow     bool      // a host was lost, and the one in its place does not vote yet
	removed    []lockstep.HostID
	usedToken  string          // some host has joined with
	using      bool            // the scratch group is in use
	destroyed  bool            // it has been
	kinds      [2]machine.Kind // of the machine: of the build before, and of the new one
	begins     machine.Version // as which the group does
	upgrading  bool            // hosts begin with the build before
	everNew    bool            // all have had the new one at one time
	halting    bool            // an operator has writes stopped
	halted     bool            // one has had
	poisons    int             // that were proposed
	poisonous  []lockstep.Skip // commands at which machines panicked, and which are not passed over
	passed     map[lockstep.Skip]bool
	done       bool
	clients    int    // that still run
	streams    int    // of commands started without waiting
	created    bool   // the group exists: a handle on it needs no waiting
	text       []byte // of the newest note
}

// host is one simulated host and the program on it.
type host struct {
	r       *run
	n       int
	wanted  bool // it should have a process
	open    *lockstep.Host
	group   *lockstep.Group
	machine *observed // of the group's replica, this life's
	full    bool      // its disk is, or was while this life began
	slow    bool
	life    int  // counts its processes
	wiped   bool // it may serve no more: nobody waits for it
	damaged bool // nor for this one: its log was spoilt
	rotten  bool // a snapshot of it was
	id      lockstep.HostID
	token   string // it joined with; empty: it is a founder
	build   int    // that it runs: 0 is the one before, 1 the new one
	away    bool   // an operator has it: nobody else starts it
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
	r.settings.drawDecided(rand.New(rand.NewPCG(seed, 0x6f70657261746f72)), &o)
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
	r.twoBuilds()
	r.settings.group.Version = r.begins
	r.passed = map[lockstep.Skip]bool{}
	witness, err := check.NewWitness(r.kinds[1], r.begins, r.broken)
	if err != nil {
		panic(err)
	}
	r.witness = witness
	if o.closely {
		witness.Watch()
	}
	r.calls = check.NewCalls(witness, r.broken)
	for n := range r.settings.hosts {
		h := &host{r: r, n: n, id: lockstep.HostID(n + 1), build: 1}
		if r.upgrading {
			h.build = 0
		}
		r.hosts = append(r.hosts, h)
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
	if r.draws(Halt) || r.draws(Poison) {
		r.w.Go(world.Driver, "attendant", r.attend)
	}
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
	if !r.restoreMembers() || !r.raised() || !r.answersAgain() {
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
	if v := r.verdict; v != nil {
		out.Judged, out.Unknown, out.Unexplained = v.Judged, v.Unknown, v.Draw
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
