package host

import (
	"fmt"
	"slices"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// directory is what this host knows of the others, from the registry's last word. It is in the
// host's identity too: a host that was away must find who has come meanwhile, to learn of them.
type directory struct {
	hosts   []wire.FoundingHost    // that belong to the cluster; nil: those of the identity
	removed map[raft.HostID]uint64 // that did, and their incarnations
	heard   []wire.FoundingHost    // that have come since, as they say themselves; their ids are above all others
	tokens  []tokenRecord          // that may still be used
	gone    map[replicaName]bool   // groups that were destroyed
	over    map[raft.GroupID]bool  // their ids
	groups  map[raft.GroupID]groupRecord
}

// members are the hosts of the cluster, this one included, ordered by id.
func (h *Host) members() []wire.FoundingHost {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.membersLocked()
}

func (h *Host) membersLocked() []wire.FoundingHost {
	switch {
	case h.directory.hosts != nil:
		return h.directory.hosts
	case h.identity.is.Peers != nil: // told with this host's id, and known as soon as that is
		return h.identity.is.Peers
	}
	return h.identity.is.Mint.Hosts
}

// member is one host of the cluster.
func (h *Host) member(id raft.HostID) (wire.FoundingHost, bool) {
	all := h.members()
	i := slices.IndexFunc(all, func(m wire.FoundingHost) bool { return m.Host == id })
	if i < 0 {
		return wire.FoundingHost{}, false
	}
	return all[i], true
}

// setHosts takes the registry's lists. It runs on the lane.
func (h *Host) setHosts(records []hostRecord, tokens []tokenRecord) {
	if len(records) == 0 {
		return
	}
	var hosts []wire.FoundingHost
	removed := make(map[raft.HostID]uint64)
	for _, r := range records {
		if r.Removed {
			removed[r.ID] = r.Incarnation
		} else {
			hosts = append(hosts, wire.FoundingHost{Host: r.ID, Addr: r.Addr, Incarnation: r.Incarnation})
		}
	}
	last := records[len(records)-1].ID
	h.mu.Lock()
	if isFormer(hosts, last, h.membersLocked()) {
		h.mu.Unlock()
		return
	}
	same := slices.Equal(h.directory.hosts, hosts) && len(h.directory.removed) == len(removed)
	h.directory.hosts, h.directory.removed, h.directory.tokens = hosts, removed, tokens
	h.directory.heard = slices.DeleteFunc(slices.Clone(h.directory.heard), func(m wire.FoundingHost) bool { return m.Host <= last })
	h.mu.Unlock()
	if !same {
		h.tasks.run("hosts", h.followHosts)
	}
}

// isFormer says whether a list, whose last id is this one, is of an older state than the one that is known.
// A registry that is executed again from its beginning, or from a snapshot, shows such: a host that followed
// it back would forget where those live whom it needs to execute the rest. Ids ascend, and whoever is not
// there at the same last id was removed since.
func isFormer(hosts []wire.FoundingHost, last raft.HostID, known []wire.FoundingHost) bool {
	newest := raft.HostID(0)
	for _, m := range known {
		newest = max(newest, m.Host)
	}
	return last < newest || last == newest && slices.ContainsFunc(hosts, func(m wire.FoundingHost) bool { return !slices.Contains(known, m) })
}

// followHosts writes the directory down, and keeps links to whom it names.
func (h *Host) followHosts() {
	h.amendGate.enter(h.env)
	is := h.identity.is
	is.Peers = h.members()
	next := identityFile{env: h.identity.env, dir: h.identity.dir, path: h.identity.path}
	err := next.save(is)
	h.amendGate.leave()
	if err != nil && !h.closed.Load() {
		h.log.Warn("hosts not written down", "host", is.Host, "err", err, "do", "see the disk; it is written again with the next change")
	}
	h.connect()
}

// isNewsLocked says whether it may be a host that joined after what this one has read of the registry: its
// id is above all that it knows. The registry's word on it may stand in entries that nobody can commit
// without a link between the two, so that waiting for it would be for ever. What it says is heard as raft
// hears strangers; a change of members is not taken from it. The lock is held.
func (h *Host) isNewsLocked(hello *wire.Hello) bool {
	is := &h.identity.is
	if is.State != stateFounded || hello.Cluster != is.Mint.Cluster || hello.Epoch != is.Epoch || hello.Host == is.Host || hello.Addr == "" {
		return false
	}
	for _, m := range h.membersLocked() {
		if m.Host >= hello.Host {
			return false
		}
	}
	for id := range h.directory.removed {
		if id >= hello.Host {
			return false
		}
	}
	return true
}

// hearLocked makes a link to such a host. The lock is held.
func (h *Host) hearLocked(hello *wire.Hello) error {
	d := &h.directory
	news := wire.FoundingHost{Host: hello.Host, Addr: hello.Addr, Incarnation: hello.Incarnation}
	if slices.Contains(d.heard, news) {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(d.heard), func(m wire.FoundingHost) bool { return m.Host == news.Host })
	if len(others) >= maxHosts {
		return fmt.Errorf("host %d is not of this cluster, as far as this host has read, and %d others neither", hello.Host, len(others))
	}
	d.heard = append(others, news)
	h.tasks.run("hear", h.connect)
	return nil
}

func (h *Host) heard() []wire.FoundingHost {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.directory.heard
}

// address is where a host is dialled that belongs to the cluster, or says so; empty: not known.
func (h *Host) address(id raft.HostID) string {
	for _, m := range slices.Concat(h.members(), h.heard()) {
		if m.Host == id {
			return m.Addr
		}
	}
	return ""
}

// connect keeps links to the other hosts of the cluster.
func (h *Host) connect() {
	net := h.net.Load()
	if net == nil {
		return
	}
	peers := make(map[raft.HostID]string)
	self := h.ID()
	for _, m := range slices.Concat(h.members(), h.heard()) {
		if m.Host != self {
			peers[m.Host] = m.Addr
		}
	}
	if h.isOut() {
		clear(peers)
	}
	net.SetPeers(peers)
}

// isOut says whether this host was removed from the cluster.
func (h *Host) isOut() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wasRemovedLocked(h.identity.is.Host)
}

func (h *Host) wasRemovedLocked(id raft.HostID) bool {
	_, ok := h.directory.removed[id]
	return ok
}

// rememberGroups keeps what a replica that is invited to a group has to know of it. It runs on the
// lane.
func (h *Host) rememberGroups(groups []groupRecord) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range groups {
		h.directory.groups[g.ID] = g
	}
}

// knownGroups are those of the registry, as far as this host has read it, ordered by id.
func (h *Host) knownGroups() (ids []raft.GroupID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.directory.groups {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// admit says why a host is not heard; nil: it belongs to the cluster. The lock is held.
func (h *Host) admitLocked(id raft.HostID, incarnation uint64) error {
	for _, m := range h.membersLocked() {
		if m.Host == id {
			if m.Incarnation != incarnation {
				return fmt.Errorf("host %d has incarnation %016x here, not %016x: its directory was wiped or is another's", m.Host, m.Incarnation, incarnation)
			}
			return nil
		}
	}
	if h.wasRemovedLocked(id) {
		return fmt.Errorf("host %d was removed from this cluster: empty its directory, and join with a token", id)
	}
	return fmt.Errorf("host %d is not of this cluster", id)
}

func hostsOf(members []raft.Member) []raft.HostID {
	hosts := make([]raft.HostID, len(members))
	for i, m := range members {
		hosts[i] = m.Host
	}
	slices.Sort(hosts)
	return hosts
}
