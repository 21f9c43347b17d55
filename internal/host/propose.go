package host

import (
	"fmt"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// enqueue takes calls into the group's queue, in order; this turn's flush appends or forwards them.
func (g *group) enqueue(calls []*Call) {
	conf := g.r.Configuration()
	for _, c := range calls {
		switch {
		case g.stopped != nil:
			c.fail(notCommitted(g.asError(g.stopped)))
		case g.rebuild.why != nil:
			c.fail(notCommitted(fmt.Errorf("%w: %w", ErrQuarantined, g.rebuild.why)))
		case int64(len(c.cmd)-c.header) > conf.Settings.MaxEntryBytes:
			c.fail(notCommitted(fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(c.cmd)-c.header, conf.Settings.MaxEntryBytes)))
		case conf.Settings.Halt != raft.HaltNone:
			c.fail(notCommitted(ErrHalted))
		case g.lane.bytes.Load() > g.h.opts.MaxApplyBytes:
			c.fail(g.h.busy(g.id, "apply"))
		default:
			g.arrivals++
			c.order = g.arrivals
			g.queued = append(g.queued, c)
		}
	}
	if len(g.queued) == 0 {
		return
	}
	g.expectSweep()
	if wait := g.h.opts.CallTimeout; wait >= 0 {
		until := g.h.env.Clock().Now() + wait
		for _, c := range g.queued {
			if !c.patient && c.deadline == 0 {
				c.deadline = until
			}
		}
	}
}

// expectSweep makes the clock look for expired calls while any wait.
func (g *group) expectSweep() {
	if g.sweepAt == 0 {
		g.sweepAt = g.h.env.Clock().Now() + sweepEvery
		g.arm()
	}
}

// unqueue takes back a call that went nowhere yet.
func (g *group) unqueue(c *Call) bool {
	for i, q := range g.queued {
		if q == c {
			g.queued = append(g.queued[:i], g.queued[i+1:]...)
			return true
		}
	}
	return false
}

// cancel ends a call whose caller has gone.
func (g *group) cancel(c *Call, err error) {
	g.takeIn()
	if g.unqueue(c) {
		c.fail(notCommitted(err))
		return
	}
	c.fail(unknown(err))
}

// submit gives the queue to whoever leads: appended here, forwarded once, or kept until somebody does.
func (g *group) submit() {
	g.takeIn()
	if g.stopped != nil {
		g.refuseInbound(raft.NotLeader, func(*wire.Forward) bool { return true })
		return
	}
	if g.r.Role() == raft.Leader {
		g.refuseInbound(raft.NotLeader, func(f *wire.Forward) bool { return f.Term != g.r.Term() })
		g.append()
	} else {
		g.refuseInbound(raft.NotLeader, func(*wire.Forward) bool { return true })
		g.forward()
	}
	g.askCatchUp()
	g.askReads()
}

// append proposes everything that waits, in entries of bounded size. While this replica's disk
// writes, commands gather: one sync and one frame carry them all. Nothing is
// delayed by it, for no commit of a leader is executed before its own disk has it (R4). They gather on
// while the last entry is under way: see lingers.
func (g *group) append() {
	if len(g.queued) == 0 && len(g.inbound) == 0 || g.r.HandingOver() {
		// What waits for a handover is in no log: it goes to whoever leads then, from its own host (H6).
		g.lingers()
		g.linger.wakeAt = 0 // nobody waits
		return
	}
	if g.h.wal.Full() {
		g.refuseAll(notCommitted(ErrNoSpace))
		return
	}
	if g.saves.writing() || g.lingers() {
		return // the disk takes one write at a time: until it ends, the next entry fills
	}
	if !g.h.underWay.mayBegin(g) {
		return // so many groups have an entry under way that this one's fills, too
	}
	f := filling{g: g}
	if !g.mayGo() {
		f.fill(nil)
		return
	}
	queued := g.queued
	g.queued = g.queued[:0]
	f.fill(queued)
}

// filling makes entries of the commands that wait: as few as their bound allows, each encoded once,
// into memory of its size.
type filling struct {
	g        *group
	b        wire.PayloadBuilder
	p        proposing
	own      int // commands of this host that are not added yet
	commands int // these, and those of others
	bytes    int // theirs
}

// fill proposes queued, and all forwards that came in.
func (f *filling) fill(queued []*Call) {
	f.own, f.commands = len(queued), len(queued)
	for _, c := range queued {
		f.bytes += len(c.cmd)
	}
	for _, in := range f.g.inbound {
		f.commands += len(in.f.Commands)
		for _, cmd := range in.f.Commands {
			f.bytes += len(cmd.Data)
		}
	}
	for _, c := range queued {
		if c.Done() {
			continue // its command is gone
		}
		if f.full(c.cmd) {
			f.emit()
		}
		f.add(wire.Origin{}, c.command())
		f.p.calls = append(f.p.calls, c)
		f.own--
	}
	for _, in := range f.g.inbound {
		run := forwarded{from: in.from, origin: in.f.Origin}
		for i, cmd := range in.f.Commands {
			if f.full(cmd.Data) {
				f.p.forwards = append(f.p.forwards, run)
				f.emit()
				run = forwarded{from: in.from, origin: in.f.Origin}
				run.origin.Seq += uint64(i)
			}
			f.add(wire.Origin{Host: in.f.Origin.Host, Life: in.f.Origin.Life, Seq: in.f.Origin.Seq + uint64(i)}, cmd)
			run.count++
		}
		f.p.forwards = append(f.p.forwards, run)
		f.g.h.inbound -= in.bytes
	}
	clear(f.g.inbound)
	f.g.inbound = f.g.inbound[:0]
	f.emit()
}

