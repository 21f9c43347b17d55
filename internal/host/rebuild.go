package host

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/raft"
)

// rebuild is what becomes of a replica whose machine cannot go on: it differs from the majority's, it has
// failed, or no state is readable. The replica keeps its log, acknowledges and votes (raft.InUnfit), and
// serves nothing. Its machine is made anew from an agreed snapshot and the log, as every start makes it
// (A10), and serves again once it has executed all that the former one had, and as the majority did (H27).
//
//	well ──differs, fails──▶ waits ──▶ loads ──▶ replays ──▶ well
//	                           ▲ ▲       │          │
//	             a skip in the │ └─not so, or again─┘
//	             log, or a     │         │
//	             snapshot   quarantined ◀┴─ at one known command, or too often
//
// It belongs to the turn.
type rebuild struct {
	why     error         // nil: the machine is well
	left    bool          // quarantined: nothing more is tried by itself
	loads   bool          // a task makes the machine that is wanted now
	works   bool          // a task makes one, that or one that has failed meanwhile: never two at once
	replays bool          // the machine executes what it has missed
	alone   bool          // the others are all stopped: it is made of what is here, and whether it differs is judged when it is through
	foreign bool          // a snapshot of the others is needed, behind beyond
	tries   int           // since
	since   time.Duration // when they began to be counted
	at      time.Duration // when the next one begins; 0: none is due
	through raft.Index    // it is well when this is executed
	beyond  raft.Index
	asks    int     // so often the others were asked for a snapshot
	others  *others // nil: none of them is known to be stopped
	dump    string  // the file that has the command at which it failed
}

// others is what is known of those that are asked for a snapshot.
type others struct {
	stopped []raft.HostID // who has none, and is stopped until an operator decides
	differs raft.Index    // where all are: the mark at which the machine here differs
}

const (
	// maxRebuilds bounds how often a machine is made anew within rebuildSpan; rebuildPause is the first pause
	// between two of them, and each further one four times as long.
	maxRebuilds  = 6
	rebuildSpan  = time.Hour
	rebuildPause = time.Second
	// askPause is how long the others are left alone after they were asked for a snapshot; twice as long each
	// time, up to maxAskPause.
	askPause    = 500 * time.Millisecond
	maxAskPause = 30 * time.Second
)

// executes says whether the machine is given what is committed.
func (g *group) executes() bool { return g.rebuild.why == nil || g.rebuild.replays }

// ail takes the machine out of service, and decides what becomes of it.
func (g *group) ail(err error) {
	if g.stopped != nil {
		return
	}
	if errors.Is(err, wal.ErrFailed) || g.h.closed.Load() {
		g.stop(err)
		return
	}
	b := &g.rebuild
	b.why, b.loads, b.replays, b.left, b.at, b.others = err, false, false, false, 0, nil
	var own *machineError
	b.alone = b.alone && errors.As(err, &own)
	now := g.h.env.Clock().Now()
	if b.tries == 0 || now-b.since > rebuildSpan {
		b.tries, b.since = 0, now
	}
	g.step(raft.Input{Kind: raft.InUnfit})
	g.lane.stop()
	g.dropHeld()
	g.tickAt, g.linger.executed = 0, 0
	g.forgetOwn()
	if errors.Is(err, errDiverged) {
		g.h.observe(env.Event{Kind: env.ReplicaDiverged, Group: uint64(g.id), Replica: uint64(g.self.Replica), Text: err.Error()})
	}
	g.h.observe(env.Event{Kind: env.ReplicaUnfit, Group: uint64(g.id), Replica: uint64(g.self.Replica), Text: err.Error()})
	g.failCalls(fmt.Errorf("%w: %w", ErrQuarantined, err))
	g.treat(err)
	g.publish()
	g.arm()
}

// treat decides what is done about a failure.
func (g *group) treat(err error) {
	b := &g.rebuild
	var own *machineError
	failed := errors.As(err, &own)
	again := failed && own.batch && b.tries < maxRebuilds // one command at a time: it may say which, or pass
	if again {
		g.lane.singly.Store(true)
	}
	if failed && !again || b.tries >= maxRebuilds {
		g.quarantine(err, own)
		return
	}
	if (b.tries > 0 || !errors.Is(err, errDiverged)) && !failed && !errors.Is(err, errNoNote) && !(b.foreign && b.tries == 0) {
		// The state here, or the log that it would be made of, is not to be trusted: the majority's serves.
		b.foreign, b.beyond = true, max(b.beyond, b.through, g.r.Commit())
	}
	if b.tries > 0 {
		b.at = g.h.env.Clock().Now() + rebuildPause<<(2*(b.tries-1))
	} else {
		b.at = max(g.h.env.Clock().Now(), 1)
	}
	b.tries++
	g.h.log.Error("machine cannot go on", "host", g.self.Host, "group", g.id, "err", err, "do", "nothing: it is made anew")
}

