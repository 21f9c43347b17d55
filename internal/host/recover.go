package host

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// recover makes the replicas that the log holds (A10: it has no apply path of its own; raft's
// Ready brings what is left to execute), and group 0 where it does not exist yet.
func (h *Host) recover(found *wal.Recovered) error {
	// The registry's machine starts the groups that it names as soon as it is restored: none of
	// those that the log holds may be founded a second time.
	h.mu.Lock()
	for id, g := range found.Groups {
		h.starting[replicaName{id, g.Birth}] = true
		h.entering[id] = true // nor may a former group of this id begin, which the registry creates and destroys again
	}
	h.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(found.Groups)) {
		if err := h.recoverPlace(id, found.Groups[id]); err != nil {
			return err
		}
	}
	m := &h.identity.is.Mint
	_, ended := h.joined(replicaName{systemGroup, m.Birth})
	switch {
	case ended != 0:
		h.setWhy(h.outText())
	case h.isFounder() && found.Groups[systemGroup] == nil:
		h.tasks.run("create", func() { h.found1(systemGroup, m.Birth, systemConfiguration(m)) })
	case !h.isFounder():
		h.tasks.run("await group 0", h.awaitSystem)
	}
	return nil
}

// entered lets replicas of a group begin here again.
func (h *Host) entered(id raft.GroupID) {
	h.mu.Lock()
	delete(h.entering, id)
	h.mu.Unlock()
}

// recoverPlace makes the replica that the log holds of a group, or says why there is none.
func (h *Host) recoverPlace(id raft.GroupID, state *wal.GroupState) error {
	n := replicaName{state.Group, state.Birth}
	if state.Destroyed {
		h.entered(id)
		return nil
	}
	if state.BaseIdentity.Index == 0 && len(state.Entries) == 0 && state.Condition == wal.Normal {
		h.mu.Lock()
		h.dormant[n] = state.Hard // it joined, and got no entry yet: it begins when it is spoken to
		h.mu.Unlock()
		h.entered(id)
		h.sweepGone(n)
		return nil
	}
	g, err := h.recoverGroup(state)
	switch {
	case errors.Is(err, errRemoved):
		h.tasks.run("end", func() { // no other replica of it begins before what this one leaves is gone
			h.clear(g)
			h.entered(id)
		})
		return nil
	case errors.Is(err, errLevel):
		return fmt.Errorf("%w: recover group %d: %w", ErrDir, id, err)
	case errors.Is(err, ErrNoMachine):
		return fmt.Errorf("recover group %d: %w", id, err)
	case err != nil:
		// Its place stays taken, so that nobody founds it anew; the other groups serve.
		h.log.Error("group not recovered", "host", h.identity.is.Host, "group", id, "err", err, "do", "replace this host's replica; the others serve on")
		why := fmt.Sprintf("group %d is not recovered: %v. The other hosts serve on; replace this one, or take it out of the group and put it back", id, err)
		h.mu.Lock()
		h.unrecovered[n] = why
		h.mu.Unlock()
		h.setWhy(why)
		h.entered(id)
		h.sweepGone(n)
		return nil
	}
	h.publishReplica(g)
	h.entered(id)
	h.post(event{kind: evAdd, g: g})
	return nil
}

// recoverGroup restores one machine from its newest agreed snapshot, and raft from the log.
func (h *Host) recoverGroup(state *wal.GroupState) (*group, error) {
	g := &group{h: h, id: state.Group, birth: state.Birth}
	if err := h.adoptReceived(state); err != nil {
		return nil, err
	}
	base := state.Base()
	conf, err := newestConfiguration(&base, state.Entries)
	if err != nil {
		return nil, err
	}
	if err := h.knows(conf); err != nil {
		return nil, err
	}
	if err := g.recoverSelf(&base, state.Entries); err != nil {
		return g, err // before its snapshots are looked for: they may be gone
	}
	if err := g.hasVersion(&conf.Settings); err != nil {
		return nil, err
	}
	newest, err := g.restoreNewest(state, conf)
	if errors.Is(err, errNoState) && len(conf.Voters) > 1 {
		// The others have one. The log here is sound: it votes and acknowledges meanwhile.
		g.rebuild = rebuild{why: err, foreign: true, beyond: base.Index() - 1}
		g.lane.stopped = true
	} else if err != nil {
		return nil, err
	}
	var applied raft.Index
	if newest != nil {
		applied = newest.Identity.Index
		g.snapshots.newest = newest
		if err := g.lane.guard("Digest", func() {
			d, _, _ := g.lane.digest()
			g.began = raft.Mark{Index: applied, Digest: d}
		}); err != nil {
			h.log.Warn("state of the snapshot is not reported", "group", g.id, "index", applied, "err", err) // the next mark decides
		}
	}
	if state.Condition == wal.Amnesiac {
		// Not even its acknowledgements count: it may have promised a later term than it knows.
		g.lost = fmt.Errorf("%w: %s", errAmnesiac, state.Why)
	}
	if state.Condition != wal.Normal {
		h.log.Error("log is damaged", "host", h.identity.is.Host, "group", g.id, "condition", state.Condition.String(),
			"why", state.Why, "do", "this replica does not vote until it is repaired from the others")
	}
	g.lane.holds.Store(h.wal.Pressed()) // from the first mark on that is executed again
	from := &base
	if base.Index() == 0 {
		from = nil
	}
	g.makeRaft(conf, from, state.Hard, state.Entries, applied, state.Commit, state.Condition != wal.Normal)
	g.cache(state.Entries)
	return g, nil
}

