package host

import (
	"fmt"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// event is one thing that a turn handles. Which fields mean something depends on kind.
type event struct {
	kind    eventKind
	g       *group
	call    *Call
	err     error
	host    raft.HostID
	refused bool
	packets []wire.Packet
	backlog *backlog // that the packets' bytes are of
	bytes   int64
	took    time.Duration
	index   raft.Index
	life    uint64 // of the machine
	mark    raft.Mark
	meta    *raft.SnapshotMeta
	replica raft.ReplicaID
	batch   *batch
	fn      func()
}

type eventKind uint8

const (
	evArrived   eventKind = iota + 1 // g's intake has something
	evCancel                         // call's context ended with err
	evPackets                        // packets came from host
	evSaved                          // batch is durable, or err
	evApplied                        // g's machine executed through index
	evMark                           // g's machine reports mark
	evStopped                        // g's machine failed with err
	evLink                           // the link to host is up (err nil) or lost
	evTimer                          // a deadline has come
	evSealed                         // g: a snapshot of meta is sealed, or err; it took some time
	evInstalled                      // g: a snapshot of meta was received
	evSent                           // g: a snapshot stream to replica ended with err
	evAdd                            // g begins
	evClose                          // the host closes
	evDo                             // fn, on the turn
)

// inbox is what waits for a turn. Whoever brings work and finds no turn running runs it; otherwise
// the work is left for the one that runs (docs/decisions/0011-turns-and-tasks.md).
type inbox struct {
	mu      sync.Mutex
	events  []event
	spare   []event
	turning bool
}

// maxKept is for how many events, or saves, a host keeps memory once there were fewer again: a start with thousands of
// groups needs more than anything after it.
const maxKept = 1024

// post hands an event to the turn, which may run here and now. It never blocks for long.
func (h *Host) post(e event) {
	b := &h.inbox
	b.mu.Lock()
	b.events = append(b.events, e)
	if b.turning {
		b.mu.Unlock()
		return
	}
	b.turning = true
	b.mu.Unlock()
	h.turn()
}

// postAll is post for several at once: one turn for all of them.
func (h *Host) postAll(events []event) {
	b := &h.inbox
	b.mu.Lock()
	b.events = append(b.events, events...)
	if b.turning {
		b.mu.Unlock()
		return
	}
	b.turning = true
	b.mu.Unlock()
	h.turn()
}

// turn handles events until there are none. Only one runs at a time (A11).
func (h *Host) turn() {
	b := &h.inbox
	for {
		b.mu.Lock()
		events := b.events
		if len(events) == 0 {
			b.turning = false
			b.mu.Unlock()
			return
		}
		b.events = b.spare[:0]
		b.mu.Unlock()

		h.env.Enter()
		for i := range events {
			h.handle(&events[i])
		}
		h.flush()
		h.env.Leave()

		clear(events)
		if cap(events) > maxKept && cap(events) > 4*len(events) {
			events = nil
		}
		b.mu.Lock()
		b.spare = events[:0]
		b.mu.Unlock()
	}
}

// handle is the table of what events do.
func (h *Host) handle(e *event) {
	switch e.kind {
	case evArrived:
		e.g.touch()
	case evCancel:
		e.g.cancel(e.call, e.err)
	case evPackets:
		h.handlePackets(e.host, e.packets)
		e.backlog.keep(e.packets)
		e.backlog.handled(e.bytes)
	case evSaved:
		h.handleSaved(e.batch, e.err)
		h.reuse(e.batch)
	case evApplied:
		if e.life == e.g.lane.lifeNow() { // else it is told late, of a machine that is none any more
			if e.g.linger.reached(e.index) {
				h.underWay.ended(e.g)
			}
			e.g.step(raft.Input{Kind: raft.InApplied, Index: e.index})
			e.g.replayed(e.index)
		}
	case evMark:
		e.g.handleMark(e.mark)
	case evStopped:
		if e.life == e.g.lane.lifeNow() { // else that machine is out of service already, and another one under way
			e.g.ail(e.err)
		}
	case evLink:
		h.handleLink(e)
	case evTimer:
		h.handleTimer()
	case evSealed:
		e.g.snapshots.pace.ended(h.env.Clock().Now(), e.took, e.err)
		e.g.handleSealed(e.meta, e.life, e.err)
	case evInstalled:
		e.g.step(raft.Input{Kind: raft.InInstalled, Snapshot: e.meta})
		e.g.received()
	case evSent:
		e.g.step(raft.Input{Kind: raft.InSnapshotSent, Replica: e.replica, Failed: e.err != nil})
	case evAdd:
		h.add(e.g)
	case evClose:
		h.handleClose()
	case evDo:
		e.fn()
	default:
		panic(fmt.Sprintf("event of kind %d", e.kind))
	}
}

func (h *Host) handleLink(e *event) {
	kind := raft.InHostLost
	switch {
	case e.err == nil:
		kind = raft.InHostUp
	case e.refused:
		kind = raft.InHostRefused
	}
	h.linked[e.host] = e.err == nil
	if e.err == nil {
		h.linksMade++
	}
	h.tell(env.Event{Kind: linkEvent(e.err == nil), Peer: uint64(e.host), Text: linkText(e)})
	for _, g := range h.order {
		g.step(raft.Input{Kind: kind, Host: e.host})
	}
}

func linkEvent(up bool) env.EventKind {
	if up {
		return env.LinkUp
	}
	return env.LinkLost
}

func linkText(e *event) string {
	switch {
	case e.err == nil:
		return ""
	case e.refused:
		return "refused"
	}
	return e.err.Error()
}

// handleTimer steps every group whose deadline has come, and sweeps calls that waited too long.
func (h *Host) handleTimer() {
	now := h.env.Clock().Now()
	h.timerAt = 0
	h.checkDisk(now)
	h.ringPairs(now)
	h.checkPressure(now)
	for {
		g := h.deadlines.due(now)
		if g == nil {
			return
		}
		if g.sweepAt != 0 && g.sweepAt <= now {
			g.sweep(now)
		}
		if g.tickAt != 0 && g.tickAt <= now {
			g.tick(now)
		}
		if g.heldUntil != 0 && g.heldUntil <= now {
			g.heldUntil = 0
		}
		if g.catchUp.retryAt <= now {
			g.catchUp.retryAt = 0
		}
		if g.linger.wakeAt != 0 && g.linger.wakeAt <= now {
			g.linger.wakeAt = 0
		}
		if g.retryAt != 0 && g.retryAt <= now {
			g.retrySaves()
		}
		if g.rebuild.at != 0 && g.rebuild.at <= now {
			g.mend()
		}
		g.askLonely(now)
		g.step(raft.Input{Kind: raft.InClock})
	}
}

// checkDisk tells leaders that the log's writes stall: leadership is tied to the ability to commit (H17).
func (h *Host) checkDisk(now time.Duration) {
	if err := h.wal.Err(); err != nil {
		h.fail(err) // nobody may have asked it for anything since
		return
	}
	since := h.wal.StalledSince()
	if since == 0 || now-since < 2*h.opts.ElectionTimeout {
		return
	}
	for _, g := range h.order {
		if g.r.Role() == raft.Leader && now-since >= 2*g.timeout() {
			g.step(raft.Input{Kind: raft.InStorageStuck})
		}
	}
}

func (h *Host) handleClose() {
	if h.timer != nil {
		h.timer.Stop()
	}
	for _, g := range h.order {
		g.closeCalls()
	}
}

// flush ends a turn: it does what the touched groups ask for, writes what it has put to links, and hands one
// batch for all of them to the log.
func (h *Host) flush() {
	h.obey()
	h.writeLinks() // first: the others' disks take as long as this one's
	h.persist()
	h.arm()
}

// maxTouched is for how many groups at most a turn lets packets, or saves, gather before it does what they ask for: with
// thousands, a group would have left the processor's caches by then.
const maxTouched = 32

// obeyMany is obey once that many groups are touched. What they send leaves then: a turn of thousands takes a while, and
// a link's queue is bounded.
func (h *Host) obeyMany() {
	if len(h.touched) >= maxTouched {
		h.obey()
		h.writeLinks()
	}
}

// writeLinks writes what was put to the links.
func (h *Host) writeLinks() {
	if net := h.net.Load(); net != nil {
		net.Flush()
	}
}

// obey does what the touched groups ask for. What may leave before the save is put to the links.
func (h *Host) obey() {
	for i := 0; i < len(h.touched) || h.callUp(); i++ { // grows while it runs
		g := h.touched[i]
		g.touched = false
		g.submit()
		g.ready()
	}
	clear(h.touched)
	h.touched = h.touched[:0]
}

// callUp touches the groups that stood in line and may begin an entry now, and says whether there were any.
func (h *Host) callUp() bool { return h.underWay.call(h.env.Clock().Now(), (*group).touch) }

// arm sets the timer to the earliest deadline.
func (h *Host) arm() {
	at := h.deadlines.next()
	for _, t := range [...]time.Duration{h.pairsAt(), h.pressAt, h.underWay.callAt()} {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	if at == 0 || h.closed.Load() || h.timerAt != 0 && h.timerAt <= at {
		return
	}
	h.timerAt = at
	d := max(at-h.env.Clock().Now(), 0)
	if h.timer == nil {
		h.timer = h.env.Clock().AfterFunc(d, func() { h.post(event{kind: evTimer}) })
		return
	}
	h.timer.Reset(d)
}

func (h *Host) observe(e env.Event) {
	if h.opts.Observer == nil {
		return
	}
	e.At, e.Host = h.env.Clock().Now(), uint64(h.identity.is.Host)
	h.opts.Observer.Observe(e)
}

// tell is observe for everybody but turns and lanes: the host may be founded at this moment.
func (h *Host) tell(e env.Event) {
	if h.opts.Observer == nil {
		return
	}
	e.At, e.Host = h.env.Clock().Now(), uint64(h.ID())
	h.opts.Observer.Observe(e)
}
