package raft

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// The worlds of the tests: replicas with disks that keep what was synced and nothing else, and a
// network that delivers when told. Scripts drive it by hand, the simulation by dice.

const (
	testHeartbeat = 50_000_000
	testElection  = 250_000_000
	testGroup     = 7
	testBirth     = 77
)

// disk is what survives a crash.
type disk struct {
	hard    HardState
	base    SnapshotMeta
	entries []Entry
	commit  Index // the newest floor
}

// write makes a save durable.
func (d *disk) write(s *Save) {
	if s.HardSet {
		d.hard = s.Hard
	}
	d.commit = max(d.commit, s.Commit)
	if s.Base != nil {
		var kept []Entry
		for _, e := range d.entries {
			if !s.Replaces && e.Index > s.Base.Index() {
				kept = append(kept, e)
			}
		}
		d.base, d.entries = *s.Base, kept
	}
	if len(s.Entries) > 0 {
		at := s.Entries[0].Index
		n := int(at - d.base.Index() - 1)
		if n < 0 || n > len(d.entries) {
			panic(fmt.Sprintf("save of entry %d leaves a gap after %d+%d", at, d.base.Index(), len(d.entries)))
		}
		d.entries = append(slices.Clip(d.entries[:n]), s.Entries...)
	}
}

func (d *disk) last() Index { return d.base.Index() + Index(len(d.entries)) }

// holds says whether the disk holds this very entry, in the log or under the snapshot.
func (d *disk) holds(i Index, sum Digest) bool {
	if i <= d.base.Index() {
		return true // the snapshot's content is checked when it is installed
	}
	return i <= d.last() && d.entries[i-d.base.Index()-1].Sum == sum
}

// queued is a save whose sync runs, with what waits for it.
type queued struct {
	save  Save
	after []Message
}

// host is a replica, its disk and its machine.
type host struct {
	self    Member
	r       *Replica
	disk    disk
	queue   []queued
	flight  int // of queue: on their way when the disk was full; the others were refused
	down    bool
	drift   int64   // of its clock, in millionths
	stuck   bool    // its disk stands still, when the world runs by itself
	apply   []Entry // given to the machine's lane, not executed
	install *SnapshotMeta
	applied Index
	lives   uint64
	due     Instant
	sums    map[Index]Digest // of what this machine has executed
}

// world is the group and the network.
type world struct {
	now     Instant
	hosts   []*host
	net     []Message
	options Options
	seen    func(h *host, rd *Ready) // every Ready, before its messages leave
	cut     map[[2]ReplicaID]bool
	lose    func(m *Message) bool // nil: none
	floors  bool                  // who starts again knows the floor that it saved
}

func member(id ReplicaID) Member {
	return Member{Replica: id, Host: HostID(id), Incarnation: Incarnation(100 + id)}
}

func members(ids ...ReplicaID) (ms []Member) {
	for _, id := range ids {
		ms = append(ms, member(id))
	}
	return ms
}

func encodeConfiguration(c *Configuration) []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return b
}

func decodeConfiguration(p []byte) (c Configuration, err error) {
	err = json.Unmarshal(p, &c)
	return c, err
}

// makeEntry builds an entry that follows prev.
func makeEntry(prev *Entry, term Term, kind Kind, data []byte) Entry {
	e := Entry{Identity: Identity{
		Group: testGroup, Birth: testBirth, Kind: kind, Term: term, Index: 1,
		Length: uint32(len(data)), Payload: Digest(digest.Sum(data)),
	}, Data: data}
	if prev != nil {
		e.Index, e.Prev, e.Time = prev.Index+1, prev.Sum, prev.Time
	}
	e.Sum = e.Identity.Digest()
	return e
}

// newWorld founds a group of n hosts whose configuration is c.
func newWorld(n int, c Configuration, o Options) *world {
	w := &world{options: o, cut: map[[2]ReplicaID]bool{}, now: 1}
	founding := makeEntry(nil, 1, KindConfiguration, encodeConfiguration(&c))
	for i := 1; i <= n; i++ {
		h := &host{self: member(ReplicaID(i))}
		h.disk.hard = HardState{Term: 1}
		h.disk.entries = []Entry{founding}
		w.hosts = append(w.hosts, h)
		w.start(h)
	}
	return w
}