// errNoState says that there is nothing here to make a machine of.
var errNoState = errors.New("no state is readable")

var errAmnesiac = errors.New("log has lost the votes of this replica")

func newestConfiguration(base *raft.SnapshotMeta, entries []raft.Entry) (*raft.Configuration, error) {
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].Kind == raft.KindConfiguration {
			c, err := wire.DecodeConfiguration(entries[i].Data)
			c.Index = entries[i].Index
			return &c, err
		}
	}
	if base.Identity.Index == 0 {
		return nil, errors.New("log holds no configuration")
	}
	return &base.Configuration, nil
}

// recoverSelf finds out which replica this is: one that joined has a file that says so, one that was
// there at the founding is in a configuration of the log. errRemoved: none that is to live.
func (g *group) recoverSelf(base *raft.SnapshotMeta, entries []raft.Entry) error {
	is := &g.h.identity.is
	lives, ended := g.h.joined(replicaName{g.id, g.birth})
	if lives != 0 {
		g.self = raft.Member{Replica: lives, Host: is.Host, Incarnation: replicaIncarnation(is.Incarnation, g.birth, lives)}
		return nil
	}
	confs := []raft.Configuration{base.Configuration}
	for i := range entries {
		if entries[i].Kind == raft.KindConfiguration {
			c, err := wire.DecodeConfiguration(entries[i].Data)
			if err != nil {
				return err
			}
			confs = append(confs, c)
		}
	}
	for i := len(confs) - 1; i >= 0 && g.self.Replica == 0; i-- {
		g.findSelf(&confs[i])
	}
	if g.self.Replica == 0 {
		g.self = raft.Member{Replica: confs[len(confs)-1].NextReplica - 1, Host: is.Host} // all before it have ended
		return errRemoved
	}
	if g.self.Replica <= ended {
		return errRemoved
	}
	return nil
}

// startGroup makes this host's replica of a group that the registry has created.
func (h *Host) startGroup(r groupRecord) {
	c := &raft.Configuration{Voters: r.Voters, Settings: r.Settings, NextReplica: raft.ReplicaID(len(r.Voters) + 1)}
	if !slices.ContainsFunc(c.Voters, func(m raft.Member) bool { return m.Host == h.ID() }) {
		return
	}
	h.found1(r.ID, r.Birth, c)
}

// found1 begins a group here with its founding entry, durable before the replica acts.
func (h *Host) found1(id raft.GroupID, birth raft.Birth, c *raft.Configuration) {
	n := replicaName{id, birth}
	h.mu.Lock()
	known := h.starting[n] // its place is waited for by one only: a start has thousands of groups
	h.mu.Unlock()
	if known || !h.waitForPlace(n) {
		return
	}
	h.mu.Lock()
	busy := h.replicas[id] != nil || h.starting[n] || h.entering[id]
	h.starting[n] = true
	h.entering[id] = h.entering[id] || !busy // no replica that joined begins meanwhile
	h.mu.Unlock()
	if busy {
		return
	}
	defer func() {
		h.mu.Lock()
		delete(h.entering, id)
		h.mu.Unlock()
	}()
	if _, ended := h.joined(n); ended != 0 {
		return
	}
	if h.hasBegun(n) {
		h.forgotten(id)
		return
	}
	g := &group{h: h, id: id, birth: birth}
	err := g.hasVersion(&c.Settings)
	if err == nil {
		err = g.makeMachine(c)
	}
	if err != nil {
		h.setWhy(fmt.Sprintf("group %d cannot run here: %v", id, err))
		return
	}
	g.findSelf(c)
	founding := foundingEntry(id, birth, c)
	hard := raft.HardState{Term: 1}
	save := raft.Save{Hard: hard, HardSet: true, Entries: []raft.Entry{founding}}
	if err := h.whileFull(id, func() error { return h.saveNow(wal.GroupSave{Group: id, Birth: birth, Configuration: c, Save: save}) }); err != nil {
		h.log.Error("group not founded", "group", id, "err", err)
		if errors.Is(err, wal.ErrFailed) {
			h.post(event{kind: evDo, fn: func() { h.fail(err) }})
		}
		return
	}
	if err := h.whileFull(id, func() error { return h.noteBegun(n) }); err != nil {
		h.log.Error("group not founded", "group", id, "err", err, "do", "see the disk, then restart lockstep")
		h.setWhy(fmt.Sprintf("group %d has not begun here: %v", id, err))
		return
	}
	g.makeRaft(c, nil, hard, []raft.Entry{founding}, 0, 0, false)
	h.publishReplica(g)
	h.post(event{kind: evAdd, g: g})
}

