package host

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/transport"
	"github.com/lockstep-rsm/lockstep/raft"
)

// published is what others may see of a replica without a turn: written at the end of each flush.
type published struct {
	mu         sync.Mutex
	role       raft.Role
	term       raft.Term
	leader     raft.ReplicaID
	commit     raft.Index
	recovering string     // what it has to catch up with; empty: nothing
	catchUp    raft.Index // what ends that once it is executed; 0: not known yet
	behind     int        // voters that a leader has not heard from lately
	mark       raft.Mark
	newest     raft.Index // snapshot
	why        error      // it is stopped, or quarantined
	rebuilding string     // its machine is made anew; empty: it is not
	dump       string     // where the command is at which it failed

	followers []FollowerStatus // of a leader
}

func (g *group) publish() {
	if conf := g.r.Configuration(); g.conf.Load() != conf {
		g.conf.Store(conf)
	}
	p := &g.pub
	p.mu.Lock()
	defer p.mu.Unlock()
	p.role, p.term, p.leader, p.commit = g.r.Role(), g.r.Term(), g.r.Leader(), g.r.Commit()
	p.why, p.recovering, p.catchUp = g.stopped, g.recovering(), g.catchUp.index
	p.rebuilding, p.dump = g.rebuild.rebuilding(raft.Index(g.lane.applied.Load())), g.rebuild.dump
	if p.why == nil && g.rebuild.left {
		p.why = g.rebuild.why
	}
	p.behind = g.r.Silent()
	g.publishFollowers()
	if n := len(g.snapshots.own); n > 0 {
		p.mark = g.snapshots.own[n-1]
	}
	if n := g.snapshots.newest; n != nil {
		p.newest = n.Identity.Index
	}
}

// catchingUp is why the replica has not caught up yet; empty: it has. The lane may have executed more than
// was published.
func (g *group) catchingUp() string {
	p := &g.pub
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.commit == 0:
		return "the replica has just begun"
	case p.catchUp != 0 && raft.Index(g.lane.applied.Load()) >= p.catchUp:
		return ""
	}
	return p.recovering
}

// Status of a host: all of it is a copy.
type Status struct {
	Host         raft.HostID
	Cluster      [16]byte
	Addr         string
	Uptime       time.Duration
	FeatureLevel uint32
	Disk         string // ok, slow, full or failed
	P99Sync      time.Duration
	WALBytes     int64
	WALMaxBytes  int64
	Why          string // why it does not serve yet
	PID          int
	InboxBytes   int64
	Syncs        uint64
	Groups       []GroupStatus
}

// GroupStatus of one replica.
type GroupStatus struct {
	Group          raft.GroupID
	Machine        string
	MachineVersion uint32
	Replica        raft.ReplicaID
	Role           string
	State          string // serving, recovering, quarantined, halted
	Why            string
	Term           raft.Term
	Leader         raft.HostID // 0: unknown
	Commit         raft.Index
	Applied        raft.Index
	Snapshot       raft.Index
	Mark           raft.Mark
	Sessions       int
	Tolerates      int              // how many voters may still fail; -1: unknown here
	Followers      []FollowerStatus // of a leader
	Configuration  raft.Configuration
}

// slowSync is the p99 of a sync above which a disk is called slow.
const slowSync = 100 * time.Millisecond

// Status never waits for a turn or a disk.
func (h *Host) Status() Status {
	h.mu.Lock()
	is, why, roomless := h.identity.is, h.why, h.roomless
	groups := make([]*group, 0, len(h.replicas))
	for _, g := range h.replicas {
		groups = append(groups, g)
	}
	h.mu.Unlock()
	s := Status{
		Host: is.Host, Cluster: is.Mint.Cluster, Addr: h.opts.Addr, FeatureLevel: h.level, Disk: "ok", Why: why,
		PID: h.env.Facts().PID, InboxBytes: h.inboxBytes.held.Load(), Uptime: h.env.Clock().Now() - h.opened,
	}
	if roomless > 0 {
		s.Disk = "full"
	}
	if is.State == stateFounded && len(groups) > 0 {
		stats := h.wal.Stats()
		s.P99Sync, s.WALBytes, s.WALMaxBytes, s.Syncs = stats.P99Sync, stats.Bytes, stats.MaxBytes, stats.Syncs
		switch {
		case stats.Failed:
			s.Disk = "failed"
		case stats.Full:
			s.Disk = "full"
		case stats.P99Sync > slowSync && roomless == 0:
			s.Disk = "slow"
		}
	}
	sortGroups(groups)
	for _, g := range groups {
		gs := g.status()
		if s.Why == "" && gs.State == "recovering" && h.refused() != "" {
			s.Why = gs.Why
		}
		if s.Why == "" && g.id == systemGroup && gs.State == "quarantined" {
			s.Why = "group 0, in which hosts and groups are kept: " + gs.Why // nobody else shows it
		}
		s.Groups = append(s.Groups, gs)
	}
	return s
}

