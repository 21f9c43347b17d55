package sim

import (
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// World is a simulation as a Script sees it: the simulated world with its verbs (Sleep, Cut, Heal,
// Isolate, Disk, Messages, Now, Rand, …), where those that end and begin processes know the program
// that runs on the hosts. Hosts are numbered from 0.
type World struct {
	*world.World
	r *run
}

// Host is the open host of the process on h; nil: there is none, or it is not open yet. Call it
// inside Do(h, …).
func (w *World) Host(h int) *lockstep.Host { return w.r.hosts[h].open }

// Group is the handle of the process on h on the simulated group; nil: not yet. Call it inside Do.
func (w *World) Group(h int) *lockstep.Group { return w.r.hosts[h].group }

// Leader is the host that leads with the highest term, -1: none says so.
func (w *World) Leader() int { return w.r.leader() }

func (r *run) leader() int {
	leader, term := -1, uint64(0)
	for _, h := range r.hosts {
		if h.group == nil {
			continue
		}
		if s := h.group.Status(); s.Role == "leader" && s.Term > term {
			leader, term = h.n, s.Term
		}
	}
	return leader
}

// AwaitLeader waits until a host leads, for at most a minute, and returns it.
func (w *World) AwaitLeader() int {
	w.r.await("a leader", time.Minute, func() bool { return w.Leader() >= 0 })
	return w.Leader()
}

// Kill ends the process on h as SIGKILL does.
func (w *World) Kill(h int) { w.r.kill(h) }

// PowerOff ends the given hosts at one instant; what was not synced is lost, kept or garbled.
func (w *World) PowerOff(hs ...int) { w.r.powerOff(hs...) }

// Start begins a process on h, which has none, and the program in it.
func (w *World) Start(h int) {
	if host := w.r.hosts[h]; !host.wanted {
		host.start()
	}
}

// Wipe empties the data directory of h, which has no process.
func (w *World) Wipe(h int) {
	w.r.wipe(h)
	w.r.hosts[h].wiped = true
}

func (r *run) wipe(h int) {
	r.w.Start(h)
	done := false
	r.w.Go(h, "wipe", func() {
		if err := r.w.Host(h).FS().RemoveAll("data"); err != nil {
			r.broken("wipe host %d: %v", h, err)
		}
		if err := r.w.Host(h).FS().SyncDir("."); err != nil {
			r.broken("wipe host %d: %v", h, err)
		}
		done = true
	})
	r.await("a wipe", time.Minute, func() bool { return done })
	r.w.Kill(h)
	r.probes.hit("directory wiped")
}

// Client is one more client for the Script's own calls, which are no decisions: they are made however
// a run is thinned.
func (w *World) Client(n int) *Client {
	c := newClient(w.r, n)
	c.scripted = true
	return c
}

// Errorf fails the simulation.
func (w *World) Errorf(format string, args ...any) { w.r.broken("script: "+format, args...) }

func (r *run) kill(h int) {
	if r.hosts[h].wanted {
		r.hosts[h].down()
		r.w.Kill(h)
	}
}

func (r *run) powerOff(hs ...int) {
	for _, h := range hs {
		r.hosts[h].down()
	}
	r.w.PowerOff(hs...)
}