// saveNow gives the log one group's save, and waits for it.
func (h *Host) saveNow(s wal.GroupSave) (err error) {
	w := h.env.NewWaiter()
	h.wal.Append([]wal.GroupSave{s}, func(e error) { err = e; w.Wake() })
	_ = w.Wait(nil, 0) //nolint:staticcheck // the log always answers
	return err
}

// whileFull tries again for as long as the disk has no room: that passes by itself (H15), and nobody else
// would begin the group here.
func (h *Host) whileFull(id raft.GroupID, try func() error) error {
	why := ""
	defer func() {
		if why != "" {
			h.countRoomless(-1)
		}
	}()
	for {
		err := try()
		if why != "" && err == nil {
			h.unsetWhy(why)
		}
		if !noRoom(err) || h.closed.Load() {
			return err
		}
		if why == "" {
			h.countRoomless(1)
		}
		why = fmt.Sprintf("group %d begins, or ends, here as soon as the disk has room: %v", id, err)
		h.setWhy(why)
		_ = h.pause(nil, retryEvery) //nolint:staticcheck // nobody waits for it but Close
	}
}

// makeMachine makes an empty machine of the configured kind.
func (g *group) makeMachine(c *raft.Configuration) error {
	g.lane.conf, g.lane.sessions = c, session.Table{}
	secret := g.h.identity.is.Mint.Cluster
	for i, b := range secret {
		g.lane.secret[i/8] = g.lane.secret[i/8]<<8 | uint64(b)
	}
	g.lane.secret[0] ^= uint64(g.birth)
	oldest, newest, ok := g.h.versions(c.Settings.Machine)
	if !ok {
		return fmt.Errorf("%w: group %d runs machine %q, which is not in Options.Machines", ErrNoMachine, g.id, c.Settings.Machine)
	}
	// As far as this build has it: the founding entry says as what it executes the log from its beginning, a snapshot says its own.
	version := min(max(machine.Version(c.Settings.Version), oldest), newest)
	g.lane.version = version
	if c.Settings.Machine == registryMachine {
		m, err := registryKind.Kind().New(&machine.Place{Version: version})
		g.lane.machine = &registryReplica{StateMachine: m}
		return err
	}
	kind := g.h.opts.Machines[c.Settings.Machine]
	p := machine.Place{Dir: g.h.machineDir(replicaName{g.id, g.birth}), Version: version}
	m, err := kind.New(&p)
	if err != nil {
		return fmt.Errorf("make machine %q of group %d: %w", c.Settings.Machine, g.id, err)
	}
	if _, kept := p.Kept(); kept {
		// It would be taken for an empty one: entries that its store holds would be executed again, and those
		// that it lacks be missing (bugs 38 and 39).
		return fmt.Errorf("%w: machine %q of group %d has a store of its own (Place.Keep), which this build does not run",
			ErrNoMachine, c.Settings.Machine, g.id)
	}
	g.lane.machine = m
	return nil
}

func (h *Host) machinesDir() string { return h.opts.Dir + "/machines" }

// machineDir is the one that a replica's machine is given. It goes with the replica.
func (h *Host) machineDir(n replicaName) string {
	return fmt.Sprintf("%s/%d-%016x", h.machinesDir(), n.group, uint64(n.birth))
}

// findSelf finds this host's replica in the configuration. The incarnation is this directory's: if
// the configuration names another, raft gives this replica no vote.
func (g *group) findSelf(c *raft.Configuration) {
	is := &g.h.identity.is
	for _, members := range [][]raft.Member{c.Voters, c.Outgoing, c.Learners} {
		for _, m := range members {
			if m.Host == is.Host {
				g.self = raft.Member{Replica: m.Replica, Host: m.Host, Incarnation: replicaIncarnation(is.Incarnation, g.birth, m.Replica)}
				return
			}
		}
	}
}