// full says whether cmd has to go into another entry.
func (f *filling) full(cmd []byte) bool {
	return f.b.Count() > 0 && f.b.Len()+len(cmd) > int(maxEntryPayload)
}

// add puts a command into the open entry. The first one gets memory for all that is to come.
func (f *filling) add(o wire.Origin, cmd wire.Command) {
	if f.b.Count() == 0 {
		const perCommand, perEntry = 3, 64
		size, calls := f.bytes+perCommand*f.commands+perEntry, f.own
		if most := int(maxEntryPayload); size > most {
			size, calls = max(most, len(cmd.Data))+perEntry, calls/(size/most)
		}
		f.b.Reset(make([]byte, 0, size))
		f.p.calls = make([]*Call, 0, calls)
	}
	f.b.Add(o, cmd)
	f.commands--
	f.bytes -= len(cmd.Data)
}

// emit proposes the open entry.
func (f *filling) emit() {
	if f.b.Count() == 0 {
		return
	}
	g := f.g
	g.proposing = append(g.proposing, f.p)
	data := f.b.Bytes()
	g.step(raft.Input{Kind: raft.InPropose, Proposal: raft.Proposal{
		Ref: uint64(len(g.proposing)), Kind: raft.KindCommands, Data: data, Payload: wire.PayloadDigest(data),
		Forwarded: len(f.p.forwards) > 0,
	}})
	f.b, f.p = wire.PayloadBuilder{}, proposing{}
}

// proposed is raft's word on one entry of this turn.
func (g *group) proposed(p *raft.Proposed) {
	if p.Ref&changeRef != 0 {
		g.answerChange(p)
		return
	}
	if p.Ref == 0 || p.Ref > uint64(len(g.proposing)) {
		return // a tick or a mark
	}
	of := g.proposing[p.Ref-1]
	if p.Refused == raft.Appended {
		now := g.h.env.Clock().Now()
		g.linger.began(p.Index, now)
		g.h.underWay.began(g, now)
		if len(of.calls) > 0 {
			g.waiting.addAppended(appended{term: p.Term, index: p.Index, calls: of.calls})
		}
		return
	}
	for _, f := range of.forwards {
		g.refuseForward(f.from, f.origin, f.count, p.Refused)
	}
	for _, c := range of.calls {
		switch p.Refused {
		case raft.Overloaded:
			c.fail(g.h.busy(g.id, "uncommitted"))
		case raft.Halted:
			c.fail(notCommitted(ErrHalted))
		default: // not leading any more, or handing over: it is in no log, so it may go anew
			g.requeue(c)
		}
	}
}

// requeue lets a call go anew that is in no log, in its place before those that came after it,
// unless its caller has gone: its command with it.
func (g *group) requeue(c *Call) {
	if c.Done() {
		return
	}
	if !c.alone {
		g.held = true // again, where it was refused before: others may have come meanwhile
		if c.hold == 0 {
			c.hold = g.h.env.Clock().Now() + g.h.opts.ElectionTimeout
		}
	}
	i := len(g.queued)
	for i > 0 && g.queued[i-1].order > c.order {
		i--
	}
	g.queued = slices.Insert(g.queued, i, c)
	g.expectSweep()
}

// mayGo says whether the queue may be appended or forwarded. Commands of one goroutine that commit
// keep its order (H7): a refused call waits until it is known what became of those sent after it, and
// ends as not committed if one of them has committed. A goroutine that waits for its call has sent none after it.
func (g *group) mayGo() bool {
	if !g.held {
		return true
	}
	for i := 0; i < len(g.queued); {
		c := g.queued[i]
		if c.hold == 0 {
			i++
			continue
		}
		open, passed := g.waiting.after(c.order)
		if !passed && !open {
			return true
		}
		if !passed && g.h.env.Clock().Now() < c.hold {
			return false // the sweep looks again, if nothing else does
		}
		g.queued = slices.Delete(g.queued, i, i+1)
		c.fail(g.h.busy(g.id, "order"))
	}
	g.held = false
	return true
}

// refuseAll answers everything that waits for this leader with the same fault.
func (g *group) refuseAll(fault *Fault) {
	for _, c := range g.queued {
		c.fail(fault)
	}
	g.queued = g.queued[:0]
	g.refuseInbound(raft.Overloaded, func(*wire.Forward) bool { return true })
}

