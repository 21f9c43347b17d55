package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/internal/snapshot"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// errDiverged says that this replica's machine computed something else than the majority's.
var errDiverged = errors.New("replica diverged")

// errRestored says that a machine came to another state than that of the snapshot it was given.
var errRestored = errors.New("its state is not the snapshot's")

// snapshots is what a group knows of its own: when the next is due, which wait to be agreed.
type snapshots struct {
	since   int64              // bytes of log since the last pinned one
	pinning bool               // one is wanted, written, or waits to be agreed
	sealed  *raft.SnapshotMeta // waits to be agreed, and for the disk to know that
	marking bool               // the disk is told that one is agreed
	agreed  []raft.Mark        // the newest marks that a majority agrees on, ascending
	own     []raft.Mark        // our newest marks, ascending
	newest  *raft.SnapshotMeta // newest agreed and sealed
	pace    pace
	waiters []*snapshotWaiter
	sending map[raft.ReplicaID]bool
}

// snapshotWaiter is a call of Group.Snapshot.
type snapshotWaiter struct {
	after raft.Index
	w     env.Waiter
	index raft.Index
	err   error
	done  bool
}

// keptMarks is how many marks are remembered: agreement comes a round trip later than ours, or, if
// this machine is behind the others, well before.
const keptMarks = 64

// entryOverhead is what an entry costs of the log beside its payload, at least.
const entryOverhead = 128

// grow counts log, and wants a snapshot when there is enough of it.
func (g *group) grow(entries []raft.Entry) {
	for i := range entries {
		g.snapshots.since += int64(entries[i].Length) + entryOverhead
	}
	if g.snapshots.since >= g.h.opts.SnapshotAfterBytes || g.snapshots.since >= pressBytes && g.h.wal.Pressed() && !g.rests() {
		g.wantSnapshot()
	}
}

// wantSnapshot pins a view at the next mark, unless the machine is out of service.
func (g *group) wantSnapshot() {
	if g.rebuild.why != nil {
		return
	}
	if g.snapshots.pinning {
		g.agree() // the disk may not have taken it
		return
	}
	if g.snapshots.since == 0 && len(g.snapshots.waiters) == 0 {
		return
	}
	g.snapshots.pinning = true
	g.lane.wantPin.Store(true)
	g.step(raft.Input{Kind: raft.InWantMark})
}

// digest is of all that is replicated beside the log: results so far, the machine's state, if it has a digest
// of its own, and the table of sessions, whether an entry has spoken to it or not (S5).
func (l *lane) digest() (whole raft.Digest, machines machine.Digest, has bool) {
	d := uint64(l.chain)
	if machines, has = l.machine.Digest(); has {
		d = digest.Mix(d, uint64(machines))
	}
	if table := l.sessions.Digest(); table != 0 {
		d = digest.Mix(d, table)
	}
	return raft.Digest(d), machines, has
}

// mark reports the state's digest at a marked entry, and pins a view there if a snapshot waits.
func (l *lane) mark(g *group, e *raft.Entry) {
	d, md, has := l.digest()
	m := raft.Mark{Index: e.Index, Digest: d}
	g.h.observe(env.Event{Kind: env.MarkReported, Group: uint64(g.id), Replica: uint64(g.self.Replica), Index: uint64(e.Index), Digest: uint64(d)})
	g.h.post(event{kind: evMark, g: g, mark: m})
	want := l.wantPin.Swap(false)
	if !want && !l.holds.Load() {
		return
	}
	header := snapshot.Header{
		Cluster: g.h.identity.is.Mint.Cluster, Epoch: g.h.identity.is.Epoch,
		Meta:  raft.SnapshotMeta{Identity: e.Identity, Sum: e.Sum, Configuration: *l.conf},
		Chain: l.chain, MachineDigest: raft.Digest(md), HasMachineDigest: has, FeatureLevel: l.conf.Settings.FeatureLevel,
		Machine: l.conf.Settings.Machine, MachineVersion: l.conf.Settings.Version, Time: e.Time,
	}
	header.Sessions, _ = l.sessions.AppendBinary(nil)
	p := &pin{header, l.machine.View(), l.lifeNow()}
	if !want {
		l.hold(g, p)
		return
	}
	g.task("snapshot", func() { g.writeSnapshot(p) })
}

