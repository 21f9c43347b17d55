package host

import (
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/snapshot"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A log that presses on its bound is made shorter, whoever's entries fill it: by the clock, since a log
// that is full brings no entries that could ask for anything, and in every group, since a group
// that sleeps may hold what another one lacks. Each cuts behind its newest agreed snapshot itself, and
// makes another at its newest mark: a view of that is at hand for as long as the pressure lasts, for no
// mark may come any more (H15).

const (
	// pressEvery is how often the groups of a host whose log presses are looked at.
	pressEvery = time.Second
	// pressBytes is how much log behind the newest snapshot is worth another one.
	pressBytes = 8 << 10
)

// expectPressure has the clock look at the groups from the moment on that the log presses.
func (h *Host) expectPressure() {
	if h.pressAt != 0 || !h.wal.Pressed() {
		return
	}
	h.pressAt = h.env.Clock().Now() + pressEvery
	for _, g := range h.order {
		g.lane.holds.Store(true)
	}
}

// checkPressure looks at every group while the log presses, and gives the views back afterwards.
func (h *Host) checkPressure(now time.Duration) {
	if h.pressAt == 0 || now < h.pressAt {
		return
	}
	pressed := h.wal.Pressed()
	h.pressAt = 0
	if pressed {
		h.pressAt = now + pressEvery
	}
	for _, g := range h.order {
		g.lane.holds.Store(pressed)
		if !pressed {
			g.dropHeld()
		} else if g.stopped == nil && g.rebuild.why == nil {
			g.press()
		} else if g.stopped == nil {
			g.pressQuarantined()
		}
	}
}

// press cuts the log as far as snapshots allow, and wants another one if that is worth it.
func (g *group) press() {
	g.relieve()
	s := &g.snapshots
	newest := raft.Index(0)
	if s.newest != nil {
		newest = s.newest.Index()
	}
	if raft.Index(g.lane.applied.Load()) <= newest || !g.outgrows(newest) {
		return
	}
	if s.pinning && !g.lane.wantPin.Load() {
		g.agree() // one is written, or waits to be agreed, or to be marked as that again
		return
	}
	if g.rests() {
		return
	}
	if p := g.lane.takeHeld(); p != nil && p.header.Meta.Index() > newest {
		s.pinning = true
		g.lane.wantPin.Store(false)
		g.task("snapshot", func() { g.writeSnapshot(p) })
		return
	} else if p != nil {
		g.giveBack(p)
	}
	s.pinning = true
	g.lane.wantPin.Store(true)
	if !g.r.MarkAhead() {
		g.step(raft.Input{Kind: raft.InWantMark})
	}
}

// pressQuarantined cuts the log of a replica whose machine is out of service as far as snapshots allow. One that
// nobody mends takes no more log: it would fill what the other groups of the host need.
func (g *group) pressQuarantined() {
	g.relieve()
	newest := raft.Index(0)
	if n := g.snapshots.newest; n != nil {
		newest = n.Index()
	}
	if g.rebuild.left && g.outgrows(newest) && g.h.wal.Full() {
		g.stop(g.rebuild.why)
	}
}

// pace spreads the snapshots that pressure asks for: one that frees little would be written again and again, for as
// long as another group's log presses, and one that cannot be written asked for at once.
type pace struct {
	until  time.Duration // none is wanted before
	failed int           // so many in a row could not be written
}

const (
	// paceShare is of how much time such snapshots take one part.
	paceShare = 8
	// maxPaceFailed bounds how often the wait after a failure doubles: to eight seconds.
	maxPaceFailed = 3
)

// ended notes that a snapshot took so long, or could not be written.
func (p *pace) ended(now, took time.Duration, err error) {
	if err == nil {
		p.failed, p.until = 0, now+(paceShare-1)*took
		return
	}
	p.failed = min(p.failed+1, maxPaceFailed)
	p.until = now + pressEvery<<p.failed
}

// rests says whether pressure has to wait until it asks for another snapshot: the last one could not be written, or it has
// taken its share of the time and there is not much log behind it.
func (g *group) rests() bool {
	s := &g.snapshots
	if g.h.env.Clock().Now() >= s.pace.until {
		return false
	}
	if s.pace.failed > 0 || s.newest == nil {
		return s.pace.failed > 0
	}
	return g.written.behind(s.newest.Index()) < g.h.opts.MaxWALBytes/8
}

// outgrows says whether the log behind a snapshot is worth another one.
func (g *group) outgrows(newest raft.Index) bool {
	bytes := int64(0)
	for _, e := range g.r.Entries(newest+1, newest+1+pressBytes/entryOverhead, nil) {
		bytes += int64(e.Length) + entryOverhead
	}
	return bytes >= pressBytes
}

// pin is a view of the machine at a mark, and what a snapshot of it begins with.
type pin struct {
	header snapshot.Header
	view   machine.View
	life   uint64 // of the machine
}

// hold keeps the newest view while the log presses, and gives back the other one. Whoever ends the
// pressure or the lane drops what is held afterwards.
func (l *lane) hold(g *group, p *pin) {
	l.mu.Lock()
	if l.holds.Load() && !l.stopped && p.life == l.life && (l.held == nil || l.held.header.Meta.Index() < p.header.Meta.Index()) {
		p, l.held = l.held, p
	}
	l.mu.Unlock()
	if p != nil {
		g.giveBack(p)
	}
}

func (l *lane) takeHeld() (p *pin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, l.held = l.held, nil
	return p
}

func (g *group) dropHeld() {
	if p := g.lane.takeHeld(); p != nil {
		g.giveBack(p)
	}
}

// giveBack closes a view that nobody needs, on a task: it may take its time.
func (g *group) giveBack(p *pin) {
	g.h.tasks.run("give back", func() {
		if err := p.view.Close(); err != nil {
			g.h.log.Warn("view not given back", "group", g.id, "index", p.header.Meta.Index(), "err", fmt.Sprint(err))
		}
	})
}