// quarantine leaves the machine as it is until an operator has decided, or a snapshot of the majority passes
// over the place. The command that it failed at, if that is known, is written to a file.
func (g *group) quarantine(err error, own *machineError) {
	b := &g.rebuild
	b.left, b.alone = true, false
	b.dump = ""
	if own != nil && own.at.index != 0 {
		b.dump = g.h.quarantineDir() + "/" + dumpName(replicaName{g.id, g.birth}, own.at)
		g.h.overcome.add(replicaName{g.id, g.birth}, own.at)
		g.lane.watches.Store(true)
		name, data := b.dump, own.data
		g.task("dump", func() {
			if derr := g.h.dump(name, data); derr != nil && !g.h.closed.Load() {
				g.h.log.Warn("command not written to a file", "group", g.id, "file", name, "err", derr)
			}
		})
	}
	g.h.log.Error("replica quarantined", "host", g.self.Host, "group", g.id, "err", err, "dump", b.dump, "do", remedy(err))
	if own != nil && g.skipped(own.at) {
		g.retryNow() // decided already
	}
}

// dump writes a command to a file of its own, over what an earlier try, or life, has left of it.
func (h *Host) dump(name string, data []byte) error {
	disk, dir := h.env.FS(), h.quarantineDir()
	if err := disk.MkdirAll(dir); err != nil {
		return err
	}
	f, err := disk.Open(name, env.Write|env.Create)
	if errors.Is(err, fs.ErrExist) {
		f, err = disk.Open(name, env.Write)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = disk.SyncDir(dir)
	}
	return err
}

// forgetOwn gives up what the machine that is out of service has reported, sealed or pinned.
func (g *group) forgetOwn() {
	s := &g.snapshots
	g.lane.wantPin.Store(false)
	if m := s.sealed; m != nil && !s.marking {
		g.dropSealed(m)
	}
	s.sealed, s.pinning, s.own = nil, false, nil
	g.lane.mu.Lock()
	g.lane.life++
	g.lane.mu.Unlock()
}

// dropSealed removes a snapshot of a machine that is out of service. One that a majority agrees with is not
// touched.
func (g *group) dropSealed(m *raft.SnapshotMeta) {
	index := m.Index()
	g.task("drop", func() {
		if err := g.h.snaps.RemoveUnagreed(g.id, g.birth, index); err != nil && !g.h.closed.Load() {
			g.h.log.Warn("snapshot stays", "group", g.id, "index", index, "err", err)
		}
	})
}

// retryNow makes the machine anew without waiting, as something has changed.
func (g *group) retryNow() {
	b := &g.rebuild
	if b.why == nil || b.loads || b.replays || g.stopped != nil {
		return
	}
	b.left, b.at = false, max(g.h.env.Clock().Now(), 1)
	g.arm()
}

// mend does what is due for a machine that is out of service. It runs with the clock.
func (g *group) mend() {
	b := &g.rebuild
	b.at = 0
	if b.why == nil || b.loads || b.replays || g.stopped != nil || g.h.closed.Load() {
		return
	}
	if b.foreign && !g.hasBeyond(b.beyond) {
		g.needs.Store(true)
		g.askForSnapshot()
		return
	}
	g.needs.Store(false)
	if b.works {
		return // on the lane, for a machine that has failed meanwhile: remade comes back for this one
	}
	b.loads, b.works = true, true
	life := g.lane.lifeNow()
	conf, first, base := *g.r.Configuration(), g.r.Status().First, raft.Index(0)
	if b.foreign {
		base = b.beyond + 1
	}
	g.task("rebuild", func() {
		for !g.h.closed.Load() && g.lane.isBusy() {
			_ = g.h.pause(nil, foundingEvery/5) //nolint:staticcheck // nobody waits for it but Close
		}
		var meta *raft.SnapshotMeta
		var err error
		if !g.h.closed.Load() && !g.ended.Load() && life == g.lane.lifeNow() {
			meta, err = g.remake(&conf, first, base)
		}
		g.h.post(event{kind: evDo, fn: func() { g.remade(life, meta, err) }})
	})
}