// makeRaft makes the replica. Base is where its log begins; nil: at its founding entry.
func (g *group) makeRaft(conf *raft.Configuration, base *raft.SnapshotMeta, hard raft.HardState, entries []raft.Entry, applied, commit raft.Index, noVote bool) {
	o := &g.h.opts
	g.r = raft.New(raft.Options{
		Self: g.self, Group: g.id, Birth: g.birth, Hard: hard, Base: base, Entries: entries, Applied: applied, Commit: commit,
		Heartbeat: int64(o.Heartbeat), ElectionTimeout: int64(o.ElectionTimeout), MaxElectionTimeout: int64(o.MaxElectionTimeout),
		MaxAppendBytes: 1 * mib, MaxSaveBytes: o.WALSegmentBytes / 4, MaxWindow: 64, MaxWindowBytes: o.MaxInFlightBytes / 2, MaxUncommitted: o.MaxInboxBytes,
		MarkEvery: markEvery, MarkInterval: int64(markInterval), MarkBytes: o.SnapshotAfterBytes / 2, Seed: g.h.env.Rand().Uint64(), Quiet: true,
		Campaign: len(conf.Voters) == 1 || hard.Term == 1 && g.self.Replica == 1, NoVote: noVote,
		DecodeConfiguration: g.h.decodeConfiguration, EncodeConfiguration: encodeConfiguration, Check: o.Check, Memory: &g.h.memory,
	})
	var last raft.Identity
	var sum raft.Digest
	if base != nil {
		last, sum = base.Identity, base.Sum
	}
	if n := len(entries); n > 0 {
		last, sum = entries[n-1].Identity, entries[n-1].Sum
	}
	g.saves.last, g.saves.small = last.Index, g.h.opts.WALSegmentBytes/mergedShare
	g.lane.watches.Store(g.h.overcome.has(replicaName{g.id, g.birth}))
	g.lane.waitsAt = g.doubtful(entries, applied)
	g.doubts = g.lane.waitsAt != 0
	g.conf.Store(g.r.Configuration())
	c := g.r.Configuration()
	defer g.h.observe(env.Event{
		Kind: env.Configured, Group: uint64(g.id), Replica: uint64(g.self.Replica), Index: uint64(c.Index), Text: c.String(),
	})
	damage := ""
	if noVote {
		damage = "no vote until repaired"
	}
	g.h.observe(env.Event{
		Kind: env.LogRecovered, Group: uint64(g.id), Replica: uint64(g.self.Replica), Term: uint64(hard.Term), Peer: uint64(hard.Vote),
		Index: uint64(last.Index), Digest: uint64(sum), Text: damage,
	})
}

func encodeConfiguration(c *raft.Configuration) []byte { return wire.AppendConfiguration(nil, c) }

// add puts a new replica before the turn.
func (h *Host) add(g *group) {
	if h.groups[g.id] != nil {
		return
	}
	h.groups[g.id] = g
	i, _ := slices.BinarySearchFunc(h.order, g.id, func(o *group, id raft.GroupID) int { return int(o.id) - int(id) })
	h.order = slices.Insert(h.order, i, g)
	switch {
	case h.closed.Load(): // its calls may have come since it was published
		g.closeCalls()
		return
	case h.failed != nil:
		g.stop(h.failed)
		return
	case h.isGone(replicaName{g.id, g.birth}):
		g.endFor(errDestroyed)
		return
	case g.lost != nil:
		g.stop(g.lost)
		return
	case g.rebuild.why != nil:
		g.ail(g.rebuild.why)
	}
	if g.began.Index > 0 && g.rebuild.why == nil {
		g.handleMark(g.began) // snapshots are of marks: who has only executed this far may need somebody to agree with it
	}
	h.expectPressure()
	g.asksAt = h.env.Clock().Now() + lonelyAfter*h.opts.ElectionTimeout
	for _, host := range slices.Sorted(maps.Keys(h.linked)) {
		if h.linked[host] {
			g.step(raft.Input{Kind: raft.InHostUp, Host: host})
		}
	}
	g.step(raft.Input{Kind: raft.InClock})
}

func (h *Host) publishReplica(g *group) {
	h.mu.Lock()
	h.replicas[g.id] = g
	delete(h.starting, replicaName{g.id, g.birth})
	h.mu.Unlock()
	h.wakeWatchers()
}

// Replica is this host's replica of a group; nil: there is none, or it is about to go.
func (h *Host) Replica(id raft.GroupID) *group {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.replicaLocked(id)
}

func (h *Host) replicaLocked(id raft.GroupID) *group {
	if g := h.replicas[id]; g != nil && !g.ended.Load() {
		return g
	}
	return nil
}
