package host

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/snapshot"
	"github.com/lockstep-rsm/lockstep/internal/transport"
	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Host is one process of a cluster: its log, its links, and the replicas it holds. All methods are
// safe for concurrent use.
type Host struct {
	opts   Options
	env    env.Env
	log    *slog.Logger
	opened time.Duration
	life   uint64 // drawn at Open: tells this process's forwards from a former one's

	lock      io.Closer
	foundGate gate // of the founding and joining
	amendGate gate // of the directory in the identity
	identity  identityFile
	net       atomic.Pointer[transport.Transport] // nil without Addr
	wal       *wal.Log                            // nil until the host belongs to a cluster
	snaps     *snapshot.Store

	inbox      inbox
	inboxBytes budget    // of calls and reads that wait
	backlogs   sync.Map  // of *backlog by raft.HostID
	calls      sync.Pool // of Propose: see takeCall
	reads      sync.Pool // of Read and View: see readCall
	lanes      lanes
	tasks      tasks
	leaving    atomic.Bool // no new calls: it closes soon
	closed     atomic.Bool
	level      uint32      // the highest that this build knows
	recovered  atomic.Bool // the log is open, and what it holds has begun
	closeOnce  sync.Once

	// Of the turn alone.
	groups    map[raft.GroupID]*group
	order     []*group // by id, for whatever concerns all
	touched   []*group
	deadlines deadlines
	underWay  underWay
	timer     env.Timer
	timerAt   time.Duration
	pressAt   time.Duration // when the log's pressure is looked at again; 0: there is none
	nextSeq   uint64
	inbound   int64       // bytes of forwards that wait to be appended here
	memory    raft.Memory // of all groups' Readies
	saves     []wal.GroupSave
	savers    []saver
	batches   []*batch // handled, and used again
	linked    map[raft.HostID]bool
	linksMade uint64        // how often one has come up: its host has said what it knows
	pairs     []*pair       // by host
	beatAt    time.Duration // when hosts next speak for quiet groups
	failed    error         // the log failed: nothing is written or sent any more

	awaited string // of the founding task alone: the founders it last told of as not there

	// What other goroutines see.
	mu          sync.Mutex
	replicas    map[raft.GroupID]*group
	starting    map[replicaName]bool
	begun       map[string]bool     // replicaName.file and joined of those that have ever begun, or ended, here
	joins       map[string][]string // by replicaName.file: the longer ones of these
	entering    map[raft.GroupID]bool
	dormant     map[replicaName]raft.HardState // of those that began and got no entry
	unrecovered map[replicaName]string         // of which the log holds something that no replica could be made of: why
	directory   directory
	overcome    overcome
	knocks      knocks
	lonely      lonely
	refusals    map[raft.HostID]string
	levels      map[raft.HostID]uint32 // that other hosts know, as they said last
	notes       []hostNote
	why         string // why the host does not serve; empty: it does
	roomless    int    // what waits for room on the disk, to begin or to end: the host, or groups
	retries     retries
	watchers    []env.Waiter // of replicas, why and founding
}

// Open locks the directory, recovers what is in it, and begins to serve. ctx bounds the recovery.
func Open(ctx context.Context, opts Options) (*Host, error) {
	return OpenAt(ctx, opts, featureLevel)
}

// OpenAt is Open by a build that knows feature levels up to level: what the next build will be, and what this one was.
func OpenAt(ctx context.Context, opts Options, level uint32) (*Host, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h := &Host{
		opts:        opts,
		level:       level,
		env:         opts.Env,
		log:         opts.Logger,
		opened:      opts.Env.Clock().Now(),
		life:        opts.Env.Rand().Uint64() | 1,
		groups:      make(map[raft.GroupID]*group),
		linked:      make(map[raft.HostID]bool),
		replicas:    make(map[raft.GroupID]*group),
		starting:    make(map[replicaName]bool),
		begun:       make(map[string]bool),
		joins:       make(map[string][]string),
		entering:    make(map[raft.GroupID]bool),
		dormant:     make(map[replicaName]raft.HardState),
		unrecovered: make(map[replicaName]string),
		refusals:    make(map[raft.HostID]string),
	}
	h.directory.gone, h.directory.over = make(map[replicaName]bool), make(map[raft.GroupID]bool)
	h.directory.groups = make(map[raft.GroupID]groupRecord)
	h.lanes.env, h.lanes.tell, h.tasks.env = h.env, h.postAll, h.env
	h.inboxBytes.most = opts.MaxInboxBytes
	h.underWay.most, h.underWay.first = maxUnderWay*opts.Lanes, 1
	if err := h.open(); err != nil {
		_ = h.Close()
		return nil, err
	}
	return h, nil
}