// lifeNow is of the machine that the lane has.
func (l *lane) lifeNow() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.life
}

// writeSnapshot saves a pinned view, seals it and reads it back, beside everything else. A view that
// cannot be saved is held while the log presses: no later mark may bring another one (H15).
func (g *group) writeSnapshot(p *pin) {
	meta := p.header.Meta
	began := g.h.env.Clock().Now()
	size, err := g.sealSnapshot(p.header, p.view)
	if err == nil {
		err = p.view.Close()
	} else {
		g.lane.hold(g, p)
	}
	if err == nil {
		g.h.observe(env.Event{Kind: env.SnapshotSealed, Group: uint64(g.id), Replica: uint64(g.self.Replica), Index: uint64(meta.Identity.Index), Count: uint64(size)})
	}
	g.h.post(event{kind: evSealed, g: g, meta: &meta, life: p.life, err: err, took: g.h.env.Clock().Now() - began})
}

func (g *group) sealSnapshot(header snapshot.Header, view machine.View) (size int64, err error) {
	w, err := g.h.snaps.Create(header)
	if err != nil {
		return 0, err
	}
	counted := &countingWriter{w: w, closed: &g.h.closed}
	if err := saveView(view, &machine.Writer{Writer: counted}); err != nil {
		w.Abort()
		return 0, fmt.Errorf("save snapshot %d of group %d: %w", header.Meta.Identity.Index, g.id, err)
	}
	return counted.n, w.Seal()
}

// saveView keeps a machine's panic from being more than a failed snapshot.
func saveView(v machine.View, w *machine.Writer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if env.Dead(p) {
				panic(p)
			}
			err = panicked("machine in Save", p)
		}
	}()
	return v.Save(w)
}

// countingWriter counts, and ends a snapshot where the host closes: it may be long.
type countingWriter struct {
	w      io.Writer
	n      int64
	closed *atomic.Bool
}

