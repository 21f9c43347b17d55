package lockstep

import (
	"context"
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/host"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// HostID is given at founding or joining, and never reused.
type HostID uint64

// GroupID is chosen by you, not 0: that group is the engine's own, and every call on it but Configuration ErrOptions.
type GroupID uint64

// Index is a place in a group's log; the first is 1.
type Index = machine.Index

// Host is one process of a cluster, with its directory and its address.
type Host struct{ h *host.Host }

// Open locks Dir, recovers it and begins to serve; it waits for no other host. ctx bounds the
// recovery, not the host's life. Errors: ErrOptions, ErrDir, or the world's, wrapped.
func Open(ctx context.Context, opts Options) (*Host, error) {
	h, err := host.Open(ctx, host.Options(opts))
	if err != nil {
		return nil, fmt.Errorf("open host: %w", err)
	}
	return &Host{h: h}, nil
}

// OpenAt is Open by a build that knows feature levels up to level only, or one more than this one: what a rolling upgrade is
// simulated with before there is a next build. Unstable.
func OpenAt(ctx context.Context, opts Options, level uint32) (*Host, error) {
	h, err := host.OpenAt(ctx, host.Options(opts), level)
	if err != nil {
		return nil, fmt.Errorf("open host: %w", err)
	}
	return &Host{h: h}, nil
}

// ID is the host's number in its cluster; 0 until it has been founded.
func (h *Host) ID() HostID { return HostID(h.h.ID()) }

// Create founds the group once, whoever asks first, or finds it. It waits, for ctx alone, until the
// group answers and its replica here has caught up, and logs for whom it waits (founding needs every founder once). Errors: ErrExists,
// ErrNoMachine, ErrOptions, the end of ctx with the reason for waiting, ErrClosed.
func (h *Host) Create(ctx context.Context, id GroupID, opts GroupOptions) (*Group, error) {
	err := h.h.Create(ctx, raft.GroupID(id), opts.Machine, hostIDs(opts.Voters), opts.Settings.over)
	if err != nil {
		return nil, faultOfWait("Create", id, err)
	}
	return h.Group(id), nil
}

// Destroy ends a group on every host, with its data: its own log stops its writes, then the cluster's
// registry says that it is over. Once it returns nothing is left of it here, and no command is
// acknowledged any more anywhere; hosts that are down end their replicas when they are back. A group that
// is created under the same id is another one. It may be called again until it returns nil or ErrNoGroup;
// a group whose end was begun stays halted until then. Errors: ErrNoGroup, ErrNoQuorum, ErrOptions, the
// end of ctx, ErrClosed.
func (h *Host) Destroy(ctx context.Context, id GroupID) error {
	return fault("Destroy", id, h.h.Destroy(ctx, raft.GroupID(id)))
}

// Group is a handle on a group, with or without a replica here. No I/O.
func (h *Host) Group(id GroupID) *Group { return &Group{h: h.h, id: id} }

// Announce tells every host of the cluster a short text about this one, through the log, so that
// Peers says the same on all of them. A server publishes its clients' address so. It waits, for ctx alone, until it
// is told. Errors: ErrClosed, the end of ctx.
func (h *Host) Announce(ctx context.Context, text string) error {
	return fault("Announce", 0, h.h.Announce(ctx, text))
}

// Peer is one host of the cluster.
type Peer struct {
	ID   HostID
	Addr string // that other hosts dial
	Note string // what it announced last
}

// Peers are the hosts of the cluster, this one included, ordered by ID; none until it is founded.
func (h *Host) Peers() []Peer {
	hosts, notes := h.h.Hosts(), h.h.Notes()
	peers := make([]Peer, len(hosts))
	for i, p := range hosts {
		peers[i] = Peer{ID: HostID(p.ID), Addr: p.Addr, Note: notes[p.ID]}
	}
	return peers
}

// CurrentPeers is Peers with every note whose Announce returned before the call; it costs a
// linearizable read. Errors: as of Group.Read.
func (h *Host) CurrentPeers(ctx context.Context) ([]Peer, error) {
	if err := h.h.ConfirmNotes(ctx); err != nil {
		return nil, queryFault("CurrentPeers", 0, err)
	}
	return h.Peers(), nil
}

// Token lets one more host join within d, which is at most 24 h of the cluster's elapsed time: its
// Options.Join. It is good once. The host is then one of Peers, and a member of group 0 (a voter, while
// there are fewer than seven); of other groups only when Reconfigure makes it one. Errors: ErrOptions, ErrNoQuorum, ErrClosed,
// the end of ctx.
func (h *Host) Token(ctx context.Context, d time.Duration) (string, error) {
	t, err := h.h.Token(ctx, d)
	return t, fault("Token", 0, err)
}

// Remove takes a host out of every group, then out of the cluster: its replicas and their data go, no
// host talks to it any more, and its id and directory never come back. It may be down for good. Ask
// another host than that one, and again until it returns nil. Errors: ErrRefused where a group would
// have no voter left, or could not decide, ErrOptions for this host itself, ErrNoQuorum, ErrClosed, the end of ctx.
func (h *Host) Remove(ctx context.Context, id HostID) error {
	return fault("Remove", 0, h.h.Remove(ctx, raft.HostID(id)))
}

// Shutdown hands leaderships over and lets open calls finish, for four election timeouts and until ctx ends
// at most, then closes the host. Calls that are made meanwhile return ErrClosed. The group pauses for
// milliseconds; after Close, or the end of a process, it does for an election timeout.
func (h *Host) Shutdown(ctx context.Context) error {
	h.h.HandOver(ctx)
	return h.Close()
}

// Close stops the host at once: open calls return ErrClosed with what is known of them, open Views
// stay valid. It waits for machines, and may be called again.
func (h *Host) Close() error { return h.h.Close() }
