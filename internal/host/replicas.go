package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Replicas come and go with the configurations that name them. One that joins a group begins when a
// leader first speaks to it; one that no committed configuration names any more ends, with its
// data. That it began, and that it ended, stands in a file of its own: a replica that has voted and
// acknowledged must never begin anew under its former id, whatever message comes late (H21).

// errRemoved says that the group goes on without this replica.
var errRemoved = errors.New("replica was removed from its group")

// joinedName is the file that says that a replica which joined has begun here, and with the suffix
// that it has ended.
func (n replicaName) joined(replica raft.ReplicaID) string {
	return fmt.Sprintf("%s-%016x", n.file(), uint64(replica))
}

const removedSuffix = ".removed"

// parseJoined reads such a name.
func parseJoined(name string, n replicaName) (replica raft.ReplicaID, removed, ok bool) {
	rest, ok := strings.CutPrefix(name, n.file()+"-")
	if !ok {
		return 0, false, false
	}
	rest, removed = strings.CutSuffix(rest, removedSuffix)
	id, err := strconv.ParseUint(rest, 16, 64)
	return raft.ReplicaID(id), removed, err == nil && len(rest) == 16
}

// joined is the newest replica that has joined the group here and not ended, and the newest that has
// ended; 0: none.
func (h *Host) joined(n replicaName) (lives, ended raft.ReplicaID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range h.joins[n.file()] {
		if id, removed, ok := parseJoined(name, n); ok && removed {
			ended = max(ended, id)
		} else if ok {
			lives = max(lives, id)
		}
	}
	if lives <= ended {
		lives = 0
	}
	return lives, ended
}

// invite looks at a message for a replica that is not here. If it is for one that this directory
// would hold, and a leader's, that replica is about to begin.
func (h *Host) invite(m *raft.Message) {
	if h.closed.Load() || !h.recovered.Load() || !h.isOurs(m) {
		return // the identity is still being written before the log has begun
	}
	n := replicaName{m.Group, m.Birth}
	h.mu.Lock()
	busy := h.entering[m.Group] || h.replicas[m.Group] != nil || h.directory.gone[n]
	h.mu.Unlock()
	if busy {
		return
	}
	if _, ended := h.joined(n); m.To <= ended {
		return // late mail
	}
	h.mu.Lock()
	h.entering[m.Group] = true
	h.mu.Unlock()
	to := m.To
	h.tasks.run("enter", func() {
		err := h.enter(n, to)
		h.mu.Lock()
		delete(h.entering, n.group)
		h.mu.Unlock()
		if err != nil && !h.closed.Load() {
			h.log.Warn("group not entered", "host", h.identity.is.Host, "group", n.group, "err", err)
		}
	})
}

// isOurs says whether a leader speaks to a replica that this directory holds, or would hold.
func (h *Host) isOurs(m *raft.Message) bool {
	return (m.Type == raft.MsgAppend || m.Type == raft.MsgHeartbeat) &&
		m.ToIncarnation == replicaIncarnation(h.identity.is.Incarnation, m.Birth, m.To)
}

// succeeded says whether a leader speaks to a later replica of this host. A host gets another one only
// in a change that is made from a committed configuration without it: this one has been outlived, and
// may never hear of that, quarantined as it may be.
func (g *group) succeeded(m *raft.Message) bool {
	return m.To > g.self.Replica && g.h.isOurs(m)
}