// hasBeyond says whether an agreed snapshot behind index is here.
func (g *group) hasBeyond(index raft.Index) bool {
	for _, h := range g.h.snaps.List(g.id, g.birth) {
		if h.Meta.Index() > index && g.usable(&h.Meta) {
			return true
		}
	}
	return false
}

// remake makes the machine from the newest agreed snapshot that can be restored, or, where the log goes back
// to its beginning, from nothing. It runs while the lane is at rest.
func (g *group) remake(conf *raft.Configuration, first, least raft.Index) (*raft.SnapshotMeta, error) {
	var metas []raft.SnapshotMeta
	for _, h := range g.h.snaps.List(g.id, g.birth) {
		if g.usable(&h.Meta) && h.Meta.Index()+1 >= first && h.Meta.Index() >= least {
			metas = append(metas, h.Meta)
		}
	}
	meta, bad, err := g.restoreFirst(metas, conf)
	if meta != nil || err != nil {
		return meta, err
	}
	if first > 1 || least > 0 {
		return nil, errors.Join(fmt.Errorf("no agreed snapshot behind %d is readable", max(first, least)-1), bad)
	}
	g.lane.clear()
	return nil, g.makeMachine(conf)
}

// clear takes the lane back to before everything.
func (l *lane) clear() {
	l.chain, l.last, l.lastSum = 0, raft.Identity{}, 0
	l.deadline, l.wantsTick, l.ticked = 0, false, false
	l.bytes.Store(0)
	l.applied.Store(0)
	l.base.Store(0)
	l.time.Store(0)
	l.open.Store(0)
}

// remade lets a machine that was made anew, in this life, execute what it has missed.
func (g *group) remade(life uint64, meta *raft.SnapshotMeta, err error) {
	b := &g.rebuild
	b.works = false
	if g.stopped != nil || b.why == nil || g.h.closed.Load() || g.ended.Load() {
		return
	}
	if life != g.lane.lifeNow() { // taken out of service while it was made: the next one may have waited for this
		if !b.left && b.at == 0 {
			g.retryNow()
		}
		return
	}
	b.loads = false
	from, first := raft.Index(0), g.r.Status().First
	if meta != nil {
		from = meta.Index()
	}
	switch {
	case err != nil:
		g.ail(fmt.Errorf("%w: %s", errNoState, err.Error())) // a machine that cannot Load may like another snapshot
		return
	case from+1 < first: // a snapshot that came meanwhile is the log's beginning now
		g.retryNow()
		return
	}
	s := &g.snapshots
	if meta != nil && (s.newest == nil || s.newest.Index() < from) {
		s.newest = meta
	}
	s.since = 0
	b.through = max(b.through, g.r.Handed())
	b.replays = true
	g.h.observe(env.Event{
		Kind: env.ReplicaRebuilt, Group: uint64(g.id), Replica: uint64(g.self.Replica), Index: uint64(from), Digest: uint64(g.lane.chain), Text: b.why.Error(),
	})
	g.lane.resume()
	if entries := g.r.Entries(from+1, g.r.Handed()+1, nil); len(entries) > 0 {
		g.lane.apply(g, entries)
	}
	g.replayed(from)
}

// replayed lets the replica serve again when its machine has executed what the former one had.
func (g *group) replayed(applied raft.Index) {
	b := &g.rebuild
	if !b.replays || applied < b.through || g.stopped != nil || g.h.closed.Load() {
		return
	}
	if b.others != nil && b.others.differs > 0 {
		g.diverged(b.others.differs)
		return
	}
	why := b.why
	*b = rebuild{tries: b.tries, since: b.since}
	g.lane.singly.Store(false)
	g.step(raft.Input{Kind: raft.InFit})
	g.needs.Store(false)
	g.intake.reopen()
	g.h.observe(env.Event{Kind: env.ReplicaFit, Group: uint64(g.id), Replica: uint64(g.self.Replica), Index: uint64(applied), Text: why.Error()})
	g.h.log.Info("machine made anew", "host", g.self.Host, "group", g.id, "index", applied, "why", why)
	g.publish()
	g.touch()
}

// rebuilding is why a machine that is out of service will be back; empty: it is well, or quarantined.
func (b *rebuild) rebuilding(applied raft.Index) string {
	switch {
	case b.why == nil || b.left:
		return ""
	case b.replays:
		return fmt.Sprintf("its machine was made anew (%v), and has %d entries to execute", b.why, b.through-min(applied, b.through))
	case b.foreign:
		return fmt.Sprintf("its machine waits for a snapshot of the others behind %d (%v)", b.beyond, b.why)
	}
	return fmt.Sprintf("its machine is made anew (%v)", b.why)
}