func (c *countingWriter) Write(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, ErrClosed
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// handleSealed remembers a sealed snapshot until a majority agrees with its mark.
func (g *group) handleSealed(meta *raft.SnapshotMeta, life uint64, err error) {
	s := &g.snapshots
	if life != g.lane.lifeNow() {
		if err == nil {
			g.dropSealed(meta) // of a machine that is out of service
		}
		return
	}
	if err != nil {
		s.pinning = false
		g.h.log.Warn("snapshot not written", "group", g.id, "index", meta.Identity.Index, "err", err, "do", "see the disk; it is tried again")
		g.endSnapshotCalls(0, err)
		return
	}
	if s.newest != nil && s.newest.Index() >= meta.Index() {
		s.pinning = false // one that was received meanwhile is ahead (bug 40)
		g.endSnapshotCalls(s.newest.Index(), nil)
		return
	}
	s.sealed = meta
	g.agree()
}

// handleMark passes our digest on, and compares it with what is agreed.
func (g *group) handleMark(m raft.Mark) {
	s := &g.snapshots
	if !g.executes() {
		return // of the machine that is out of service
	}
	for _, a := range s.agreed {
		if a.Index == m.Index && a.Digest != m.Digest {
			if g.rebuild.alone {
				g.rebuild.others = &others{differs: m.Index}
			} else {
				g.diverged(m.Index)
			}
			return
		}
	}
	s.own = keepMark(s.own, m)
	g.step(raft.Input{Kind: raft.InMark, Mark: m})
	g.agree()
}

// diverged takes a machine that differs from the majority's out of service: it is made anew, and has to agree
// at that mark.
func (g *group) diverged(at raft.Index) {
	g.rebuild.through = max(g.rebuild.through, at)
	g.ail(fmt.Errorf("%w: state at mark %d differs from the majority's", errDiverged, at))
}

func (g *group) handleAgreed(m raft.Mark) {
	g.snapshots.agreed = keepMark(g.snapshots.agreed, m)
	g.agree()
}

// agree lets a sealed snapshot be used once a majority of voters reported the same state at its
// mark or a later one: the chain of results covers everything before (H14).
func (g *group) agree() {
	s := &g.snapshots
	if s.sealed == nil || s.marking || !s.agreedAt(s.sealed.Identity.Index) {
		return
	}
	meta := s.sealed
	s.marking = true
	s.since = 0
	g.task("agree", func() {
		err := g.h.snaps.MarkAgreed(g.id, g.birth, meta.Identity.Index)
		g.h.post(event{kind: evDo, fn: func() { g.snapshotAgreed(meta, err) }})
	})
}

// agreedAt says whether a majority had the state that we had at a mark at or behind index.
func (s *snapshots) agreedAt(index raft.Index) bool {
	for i := len(s.agreed) - 1; i >= 0 && s.agreed[i].Index >= index; i-- {
		if slices.Contains(s.own, s.agreed[i]) {
			return true
		}
	}
	return false
}

// keepMark adds the newest of the marks, and forgets the oldest.
func keepMark(marks []raft.Mark, m raft.Mark) []raft.Mark {
	if n := len(marks); n > 0 && marks[n-1].Index >= m.Index {
		return marks
	}
	if len(marks) == keptMarks {
		marks = marks[:copy(marks, marks[1:])]
	}
	return append(marks, m)
}

// snapshotAgreed lets the log be cut behind the snapshot before the new one: what is between them
// stays for followers that are a little behind.
func (g *group) snapshotAgreed(meta *raft.SnapshotMeta, err error) {
	s := &g.snapshots
	s.marking = false
	if s.sealed == meta && (err == nil || errors.Is(err, snapshot.ErrNotFound)) {
		s.sealed, s.pinning = nil, false
	}
	if err != nil {
		g.h.log.Warn("snapshot not marked as agreed", "group", g.id, "index", meta.Identity.Index, "err", err, "do", "see the disk; it is tried again")
		g.endSnapshotCalls(0, err)
		return
	}
	previous := s.newest
	if previous != nil && previous.Index() >= meta.Index() {
		g.endSnapshotCalls(previous.Index(), nil)
		return
	}
	s.newest = meta
	if g.usable(previous) { // else the log stays as it is: this one may be damaged some day, too
		g.step(raft.Input{Kind: raft.InCompact, Snapshot: previous})
		keep := previous.Identity.Index
		g.task("prune", func() {
			if err := g.h.snaps.Prune(g.id, g.birth, keep); err != nil {
				g.h.log.Warn("old snapshots stay", "group", g.id, "err", err)
			}
		})
	}
	if g.h.wal.Full() {
		g.relieve()
	}
	g.endSnapshotCalls(meta.Identity.Index, nil)
}

// relieve cuts the log behind the newest snapshot itself: on a full disk no mark can be written any
// more, so that waiting for another snapshot would be for ever.
func (g *group) relieve() {
	if n := g.snapshots.newest; g.usable(n) {
		g.step(raft.Input{Kind: raft.InCompact, Snapshot: n})
	}
}

func (g *group) endSnapshotCalls(index raft.Index, err error) {
	s := &g.snapshots
	kept := s.waiters[:0]
	for _, w := range s.waiters {
		if err != nil || index > w.after {
			w.index, w.err, w.done = index, err, true
			w.w.Wake()
		} else {
			kept = append(kept, w)
		}
	}
	s.waiters = kept
	if len(kept) > 0 {
		g.wantSnapshot()
	}
}

// forgetSnapshotCall is for one whose caller has gone.
func (g *group) forgetSnapshotCall(w *snapshotWaiter) {
	s := &g.snapshots
	s.waiters = slices.DeleteFunc(s.waiters, func(o *snapshotWaiter) bool { return o == w })
}

// Snapshot seals one at the next mark, and waits until a majority agrees with it.
func (h *Host) Snapshot(ctx context.Context, id raft.GroupID) (raft.Index, error) {
	g := h.Replica(id)
	switch {
	case h.closed.Load():
		return 0, notCommitted(ErrClosed)
	case g == nil:
		return 0, notCommitted(h.noReplica(id))
	}
	w := &snapshotWaiter{w: h.env.NewWaiter()}
	h.post(event{kind: evDo, fn: func() {
		if err := cmp.Or(g.stopped, g.rebuild.why); err != nil || h.closed.Load() {
			if err = g.asError(err); err == nil {
				err = ErrClosed
			}
			w.err, w.done = notCommitted(err), true
			w.w.Wake()
			return
		}
		w.after = raft.Index(0)
		if n := g.snapshots.newest; n != nil {
			w.after = n.Identity.Index
		}
		g.snapshots.waiters = append(g.snapshots.waiters, w)
		g.wantSnapshot()
	}})
	for {
		if err := w.w.Wait(ctx, h.patience(ctx)); err != nil {
			if err == env.ErrTimeout {
				err = ErrNoQuorum
			}
			h.post(event{kind: evDo, fn: func() { g.forgetSnapshotCall(w) }})
			return 0, err
		}
		if w.done {
			return w.index, w.err
		}
		if h.closed.Load() {
			return 0, ErrClosed
		}
	}
}

// restore replaces the machine's state by a snapshot that raft has installed.
func (l *lane) restore(g *group, meta *raft.SnapshotMeta) error {
	if uint64(meta.Identity.Index) <= l.applied.Load() {
		return nil
	}
	if err := l.loadSnapshot(g, meta.Identity.Index); err != nil {
		return err
	}
	g.lookAt(l.conf)
	failAll(g.waiting.takeSkipped(meta.Identity.Term, meta.Identity.Index), unknown(ErrSkipped))
	g.h.observe(env.Event{
		Kind: env.SnapshotInstalled, Group: uint64(g.id), Replica: uint64(g.self.Replica), Index: uint64(meta.Identity.Index), Digest: uint64(l.chain),
	})
	installed := *meta
	g.h.post(event{kind: evDo, fn: func() {
		s := &g.snapshots
		if s.newest == nil || s.newest.Index() < installed.Index() {
			s.newest = &installed
		}
		if s.sealed != nil && s.sealed.Index() <= installed.Index() {
			s.sealed, s.pinning = nil, false
		}
		s.since, s.own = 0, nil
		g.endSnapshotCalls(s.newest.Index(), nil)
	}})
	return nil
}

// loadSnapshot restores the machine from a sealed, agreed snapshot (H14).
func (l *lane) loadSnapshot(g *group, index raft.Index) error {
	r, err := g.h.snaps.Open(g.id, g.birth, index)
	if err != nil {
		return err
	}
	defer r.Close()
	h := r.Header()
	var sessions session.Table
	if err := sessions.UnmarshalBinary(h.Sessions); err != nil {
		return fmt.Errorf("restore snapshot %d of group %d: %w", index, g.id, err)
	}
	if why := g.h.lacks(l.conf.Settings.Machine, h.MachineVersion); why != "" {
		return fmt.Errorf("restore snapshot %d of group %d: %w: %s", index, g.id, errVersion, why)
	}
	if err := loadMachine(l.machine, machine.Version(h.MachineVersion), &machine.Reader{Reader: r}); err != nil {
		return fmt.Errorf("restore snapshot %d of group %d: %w", index, g.id, err)
	}
	if md, has := l.machine.Digest(); has != h.HasMachineDigest || has && raft.Digest(md) != h.MachineDigest {
		return fmt.Errorf("restore snapshot %d of group %d: %w: digest %v, expected %v", index, g.id, errRestored, raft.Digest(md), h.MachineDigest)
	}
	conf := h.Meta.Configuration // alone: the rest of the header does not stay
	l.chain, l.conf, l.sessions, l.version = h.Chain, &conf, sessions, machine.Version(h.MachineVersion)
	l.last, l.lastSum = h.Meta.Identity, h.Meta.Sum
	l.time.Store(int64(l.last.Time))
	l.open.Store(int64(l.sessions.Len()))
	l.base.Store(uint64(index))
	l.reached(index)
	l.show(g, true)
	return nil
}

func loadMachine(m machine.StateMachine, v machine.Version, r *machine.Reader) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if env.Dead(p) {
				panic(p)
			}
			err = panicked("machine in Load", p)
		}
	}()
	return m.Load(v, r)
}