// enter begins a replica that knows nothing yet. What it is comes with the log: until a configuration
// there names it, it neither votes nor campaigns.
func (h *Host) enter(n replicaName, id raft.ReplicaID) error {
	record, ok := h.recordOf(n)
	if !ok {
		return nil // not heard of here yet: the leader asks again
	}
	for _, m := range record.Voters {
		if m.Host == h.ID() && m.Replica == id {
			return nil // its beginning is its founding, which it may have forgotten (H13)
		}
	}
	if lives, _ := h.joined(n); lives > id {
		return nil // late mail
	} else if why := h.unrecoverable(n); why != "" || lives != 0 && lives < id {
		// What is here is of a replica that this one succeeds: see succeeded.
		if err := h.noteRemoved(n, id-1); err != nil {
			return err
		}
		if err := h.discard(n); err != nil {
			return err
		}
		h.unsetWhy(why)
	}
	if h.hasBegunAs(n, id) && h.lastState(n) == nil {
		h.forgotten(n.group)
		return nil
	}
	g := &group{h: h, id: n.group, birth: n.birth}
	conf := raft.Configuration{Settings: record.Settings}
	if err := g.makeMachine(&conf); err != nil {
		return err
	}
	is := &h.identity.is
	g.self = raft.Member{Replica: id, Host: is.Host, Incarnation: replicaIncarnation(is.Incarnation, n.birth, id)}
	hard := raft.HardState{Term: 1}
	if last := h.lastState(n); last != nil {
		hard = *last
	}
	save := wal.GroupSave{Group: n.group, Birth: n.birth, Save: raft.Save{Hard: hard, HardSet: true}}
	if err := h.whileFull(n.group, func() error { return h.saveNow(save) }); err != nil {
		return err
	}
	if err := h.whileFull(n.group, func() error { return h.note(n.joined(id)) }); err != nil {
		return err
	}
	g.makeRaft(&conf, &raft.SnapshotMeta{Configuration: conf}, hard, nil, 0, 0, false)
	h.log.Info("replica begins", "host", is.Host, "group", n.group, "replica", uint64(id))
	h.publishReplica(g)
	h.post(event{kind: evAdd, g: g})
	return nil
}

func (h *Host) hasBegunAs(n replicaName, id raft.ReplicaID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.begun[n.joined(id)]
}

// lastState is the term of a replica that had no entries yet when the process ended.
func (h *Host) lastState(n replicaName) *raft.HardState {
	h.mu.Lock()
	defer h.mu.Unlock()
	if hard, ok := h.dormant[n]; ok {
		return &hard
	}
	return nil
}