// open does what Open does, leaving the undoing to its caller.
func (h *Host) open() error {
	fs := h.env.FS()
	if err := fs.MkdirAll(h.opts.Dir); err != nil {
		return fmt.Errorf("%w: make %s: %w", ErrDir, h.opts.Dir, err)
	}
	lock, err := fs.Lock(h.opts.Dir + "/LOCK")
	if err != nil {
		return fmt.Errorf("%w: %w. One directory serves one process", ErrDir, err)
	}
	h.lock = lock
	if err := h.identity.load(h.env, h.opts.Dir); err != nil {
		return err
	}
	token, err := h.checkFirstStart()
	if err != nil {
		return err
	}
	// Once this host listens, a founder's mint may make it one of a cluster, and begin, at any moment.
	founded := h.identity.is.State == stateFounded
	if h.opts.Addr != "" {
		if err := h.listen(); err != nil {
			return err
		}
	}
	if founded {
		if err := h.begin(); err != nil {
			return err
		}
	}
	switch {
	case founded:
		h.connect()
		return nil
	case h.opts.Addr == "":
		return h.foundAlone()
	case token != nil:
		h.tasks.run("join", func() { h.join(token) })
		return nil
	default:
		h.tasks.run("found", h.found)
		return nil
	}
}

func (h *Host) listen() error {
	net, err := transport.Open(transport.Options{
		Env:                    h.env,
		Listen:                 h.opts.Listen,
		Self:                   h.hello,
		TLS:                    h.opts.TLS,
		MaxFrameBytes:          maxFrame,
		MaxQueueBytes:          h.opts.MaxInFlightBytes,
		SnapshotBytesPerSecond: h.opts.SnapshotBytesPerSecond,
		Handler:                (*links)(h),
		RoundTrip: func(host raft.HostID, took time.Duration) {
			h.tell(env.Event{Kind: env.RoundTrip, Peer: uint64(host), Took: took})
		},
		Logger: h.log,
	})
	if err != nil {
		return err
	}
	h.net.Store(net)
	return nil
}

// hello is how this host presents itself on a connection.
func (h *Host) hello() wire.Hello {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := &h.identity.is
	return wire.Hello{
		Cluster: id.Mint.Cluster, Epoch: id.Epoch, Host: id.Host, Incarnation: id.Incarnation,
		FeatureLevel: h.level, Life: h.life, Addr: h.opts.Addr,
	}
}

// ID is the host's number in its cluster; 0 until it has been founded.
func (h *Host) ID() raft.HostID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.identity.is.Host
}

// Cluster is the cluster's 128-bit id; zero until it has been founded.
func (h *Host) Cluster() [16]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.identity.is.Mint.Cluster
}

// Close stops the host at once. Open calls get ErrClosed with what is known of them (H20).
func (h *Host) Close() error {
	h.closeOnce.Do(func() {
		h.closed.Store(true)
		h.post(event{kind: evClose})
		if net := h.net.Load(); net != nil {
			_ = net.Close()
		}
		h.lanes.close()
		h.wakeWatchers()
		h.retries.end()
		// The log outlives every task: one of them may be founding, and open it only now.
		h.tasks.wait()
		if h.wal != nil {
			_ = h.wal.Close()
		}
		h.release()
	})
	return nil
}

func (h *Host) release() {
	if h.lock != nil {
		_ = h.lock.Close()
	}
}

// setWhy records why the host does not serve, once a sentence changes.
func (h *Host) setWhy(why string) {
	if h.changeWhy(why) && why != "" {
		h.log.Warn("waiting", "addr", h.opts.Addr, "why", why)
	}
}

// setWaiting is setWhy for founders that are not there, which is no fault: one line for each set of them.
func (h *Host) setWaiting(absent *absentError) {
	addrs := strings.Join(absent.addrs, ", ")
	news := h.awaited != addrs
	h.awaited = addrs
	if h.changeWhy(absent.Error()) && news {
		h.log.Info("waiting for founders: "+addrs, "addr", h.opts.Addr)
	}
}

func (h *Host) changeWhy(why string) (changed bool) {
	h.mu.Lock()
	changed = h.why != why
	h.why = why
	h.mu.Unlock()
	h.wakeWatchers()
	return changed
}

// unsetWhy ends a reason, unless another one has taken its place.
func (h *Host) unsetWhy(why string) {
	h.mu.Lock()
	if h.why == why {
		h.why = ""
	}
	h.mu.Unlock()
	h.wakeWatchers()
}

// watch registers w to be woken by the next change of replicas, why or founding.
func (h *Host) watch(w env.Waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers = append(h.watchers, w)
}

func (h *Host) wakeWatchers() {
	h.mu.Lock()
	watchers := h.watchers
	h.watchers = nil
	h.mu.Unlock()
	for _, w := range watchers {
		w.Wake()
	}
}

// tasks counts the tasks of a host, so that Close can wait for them.
type tasks struct {
	env     env.Env
	mu      sync.Mutex
	running int
	ended   bool
	closing env.Waiter
}

// run starts f, unless the host has waited for its last task: nobody needs what f would do.
func (t *tasks) run(name string, f func()) {
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return
	}
	t.running++
	t.mu.Unlock()
	t.env.Run(name, func() {
		defer t.end()
		f()
	})
}

func (t *tasks) end() {
	t.mu.Lock()
	t.running--
	w := t.closing
	t.mu.Unlock()
	if w != nil {
		w.Wake()
	}
}

func (t *tasks) wait() {
	w := t.env.NewWaiter()
	t.mu.Lock()
	t.closing = w
	for t.running > 0 {
		t.mu.Unlock()
		_ = w.Wait(nil, 0) //nolint:staticcheck // every task ends once the host is closed
		t.mu.Lock()
	}
	t.ended = true
	t.mu.Unlock()
}