// arrive takes another host's forward into the queue. What all of them have on the way here has this
// host's bound, as its own calls have (H19).
func (g *group) arrive(from raft.HostID, f *wire.Forward) {
	n := forwardBytes(f)
	if g.h.inbound > 0 && g.h.inbound+n > g.h.opts.MaxInboxBytes {
		g.refuseForward(from, f.Origin, uint32(len(f.Commands)), raft.Overloaded)
		return
	}
	g.h.inbound += n
	g.inbound = append(g.inbound, inbound{from: from, f: f, bytes: n})
	g.touch()
}

func (g *group) refuseInbound(why raft.Refusal, refuse func(*wire.Forward) bool) {
	kept := g.inbound[:0]
	for _, in := range g.inbound {
		if refuse(in.f) {
			g.h.inbound -= in.bytes
			g.refuseForward(in.from, in.f.Origin, uint32(len(in.f.Commands)), why)
		} else {
			kept = append(kept, in)
		}
	}
	clear(g.inbound[len(kept):])
	g.inbound = kept
}

func (g *group) refuseForward(to raft.HostID, o wire.Origin, count uint32, why raft.Refusal) {
	g.h.send(to, &wire.Packet{Reply: &wire.ForwardReply{
		Group: g.id, Birth: g.birth, Term: g.r.Term(), Life: o.Life, Seq: o.Seq, Count: count, Refused: why,
	}})
}

// forward sends the queue to the leader's host, addressed to the leader's term, once (H6).
// What cannot be sent now stays queued: it is in no log.
func (g *group) forward() {
	leader, term := g.leaderHost(), g.r.Term()
	g.queued = slices.DeleteFunc(g.queued, (*Call).Done) // their commands are gone
	if leader == 0 || len(g.queued) == 0 || !g.h.linked[leader] || term == g.heldTerm && g.heldUntil != 0 || !g.mayGo() {
		return
	}
	for len(g.queued) > 0 {
		n, bytes := 0, 0
		for n < len(g.queued) && (n == 0 || bytes+len(g.queued[n].cmd) <= int(maxEntryPayload)) {
			bytes += len(g.queued[n].cmd)
			n++
		}
		calls := append([]*Call(nil), g.queued[:n]...)
		cmds := make([]wire.Command, n)
		for i, c := range calls {
			cmds[i] = c.command()
		}
		from := g.h.nextSeq + 1
		g.h.nextSeq += uint64(n)
		g.waiting.addForward(term, from, calls)
		sent := g.h.send(leader, &wire.Packet{Forward: &wire.Forward{
			Group: g.id, Birth: g.birth, Term: term,
			Origin:   wire.Origin{Host: g.self.Host, Life: g.h.life, Seq: from},
			Commands: cmds,
		}})
		if !sent {
			g.waiting.takeForwards(from, uint64(n))
			return
		}
		g.queued = append(g.queued[:0], g.queued[n:]...)
	}
}

// refused is the leader's word that a forward was not appended: it may go to the next leader.
func (g *group) refused(r *wire.ForwardReply) {
	term, calls := g.waiting.takeForwards(r.Seq, uint64(r.Count))
	if len(calls) == 0 {
		return // all of them have ended, or gone anew
	}
	for _, c := range calls {
		switch r.Refused {
		case raft.Overloaded:
			c.fail(g.h.busy(g.id, "uncommitted"))
		case raft.Halted:
			c.fail(notCommitted(ErrHalted))
		default:
			g.requeue(c)
		}
	}
	// Who leads the term that they were addressed to cannot take them: it, or its successor, gets a moment. A
	// leader of a later term was not asked yet.
	g.heldTerm, g.heldUntil = term, g.h.env.Clock().Now()+holdForwards
	g.expectSweep()
	g.touch()
}

// holdForwards is how long a refused forward waits in an unchanged term.
const holdForwards = 10 * time.Millisecond

// leaderHost is where the known leader lives; 0: unknown.
func (g *group) leaderHost() raft.HostID {
	leader := g.r.Leader()
	if leader == 0 {
		return 0
	}
	return memberHost(g.r.Configuration(), leader)
}

func memberHost(c *raft.Configuration, id raft.ReplicaID) raft.HostID {
	for _, members := range [][]raft.Member{c.Voters, c.Outgoing, c.Learners} {
		for _, m := range members {
			if m.Replica == id {
				return m.Host
			}
		}
	}
	return 0
}

// sweep ends calls whose deadline has passed, and tries again what could not be sent.
func (g *group) sweep(now time.Duration) {
	g.sweepAt = 0
	open := false
	g.takeIn()
	kept := g.queued[:0]
	for _, c := range g.queued {
		if c.deadline != 0 && c.deadline <= now {
			c.fail(notCommitted(ErrNoQuorum))
			continue
		}
		kept = append(kept, c)
		open = true
	}
	clear(g.queued[len(kept):])
	g.queued = kept
	expired, waits := g.waiting.expire(now)
	for _, c := range expired {
		c.finish(Result{}, unknown(ErrNoQuorum))
	}
	if g.sweepReads(now) || open || waits {
		g.sweepAt = now + sweepEvery
	}
	g.touch()
}