// addHost adds one with an empty disk, whose replica no configuration names yet.
func (w *world) addHost() *host {
	h := &host{self: member(ReplicaID(len(w.hosts) + 1))}
	w.hosts = append(w.hosts, h)
	w.start(h)
	return h
}

func testOptions() Options {
	return Options{
		Group: testGroup, Birth: testBirth,
		Heartbeat: testHeartbeat, ElectionTimeout: testElection,
		MaxAppendBytes: 1024, MaxWindow: 8, MaxWindowBytes: 4096, MaxUncommitted: 1 << 20,
		MarkEvery: 16, MarkInterval: 10_000_000_000,
		DecodeConfiguration: decodeConfiguration, EncodeConfiguration: encodeConfiguration, Check: true,
	}
}

// start opens the replica from its disk.
func (w *world) start(h *host) {
	o := w.options
	h.lives++
	o.Self, o.Hard, o.Base = h.self, h.disk.hard, &h.disk.base
	o.Seed += uint64(h.self.Replica)<<32 + h.lives
	o.Entries = slices.Clone(h.disk.entries)
	o.Applied = h.disk.base.Index()
	if w.floors {
		o.Commit = h.disk.commit
	}
	h.down, h.queue, h.apply, h.install = false, nil, nil, nil
	h.applied = o.Applied
	h.sums = map[Index]Digest{o.Applied: h.disk.base.Sum}
	h.r = New(o)
	w.step(h, Input{Kind: InClock})
}

func (w *world) crash(h *host) {
	h.down = true
	h.r, h.queue, h.apply, h.install = nil, nil, nil, nil
}

// step gives an input to a replica that is up.
func (w *world) step(h *host, in Input) {
	if h.down {
		return
	}
	in.Now = h.clock(w.now)
	h.r.Step(in)
	w.pump(h)
}

// clock is the host's own, which runs ahead of the world's, or behind.
func (h *host) clock(now Instant) Instant { return now + now*Instant(h.drift)/1_000_000 }

// pump takes what the replica asks for.
func (w *world) pump(h *host) {
	for n := 0; h.r.Pending(); n++ {
		if n > 100 {
			panic(fmt.Sprintf("replica %d always has something more to do", h.self.Replica))
		}
		rd := h.r.Ready()
		h.due = rd.Deadline
		if w.seen != nil {
			w.seen(h, &rd)
		}
		for i := range rd.Messages {
			rd.Messages[i].Entries = h.load(rd.Messages[i].Entries)
		}
		w.net = append(w.net, rd.Messages...)
		h.giveUp(rd.GivenUp)
		if !rd.Save.Empty() {
			h.queue = append(h.queue, queued{rd.Save, rd.AfterSave})
		} else if len(rd.AfterSave) > 0 {
			panic("messages wait for no save")
		}
		if rd.Install != nil {
			h.install, h.apply = rd.Install, nil
		}
		h.apply = append(h.apply, rd.Apply...)
	}
}

// full has the disk refuse all saves but the oldest ones, which are on their way.
func (w *world) full(h *host, flight int) {
	h.flight = flight
	w.step(h, Input{Kind: InStorageFull})
}

// giveUp takes back the entries from i on that were refused, and acknowledgements of those on their way.
func (h *host) giveUp(i Index) {
	if i == 0 {
		return
	}
	for k := range h.queue {
		q := &h.queue[k]
		q.after = slices.DeleteFunc(slices.Clone(q.after), func(m Message) bool {
			return m.Type == MsgAppendReply && m.Index >= i
		})
		es := q.save.Entries
		for k >= h.flight && len(es) > 0 && es[len(es)-1].Index >= i {
			es = es[:len(es)-1]
		}
		q.save.Entries = es
	}
}

// load reads payloads that are no longer in memory, as the host does from its log.
func (h *host) load(es []Entry) []Entry {
	es = slices.Clone(es)
	for i := range es {
		if !es[i].Loaded() {
			es[i].Data = h.disk.entries[es[i].Index-h.disk.base.Index()-1].Data
		}
	}
	return es
}