// recordOf a group as it was founded, if this host knows it.
func (h *Host) recordOf(n replicaName) (groupRecord, bool) {
	if n.group == systemGroup {
		m := &h.identity.is.Mint
		c := systemConfiguration(m)
		return groupRecord{Birth: m.Birth, Settings: c.Settings, Voters: c.Voters}, n.birth == m.Birth
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.directory.groups[n.group]
	return r, ok && r.Birth == n.birth
}

// outlived says whether a committed configuration proves that the replica is not of the group any
// more: its id had been given by then, and is not in it.
func outlived(c *raft.Configuration, self raft.Member) bool {
	m, ok := c.Member(self.Replica)
	return self.Replica != 0 && c.NextReplica > self.Replica && !(ok && m.Incarnation == self.Incarnation)
}

// lookAt ends the replica if the configuration, which is committed, does not name it.
func (g *group) lookAt(c *raft.Configuration) {
	if outlived(c, g.self) {
		self := g.self
		g.h.post(event{kind: evDo, fn: func() {
			if g.self == self {
				g.endFor(errRemoved)
			}
		}})
	}
}

// endFor stops this replica for good, and has its data removed.
func (g *group) endFor(why error) {
	if g.ended.Swap(true) {
		return
	}
	h := g.h
	h.log.Info("replica ends", "host", g.self.Host, "group", g.id, "replica", uint64(g.self.Replica), "reason", why)
	g.step(raft.Input{Kind: raft.InStop})
	g.stopped = why
	g.speakNoMore()
	g.heardWord(0, false)
	g.lane.stop()
	g.dropHeld()
	g.endChanges()
	g.failCalls(g.asError(why))
	g.publish()
	delete(h.groups, g.id)
	h.order = slices.DeleteFunc(h.order, func(o *group) bool { return o == g })
	h.deadlines.set(g, 0)
	h.observe(env.Event{Kind: env.ReplicaRemoved, Group: uint64(g.id), Replica: uint64(g.self.Replica)})
	h.tasks.run("end", func() { h.clear(g) })
}

// clear removes what a replica leaves behind. That it has ended is durable before anything goes.
func (h *Host) clear(g *group) {
	n := replicaName{g.id, g.birth}
	last := g.self.Replica
	if h.isGone(n) {
		last = everyReplica
	}
	err := h.noteRemoved(n, last)
	if err == nil {
		// Behind all that its turns have given to the log, and when its machine is at rest.
		w := h.env.NewWaiter()
		h.post(event{kind: evDo, fn: w.Wake})
		for !h.closed.Load() && w.Wait(nil, h.env.Clock().Now()+foundingSlow) != nil { //nolint:staticcheck // the turn answers, however busy it is, or the host closes
		}
		g.atRest()
		err = h.discard(n)
	}
	if err != nil && !h.closed.Load() {
		h.log.Warn("replica's data stays", "host", g.self.Host, "group", g.id, "err", err, "do", "see the disk; it goes at the next start")
	}
	if g.id == systemGroup {
		h.setWhy(h.outText())
	}
	h.mu.Lock()
	if h.replicas[g.id] == g {
		delete(h.replicas, g.id)
	}
	h.mu.Unlock()
	h.wakeWatchers()
}

// noteRemoved makes durable that this replica of the group, and all before it, have ended here.
func (h *Host) noteRemoved(n replicaName, id raft.ReplicaID) error {
	return h.whileFull(n.group, func() error { return h.note(n.joined(id) + removedSuffix) })
}

// discard removes all that is here of a group. The log's part goes last: as long as it is there, the
// next start finds that something is left, and does this again.
func (h *Host) discard(n replicaName) error {
	if h.closed.Load() {
		return ErrClosed // the machine may be at work
	}
	if err := h.snaps.RemoveGroup(n.group, n.birth); err != nil {
		return err
	}
	if err := h.env.FS().RemoveAll(h.machineDir(n)); err != nil {
		return fmt.Errorf("remove the machine's directory: %w", err)
	}
	if err := h.env.FS().SyncDir(h.machinesDir()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the machine's directory: %w", err)
	}
	if _, ended := h.joined(n); ended == everyReplica {
		if err := h.removeDumps(n); err != nil {
			return err
		}
	}
	if err := h.saveNow(wal.GroupSave{Group: n.group, Birth: n.birth, Destroy: true}); err != nil {
		return err
	}
	h.mu.Lock()
	delete(h.dormant, n)
	delete(h.unrecovered, n)
	h.mu.Unlock()
	return nil
}

// unrecoverable says why a start could make no replica of what is here of the group; empty: it could.
func (h *Host) unrecoverable(n replicaName) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unrecovered[n]
}

func (h *Host) outText() string {
	return "this host was removed from the cluster: to use it again, empty its directory " + h.opts.Dir + ", and join with a token"
}

// isFounder says whether the mint names this host.
func (h *Host) isFounder() bool {
	is := &h.identity.is
	return slices.ContainsFunc(is.Mint.Hosts, func(m wire.FoundingHost) bool { return m.Incarnation == is.Incarnation })
}

// enterSystem asks the others to make this host a member of group 0, which it may be already.
func (h *Host) enterSystem() {
	is := &h.identity.is
	req := wire.JoinRequest{Cluster: is.Mint.Cluster, Addr: h.opts.Addr, Incarnation: is.Incarnation}
	for _, m := range h.members() {
		if m.Host == is.Host || h.closed.Load() {
			continue
		}
		answer, err := h.net.Load().Call(context.Background(), m.Addr, wire.AppendJoinRequest(nil, &req))
		if err != nil {
			continue
		}
		reply, err := wire.DecodeJoinReply(answer)
		switch {
		case err == nil && reply.State == wire.StateFounded:
			return
		case err == nil && reply.State == wire.StateRefused:
			h.setWhy("this host is not taken back: " + reply.Reason)
		}
	}
}

// awaitSystem keeps asking until this host, which has joined, has its replica of group 0.
func (h *Host) awaitSystem() {
	for !h.closed.Load() && h.Replica(systemGroup) == nil && !h.isOut() {
		_ = h.pause(context.Background(), lonelyAfter*h.opts.ElectionTimeout)
		if !h.closed.Load() && h.Replica(systemGroup) == nil {
			h.enterSystem()
		}
	}
}
