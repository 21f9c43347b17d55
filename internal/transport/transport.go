package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/snapshot"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// ErrClosed says that the transport is closed.
var ErrClosed = errors.New("transport is closed")

// A Transport is one host's connections to the others. Its methods are safe for concurrent use.
type Transport struct {
	o        Options
	clock    env.Clock
	refused  repeats
	addr     string
	accept   func() (*conn, error) // nil conn: closing
	listener io.Closer
	throttle *snapshot.Throttle
	ended    env.Waiter // woken when the last task has ended after Close
	put      []*link    // that wait for Flush: of the one who calls Put

	mu       sync.Mutex
	closing  bool
	tasks    int
	lastConn uint64
	conns    map[uint64]*conn
	accepted int
	links    map[raft.HostID]*link
	incoming map[raft.HostID]*incoming
}

// Open listens and starts to accept. Links begin with SetPeers.
func Open(o Options) (*Transport, error) {
	o.fill()
	l, err := o.Env.Net().Listen(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Listen, err)
	}
	t := &Transport{
		o: o, clock: o.Env.Clock(), addr: l.Addr().String(), listener: l,
		throttle: snapshot.NewThrottle(o.Env, o.SnapshotBytesPerSecond),
		ended:    o.Env.NewWaiter(),
		conns:    map[uint64]*conn{}, links: map[raft.HostID]*link{}, incoming: map[raft.HostID]*incoming{},
	}
	t.accept = func() (*conn, error) {
		raw, err := l.Accept()
		if err != nil {
			return nil, err
		}
		rw := io.ReadWriter(raw)
		if o.TLS != nil {
			rw = tls.Server(raw, o.TLS)
		}
		return t.newConn(raw, rw, raw.RemoteAddr().String()), nil
	}
	t.run("accept hosts", t.acceptAll)
	return t, nil
}

// Addr is the address that the transport listens on.
func (t *Transport) Addr() string { return t.addr }

// run starts a task that Close waits for, and says whether it did: not once the transport closes.
func (t *Transport) run(name string, f func()) bool {
	t.mu.Lock()
	if t.closing {
		t.mu.Unlock()
		return false
	}
	t.tasks++
	t.mu.Unlock()
	t.o.Env.Run(name, func() {
		defer t.taskEnded()
		f()
	})
	return true
}

func (t *Transport) taskEnded() {
	t.mu.Lock()
	t.tasks--
	last := t.closing && t.tasks == 0
	t.mu.Unlock()
	if last {
		t.ended.Wake()
	}
}

func (t *Transport) isClosing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closing
}

// Close ends all connections and waits for all tasks: at most HandshakeTimeout where a dial hangs,
// and as long as a Handler's method takes. It must not be called from one. A second Close returns
// at once.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closing {
		t.mu.Unlock()
		return nil
	}
	t.closing = true
	links, conns := inOrder(t.links), inOrder(t.conns)
	idle := t.tasks == 0
	t.mu.Unlock()
	err := t.listener.Close()
	for _, l := range links {
		l.stop()
	}
	for _, c := range conns {
		c.close()
	}
	for !idle {
		_ = t.ended.Wait(nil, 0) // without context or bound it ends by a Wake only
		t.mu.Lock()
		idle = t.tasks == 0
		t.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("close listener of %s: %w", t.addr, err)
	}
	return nil
}

// inOrder lists the values of m by key: what is done to several must not depend on a map's order,
// or one seed would give many traces.
func inOrder[K ~uint64, V any](m map[K]V) []V {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]V, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out
}

// SetPeers says to which hosts to keep a link, and where they listen. This host itself is left
// out. Links to others end; a link whose address changes is dialled anew. It does not block.
func (t *Transport) SetPeers(peers map[raft.HostID]string) {
	self := t.o.Self().Host
	var stopped, started []*link
	t.mu.Lock()
	for _, l := range inOrder(t.links) {
		if addr, ok := peers[l.host]; !ok || addr != l.addr || l.host == self {
			stopped = append(stopped, l)
			delete(t.links, l.host)
		}
	}
	hosts := make([]raft.HostID, 0, len(peers))
	for host := range peers {
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	for _, host := range hosts {
		if t.links[host] != nil || host == self || t.closing {
			continue
		}
		l := newLink(t, host, peers[host])
		t.links[host] = l
		started = append(started, l)
	}
	t.mu.Unlock()
	for _, l := range stopped {
		l.stop()
	}
	for _, l := range started {
		t.run(fmt.Sprintf("link to host %d", l.host), l.run)
	}
}

// Send puts a copy of p into the pending frame of the link to a host, and never blocks. False: it
// is dropped, as there is no link, or the link's budget is spent.
func (t *Transport) Send(to raft.HostID, p *wire.Packet) bool {
	t.mu.Lock()
	l := t.links[to]
	t.mu.Unlock()
	return l != nil && l.send(p)
}

// Put is Send for one task at a time that calls Flush once it has put all it has: until then the packet may
// stay. So what goes to one host shares a frame, and most frames are written by Flush itself.
func (t *Transport) Put(to raft.HostID, p *wire.Packet) bool {
	t.mu.Lock()
	l := t.links[to]
	t.mu.Unlock()
	if l == nil {
		return false
	}
	taken, first := l.add(p)
	if first {
		t.put = append(t.put, l)
	}
	return taken
}

// Flush sends on what was Put. It never blocks: a short frame goes straight to a connection that takes it
// now, others to the links' tasks.
func (t *Transport) Flush() {
	for _, l := range t.put {
		l.flush()
	}
	clear(t.put)
	t.put = t.put[:0]
}

// PeerStatus is the state of the link to one host.
type PeerStatus struct {
	Host        raft.HostID
	Addr        string
	Connected   bool
	RTT         time.Duration // of the last ping; 0: unknown
	QueuedBytes int64
	Dropped     uint64 // packets that Send did not take
	Reason      string // why the last try failed, or the last link ended
}

// Status lists the links, by host.
func (t *Transport) Status() []PeerStatus {
	t.mu.Lock()
	links := inOrder(t.links)
	t.mu.Unlock()
	out := make([]PeerStatus, len(links))
	for i, l := range links {
		out[i] = l.status()
	}
	return out
}

// serverName is the host part of addr, for TLS.
func serverName(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		addr = addr[:i]
	}
	return strings.Trim(addr, "[]")
}