// sync makes the oldest save durable; told: its completion is reported, too.
func (w *world) sync(h *host, told bool) {
	if len(h.queue) == 0 || h.down {
		return
	}
	q := h.queue[0]
	h.queue = h.queue[1:]
	h.flight = max(h.flight-1, 0)
	h.disk.write(&q.save)
	if told {
		w.net = append(w.net, q.after...)
		w.step(h, Input{Kind: InSaved, Seq: q.save.Seq})
	}
}

// execute runs the machine over n entries, or restores a snapshot.
func (w *world) execute(h *host, n int) {
	if h.down {
		return
	}
	if h.install != nil {
		h.applied = h.install.Index()
		h.sums = map[Index]Digest{h.applied: h.install.Sum}
		h.install = nil
	}
	for ; n > 0 && len(h.apply) > 0; n-- {
		e := h.apply[0]
		h.apply = h.apply[1:]
		if e.Index != h.applied+1 {
			panic(fmt.Sprintf("replica %d applies entry %d after %d", h.self.Replica, e.Index, h.applied))
		}
		h.applied = e.Index
		h.sums[e.Index] = e.Sum
		if e.Flags&FlagMark != 0 {
			w.step(h, Input{Kind: InMark, Mark: Mark{Index: e.Index, Digest: e.Sum}})
		}
	}
	w.step(h, Input{Kind: InApplied, Index: h.applied})
}

// compact cuts the log of h at what its machine has executed.
func (w *world) compact(h *host, at Index) {
	if h.down || at > h.applied || at <= h.disk.base.Index() || at > h.disk.last() {
		return
	}
	s, ok := w.snapshot(h, at)
	if ok {
		w.step(h, Input{Kind: InCompact, Snapshot: &s})
	}
}

// snapshot describes h's log at an index it has on disk.
func (w *world) snapshot(h *host, at Index) (SnapshotMeta, bool) {
	if at == h.disk.base.Index() {
		return h.disk.base, at > 0
	}
	if at < h.disk.base.Index() || at > h.disk.last() {
		return SnapshotMeta{}, false
	}
	s := SnapshotMeta{Configuration: h.disk.base.Configuration}
	for _, e := range h.disk.entries[:at-h.disk.base.Index()] {
		if e.Kind == KindConfiguration {
			s.Configuration, _ = decodeConfiguration(e.Data)
			s.Configuration.Index = e.Index
		}
		s.Identity, s.Sum = e.Identity, e.Sum
	}
	return s, true
}

func (w *world) host(id ReplicaID) *host { return w.hosts[id-1] }

// deliver hands over message k of the network.
func (w *world) deliver(m Message) {
	h := w.host(m.To)
	if h.down || w.cut[[2]ReplicaID{m.From, m.To}] || w.lose != nil && w.lose(&m) {
		return
	}
	m.FromHost = w.host(m.From).self.Host
	m.Entries = slices.Clone(m.Entries)
	w.step(h, Input{Kind: InMessage, Message: &m})
}

// clock moves time on and wakes whoever is due.
func (w *world) clock(by int64) {
	w.now += Instant(by)
	for _, h := range w.hosts {
		if !h.down && h.due != 0 && h.clock(w.now) >= h.due {
			w.step(h, Input{Kind: InClock})
		}
	}
}

// settle lets everything that is possible happen, in order, for a while.
func (w *world) settle(d int64) {
	for end := w.now + Instant(d); w.now < end; w.clock(1_000_000) {
		w.drain()
	}
	w.drain()
}

// drain delivers, syncs and executes until nothing moves.
func (w *world) drain() {
	for moved := true; moved; {
		moved = false
		for _, h := range w.hosts {
			for len(h.queue) > 0 && !h.stuck {
				w.sync(h, true)
				moved = true
			}
			if !h.down && (len(h.apply) > 0 || h.install != nil) {
				w.execute(h, len(h.apply))
				moved = true
			}
		}
		for len(w.net) > 0 {
			m := w.net[0]
			w.net = w.net[1:]
			w.deliver(m)
			moved = true
		}
	}
}

func (w *world) leader() *host {
	var best *host
	for _, h := range w.hosts {
		if !h.down && h.r.role == Leader && (best == nil || h.r.hard.Term > best.r.hard.Term) {
			best = h
		}
	}
	return best
}

func pick[T any](g *rand.Rand, from []T) T { return from[g.IntN(len(from))] }