// refused says which hosts do not talk to this one, and whose fault it is: this one may have the wrong
// directory, the other one none. Empty: none of them.
func (h *Host) refused() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var said []string
	foreign := false
	for _, host := range slices.Sorted(maps.Keys(h.refusals)) {
		reason := h.refusals[host]
		if strings.Contains(reason, transport.NoCluster) {
			said = append(said, fmt.Sprintf("host %d belongs to no cluster: its directory is empty, it gets no vote. Start it with its own directory, or replace it", host))
			continue
		}
		foreign = true
		said = append(said, fmt.Sprintf("host %d refuses this one: %q", host, reason))
	}
	text := strings.Join(said, "; ")
	if foreign {
		text += fmt.Sprintf(". Nothing was changed. If %s is not this host's own directory, start it with that; if it was lost, replace this host", h.opts.Dir)
	}
	return text
}

func sortGroups(groups []*group) {
	for i := 1; i < len(groups); i++ {
		for j := i; j > 0 && groups[j].id < groups[j-1].id; j-- {
			groups[j], groups[j-1] = groups[j-1], groups[j]
		}
	}
}

// GroupStatus of the replica here; false: there is none.
func (h *Host) GroupStatus(id raft.GroupID) (GroupStatus, bool) {
	g := h.Replica(id)
	if g == nil {
		return GroupStatus{}, false
	}
	return g.status(), true
}

func (g *group) status() GroupStatus {
	conf, refused := g.conf.Load(), g.h.refused()
	s := GroupStatus{
		Group: g.id, Machine: conf.Settings.Machine, MachineVersion: conf.Settings.Version, Replica: g.self.Replica,
		Applied: raft.Index(g.lane.applied.Load()), Configuration: *conf, State: "serving", Tolerates: -1,
		Sessions: int(g.lane.open.Load()),
	}
	p := &g.pub
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Role, s.Term, s.Leader, s.Commit = p.role.String(), p.term, memberHost(conf, p.leader), p.commit
	s.Snapshot, s.Mark, s.Followers = p.newest, p.mark, slices.Clone(p.followers)
	if p.role == raft.Leader {
		s.Tolerates = max((len(conf.Voters)-1)/2-p.behind, 0)
	}
	switch {
	case p.why != nil:
		s.State, s.Why = "quarantined", p.why.Error()+": "+remedy(p.why)
		if p.dump != "" {
			s.Why += ". The command is in " + p.dump
		}
	case conf.Settings.Halt != raft.HaltNone:
		s.State, s.Why = "halted", haltText(conf.Settings.Halt)
	case p.rebuilding != "":
		s.State, s.Why = "recovering", p.rebuilding+": wait"
	case p.leader == 0:
		s.State, s.Why = "recovering", "no leader is known: start the other hosts, or wait for the election"
		if refused != "" {
			s.Why = "no leader is known, and " + refused
		}
		if p.recovering != "" {
			s.Why = p.recovering + "; " + s.Why
		}
	case p.recovering != "":
		s.State, s.Why = "recovering", p.recovering+": wait"
	}
	return s
}

// haltText says why a group is halted, and what to do.
func haltText(h raft.Halt) string {
	switch h {
	case raft.HaltOperator:
		return "an operator has stopped its writes: lockstep group resume"
	case raft.HaltDisputed:
		return "no majority of its voters has one state, so that nobody knows what is right: find out which are wrong (lockstep bisect), mend the " +
			"machine and restart their hosts, or take them out of the group; then lockstep group resume"
	}
	return "its end was begun: destroy it again"
}

// Notes are what the hosts told about themselves, ordered by host.
func (h *Host) Notes() map[raft.HostID]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	notes := make(map[raft.HostID]string, len(h.notes))
	for _, n := range h.notes {
		notes[n.Host] = n.Text
	}
	return notes
}

// Hosts of the cluster, with their addresses, ordered by id.
func (h *Host) Hosts() []Peer {
	members := h.members()
	peers := make([]Peer, 0, len(members))
	for _, m := range members {
		peers = append(peers, Peer{ID: m.Host, Addr: m.Addr})
	}
	return peers
}

// Peer is one host of the cluster.
type Peer struct {
	ID   raft.HostID
	Addr string
}
