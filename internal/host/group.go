package host

import (
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// group is one group's replica on this host: the algorithm, which the turn alone touches, and the
// machine, which its lane alone touches. Calls wait in between.
type group struct {
	h     *Host
	id    raft.GroupID
	birth raft.Birth
	self  raft.Member

	r        *raft.Replica
	touched  bool
	held     bool         // a queued call may be held back for those after it
	standing standing     // with regard to Host.underWay
	doubts   bool         // the machine waits at a command of which it is not known yet whether it is passed over
	ended    atomic.Bool  // for good: its data go
	heirless atomic.Bool  // its host stops, and nobody takes over from it
	heir     atomic.Bool  // its host stops, and asked one that is there to take over: see HandOver
	heirHost raft.HostID  // that one's; of the turn alone
	work     atomic.Int32 // tasks that touch its files
	needs    atomic.Bool  // its machine waits for a snapshot of the others
	stopped  error        // it has ended, its log failed, or raft found it contradicting itself
	lost     error        // found at recovery: it is stopped as soon as it is added
	began    raft.Mark    // the state that it was restored to, of an agreed snapshot; zero: none

	deadline time.Duration // that h.deadlines waits for; 0: none
	place    int           // of its slot there, plus one; 0: it has none
	raftAt   time.Duration // when raft wants the clock
	sweepAt  time.Duration // when calls may expire; 0: none wait
	tickAt   time.Duration // when the machine's deadline may come; 0: none

	intake    intake
	queued    []*Call // accepted; neither appended nor forwarded yet
	arrivals  uint64  // calls so far
	inbound   []inbound
	proposing []proposing // given to raft in this turn, by Ref-1
	changes   []*changing // so too, by their Ref
	waiting   waiting
	linger    linger
	beginner  uint64 // number of its entry in Host.underWay; 0: none counts there

	heldTerm  raft.Term     // whose leader refused a forward
	heldUntil time.Duration // until when none is sent to it again; 0: not held

	nextToken  uint64
	asking     [2][]*readCall // by level, Linearizable or Leased: wait for a read index to be asked for
	asked      []askedReads
	spareReads []*readCall
	heard      time.Duration // when a leader was last heard, or we led
	quieted    []raft.HostID // whose replicas were last told to be quiet, by us as leader
	quietBy    raft.HostID   // whose replica, as leader, last told us so; 0: none
	levelSeen  levelSeen
	asksAt     time.Duration // when the others are asked again whether we belong to them

	cached    int64 // bytes of payloads that raft holds
	cachedLog []cachedBytes
	written   logBytes

	catchUp   catchUp
	fresh     fresh
	snapshots snapshots
	saves     saveQueue
	retryAt   time.Duration // when what a full disk refused goes again; 0: nothing waits
	lane      lane
	rebuild   rebuild
	skips     []place    // commands that are passed over, as far as is committed here
	skipsOf   raft.Index // the configuration that they were last read of
	pub       published
	conf      atomic.Pointer[raft.Configuration] // in force
}

// inbound is a forward that arrived for this replica as leader.
type inbound struct {
	from  raft.HostID
	f     *wire.Forward
	bytes int64 // of Host.inbound
}

// proposing is one entry given to raft: whose calls it carries.
type proposing struct {
	calls    []*Call // of the first commands; the rest are forwards'
	forwards []forwarded
}

// forwarded is a run of another host's commands in an entry.
type forwarded struct {
	from   raft.HostID
	origin wire.Origin
	count  uint32
}

// cachedBytes says how many payload bytes raft holds through index.
type cachedBytes struct {
	index raft.Index
	bytes int64
}

// sweepEvery is how often waiting calls are looked through for expired ones.
const sweepEvery = 100 * time.Millisecond

// step gives raft one input, and marks the group for this turn's flush.
func (g *group) step(in raft.Input) {
	if g.stopped != nil && in.Kind != raft.InStop {
		return
	}
	in.Now = raft.Instant(g.h.env.Clock().Now())
	in.Wall = g.h.env.Clock().Wall().UnixNano()
	g.r.Step(in)
	g.touch()
}

func (g *group) touch() {
	if !g.touched {
		g.touched = true
		g.h.touched = append(g.h.touched, g)
	}
}

// ready does what raft asks for (A2): messages, the save, entries for the lane, answers.
func (g *group) ready() {
	if g.stopped != nil {
		return
	}
	g.raiseLevel()
	rd := g.r.Ready()
	g.observe(rd.Events)
	if rd.Failed != nil {
		g.stop(rd.Failed)
		return
	}
	if rd.Diverged != nil {
		g.diverged(rd.Diverged.Index)
	}
	g.learnSkips()
	g.goOn()
	for i := range rd.Proposed {
		g.proposed(&rd.Proposed[i])
	}
	g.proposing = g.proposing[:0]
	g.endChanges()
	for i := range rd.Messages {
		g.send(&rd.Messages[i])
	}
	if rd.GivenUp > 0 {
		g.saves.giveUp(rd.GivenUp)
	}
	g.speakNoMore()
	g.publish() // before anybody is answered from this state
	if rd.Install != nil && g.executes() {
		g.lane.install(g, rd.Install)
	} else if rd.Install != nil {
		g.retryNow() // from this one: a majority has passed over whatever stopped the machine here
	}
	g.save(&rd)
	if !rd.Save.Empty() && g.r.Pending() {
		g.touch() // a save has its bound, and a base goes alone; the rest is in the next
	}
	if len(rd.Apply) > 0 && g.executes() { // else the machine gets them when it is made anew
		g.grow(rd.Apply)
		g.lane.apply(g, rd.Apply)
	}
	for i := range rd.Reads {
		g.readReady(&rd.Reads[i])
	}
	for _, to := range rd.NeedSnapshot {
		g.needsSnapshot(to)
	}
	if rd.Agreed != nil {
		g.handleAgreed(*rd.Agreed)
	}
	g.h.memory.Reuse(&rd) // what was sent is in frames
	g.raftAt = time.Duration(rd.Deadline)
	if g.standing == calledUp {
		g.standing = outside // it had nothing to begin any more
	}
	g.gather()
	g.arm()
	if g.h.opts.Check {
		g.checkQuiet()
	}
}

// arm tells the host when this group wants the clock.
func (g *group) arm() {
	if g.stopped != nil { // it wants nothing any more but to know whether it still belongs to the group
		g.h.deadlines.set(g, g.lonelyAt())
		return
	}
	at := g.raftAt
	for _, t := range [...]time.Duration{g.sweepAt, g.tickAt, g.retryAt, g.heldUntil, g.linger.wakeAt, g.catchUp.retryAt, g.rebuild.at, g.lonelyAt()} {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	g.h.deadlines.set(g, at)
}

// send hands a message to the link of its host, reading payloads from the log first where they
// have left memory.
func (g *group) send(m *raft.Message) {
	for i := range m.Entries {
		if !m.Entries[i].Loaded() {
			g.told(m, false)
			g.sendLater(*m)
			return
		}
	}
	g.told(m, g.h.send(m.ToHost, &wire.Packet{Raft: m}))
}

// sendLater reads the payloads on a task of its own: the turn never waits for a disk. The window
// of raft bounds how many are under way.
func (g *group) sendLater(m raft.Message) {
	m.Entries = append([]raft.Entry(nil), m.Entries...)
	g.h.tasks.run("load", func() {
		if err := g.h.wal.Read(g.id, m.Entries); err != nil {
			if !g.h.closed.Load() {
				g.h.log.Warn("entries not sent", "group", g.id, "to", m.To, "err", err)
			}
			return
		}
		g.loaded("to be sent", m.Entries)
		if net := g.h.net.Load(); net != nil {
			net.Send(m.ToHost, &wire.Packet{Raft: &m})
		}
	})
}

// loaded tells that entries were read from the log again, and for whom.
func (g *group) loaded(why string, entries []raft.Entry) {
	g.h.observe(env.Event{
		Kind: env.EntriesReadBack, Group: uint64(g.id), Replica: uint64(g.self.Replica),
		Index: uint64(entries[len(entries)-1].Index), Count: uint64(len(entries)), Text: why,
	})
}

// send has the packet leave at the end of this turn. It drops it where there is no link or no budget left:
// raft sends anew.
func (h *Host) send(to raft.HostID, p *wire.Packet) bool {
	net := h.net.Load()
	return net != nil && net.Put(to, p)
}

// handlePackets gives what a link brought to the groups it names.
func (h *Host) handlePackets(from raft.HostID, packets []wire.Packet) {
	for i := range packets {
		p := &packets[i]
		switch {
		case p.Raft != nil:
			if g := h.groups[p.Raft.Group]; g == nil {
				h.invite(p.Raft)
			} else if g.birth == p.Raft.Birth && g.succeeded(p.Raft) {
				g.endFor(errRemoved)
			} else if g.birth == p.Raft.Birth {
				g.receive(from, p.Raft)
				h.obeyMany()
			}
		case p.Forward != nil:
			if g := h.groups[p.Forward.Group]; g != nil && g.birth == p.Forward.Birth {
				g.arrive(from, p.Forward)
			}
		case p.Vouch != nil:
			h.handleVouch(from, p.Vouch)
		case p.Wake != nil:
			h.handleWake(from, p.Wake)
		case p.Reply != nil:
			if g := h.groups[p.Reply.Group]; g != nil && g.birth == p.Reply.Birth && p.Reply.Life == h.life {
				g.refused(p.Reply)
			}
		}
	}
}

func (g *group) receive(from raft.HostID, m *raft.Message) {
	m.FromHost = from
	g.step(raft.Input{Kind: raft.InMessage, Message: m})
	// What is for another replica of this host, or from a leader that is none any more, tells nothing.
	if fromLeader(m) && m.To == g.self.Replica &&
		m.ToIncarnation == g.self.Incarnation && m.Term == g.r.Term() && m.From == g.r.Leader() {
		g.heard = g.h.env.Clock().Now()
		g.heardWord(from, m.Quiet && g.stopped == nil)
	}
}

// trim lets payloads leave memory once the disk has them and the cache is over its bound: a dead or
// slow follower, or a slow machine, costs a fixed number of bytes. Whoever needs them reads the log.
func (g *group) trim() {
	var through raft.Index
	saved, most := g.r.Saved(), g.h.opts.MaxCacheBytes
	if g.id == systemGroup {
		most = min(most, registryCacheBytes)
	}
	for len(g.cachedLog) > 0 && g.cached > most && g.cachedLog[0].index <= saved {
		through = g.cachedLog[0].index
		g.cached -= g.cachedLog[0].bytes
		g.cachedLog = g.cachedLog[1:]
	}
	if through > 0 {
		g.step(raft.Input{Kind: raft.InTrim, Index: through})
	}
}

// registryCacheBytes is for how many bytes of its newest commands the registry has memory: each was for one group, and
// nobody asks for it again.
const registryCacheBytes = 64 << 10

// cache counts payloads that raft now holds.
func (g *group) cache(entries []raft.Entry) {
	g.written.add(entries)
	var bytes int64
	for i := range entries {
		bytes += int64(len(entries[i].Data))
	}
	if bytes > 0 {
		g.cached += bytes
		g.cachedLog = append(g.cachedLog, cachedBytes{index: entries[len(entries)-1].Index, bytes: bytes})
	}
}

// stop ends this replica until its process starts anew: it votes, acknowledges and serves no more; others go on.
func (g *group) stop(err error) {
	if g.stopped != nil {
		return
	}
	g.step(raft.Input{Kind: raft.InStop})
	g.stopped = err
	g.speakNoMore()
	g.heardWord(0, false)
	g.lane.stop()
	g.dropHeld()
	g.h.observe(env.Event{Kind: env.ReplicaStopped, Group: uint64(g.id), Replica: uint64(g.self.Replica), Text: err.Error()})
	g.h.log.Error("replica quarantined", "host", g.self.Host, "group", g.id, "err", err, "do", remedy(err))
	g.endChanges()
	g.failCalls(g.asError(err))
	g.publish()
	g.arm()
}

// failCalls ends every call and read of the group, and lets none in any more.
func (g *group) failCalls(err error) {
	calls, reads := g.intake.refuse(err)
	g.queued = append(g.queued, calls...)
	g.asking[Linearizable] = append(g.asking[Linearizable], reads...)
	for _, c := range g.queued {
		c.fail(notCommitted(err))
	}
	g.queued = nil
	for _, p := range g.proposing { // given to raft in this turn, which has not answered
		failAll(p.calls, unknown(err))
	}
	g.proposing = nil
	failAll(g.waiting.takeAll(), unknown(err))
	for level, asking := range g.asking {
		for _, r := range asking {
			r.fail(err)
		}
		g.asking[level] = nil
	}
	for _, a := range g.asked {
		for _, r := range a.reads {
			r.fail(err)
		}
	}
	g.asked = nil
	g.lane.failReads(err)
	g.endSnapshotCalls(0, err)
}

// closeCalls ends every call, read and wait of the group, as the host closes.
func (g *group) closeCalls() {
	g.endChanges()
	g.lane.stop()
	g.dropHeld()
	g.failCalls(ErrClosed)
}

// observe passes raft's events on, with who they are of.
func (g *group) observe(events []raft.Event) {
	if g.h.opts.Observer == nil && len(events) == 0 {
		return
	}
	for _, e := range events {
		if env.EventKind(e.Kind) == env.LeaderElected || env.EventKind(e.Kind) == env.SteppedDown {
			g.h.log.Info(roleText(e), "host", g.self.Host, "group", g.id, "term", e.Term, "reason", e.Text)
		}
		g.h.observe(env.Event{
			Kind: env.EventKind(e.Kind), Group: uint64(g.id), Replica: uint64(g.self.Replica),
			Term: uint64(e.Term), Index: uint64(e.Index), Peer: uint64(e.Peer), Digest: uint64(e.Digest), Count: e.Count, Text: e.Text,
		})
	}
}

func roleText(e raft.Event) string {
	if env.EventKind(e.Kind) == env.LeaderElected {
		return "leader elected"
	}
	return "stepped down"
}
