package server

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
	"github.com/lockstep-rsm/lockstep/server/admin"
	"github.com/lockstep-rsm/lockstep/server/etcdapi"
)

// keysGroup is the group that the etcd v3 API serves.
const keysGroup lockstep.GroupID = 1

// maxEntryBytes lets every request through that the protocol allows.
const maxEntryBytes = 2 << 20

// Server is one host as a service. Its methods are safe for concurrent use.
type Server struct {
	o       Options
	env     env.Env
	host    *lockstep.Host
	group   *lockstep.Group
	etcd    *etcdapi.Server
	metrics *Metrics
	rpc     *grpc.Server
	web     *http.Server
	split   *splitter

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
	recent   atomic.Pointer[recentDisk]
	cluster  atomic.Uint64
	member   atomic.Uint64
	failed   chan error // holds the error that the host cannot serve on with
	closing  sync.Once
	closeErr error
}

// note is what a host tells the others about itself.
type note struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
	PID      int    `json:"pid"`
	TLS      bool   `json:"tls,omitempty"`
}

// Open listens, opens the host and begins to serve. It does not wait for other hosts: until there is
// a majority, requests are answered with what is missing. ctx bounds the recovery of the directory.
// Errors: *InUseError, ErrPlaintext, those of lockstep.Open.
func Open(ctx context.Context, o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	secret, err := o.clientTLS()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", o.Client)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &InUseError{Addr: o.Client, Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	s := &Server{o: o, env: o.Host.Env, failed: make(chan error, 1)}
	s.metrics = newMetrics(s.logFailed)
	if s.env == nil {
		s.env = env.OS()
	}
	s.o.Host.Machines = map[string]machine.Kind{"kv": kv.Kind()}
	s.o.Host.Observer, s.o.Host.Logger = s.metrics, o.Logger
	s.o.Host.Insecure = o.Insecure || s.o.Host.Insecure
	if s.host, err = lockstep.Open(ctx, s.o.Host); err != nil {
		_ = listener.Close()
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.group = s.host.Group(keysGroup)
	hostStatus := s.host.Status
	s.metrics.status.Store(&hostStatus)
	s.etcd = etcdapi.New(etcdapi.Options{
		Group: s.group, Identity: s.identity, Status: s.protocolStatus, Members: s.members,
		Remove: s.removeMember, Promote: s.promoteMember,
		Env: s.env, Logger: o.Logger, ProgressInterval: o.WatchProgress,
		Outcome: s.metrics.proposed, Read: s.metrics.read,
	})
	s.split = newSplitter(listener, secret, s.env)
	s.rpc = s.etcd.GRPC()
	s.web = &http.Server{Handler: s.handler(), ReadHeaderTimeout: sniffTimeout, ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug)}
	s.run("clients", s.split.serve)
	s.run("grpc", func() { _ = s.rpc.Serve(s.split.rpc) })
	s.run("http", func() { _ = s.web.Serve(s.split.web) })
	s.run("found group", s.found)
	return s, nil
}

func (s *Server) run(name string, f func()) {
	s.tasks.Add(1)
	s.env.Run(name, func() {
		defer s.tasks.Done()
		f()
	})
}

// logFailed runs on the engine's turn: it does not wait.
func (s *Server) logFailed(why string) {
	select {
	case s.failed <- fmt.Errorf("%w: %s", lockstep.ErrLog, why):
	default:
	}
}

// Failed gives at most one error, once: an ErrLog, after which this host does nothing any more. What
// its disk holds is unknown until the directory is opened anew: Close, and start another process.
func (s *Server) Failed() <-chan error { return s.failed }

// found makes the group of keys once in the cluster's life, tells the others how clients reach this
// host, and says when it serves.
func (s *Server) found() {
	pause := s.env.NewWaiter()
	options := lockstep.GroupOptions{Machine: "kv", Settings: lockstep.Settings{MaxEntryBytes: maxEntryBytes}}
	text, err := json.Marshal(note{Name: s.o.Name, Endpoint: s.o.Endpoint, PID: s.env.Facts().PID, TLS: s.o.Cert != ""})
	if err != nil {
		panic(err) // strings and numbers have an encoding
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"vote", s.vote},
		{"wait for the group", func() error { _, err := s.host.Create(s.ctx, keysGroup, options); return err }},
		{"announce endpoint", func() error { return s.host.Announce(s.ctx, string(text)) }},
	}
	for _, step := range steps {
		for {
			err := step.do()
			if err == nil {
				break
			}
			if s.ctx.Err() != nil || errors.Is(err, lockstep.ErrClosed) {
				return
			}
			s.o.Logger.Warn(step.what, "err", err)
			_ = pause.Wait(s.ctx, s.env.Clock().Now()+time.Second)
		}
	}
	s.etcd.SetServing(true)
	s.o.Logger.Info("serving clients", "host", uint64(s.host.ID()), "endpoint", s.o.Endpoint)
}

// identity gives the ids of headers. Both are fixed once the host is founded.
func (s *Server) identity() (cluster, member uint64) {
	if m := s.member.Load(); m != 0 {
		return s.cluster.Load(), m
	}
	at := s.host.Status()
	id, err := hex.DecodeString(at.Cluster)
	if err != nil || len(id) < 8 || at.ID == 0 {
		return 0, 0
	}
	s.cluster.Store(binary.BigEndian.Uint64(id))
	s.member.Store(uint64(at.ID))
	return s.cluster.Load(), s.member.Load()
}

// diskAge is how old the word about the disk may be: it takes more asking than all else, and comes
// with every answer. Everything else is of this moment: no answer bears a term from before it.
const diskAge = 2 * time.Millisecond

// recentDisk is what the disk was not long ago.
type recentDisk struct {
	at   time.Duration
	full bool
}

func (s *Server) diskFull() bool {
	now := s.env.Clock().Now()
	if r := s.recent.Load(); r != nil && now-r.at < diskAge {
		return r.full
	}
	r := &recentDisk{now, s.host.Status().Disk == "full"}
	s.recent.Store(r)
	return r.full
}

func (s *Server) protocolStatus() etcdapi.Status {
	at := s.group.Status()
	out := etcdapi.Status{
		Term: at.Term, Leader: uint64(at.Leader), Commit: uint64(at.Commit), Applied: uint64(at.Applied),
		NoSpace: s.diskFull(),
	}
	if at.State != "serving" {
		out.Trouble = at.State + ": " + at.Why
	}
	for _, l := range at.Configuration.Learners {
		out.Learner = out.Learner || l == s.host.ID()
	}
	return out
}

// members are equal on every host: what each announced came through the log.
func (s *Server) members(ctx context.Context, linearizable bool) ([]etcdapi.Member, error) {
	peers := s.host.Peers()
	if linearizable {
		var err error
		if peers, err = s.host.CurrentPeers(ctx); err != nil {
			return nil, err
		}
	}
	var out []etcdapi.Member
	learners := s.group.Status().Configuration.Learners
	for _, p := range peers {
		m := etcdapi.Member{Learner: slices.Contains(learners, p.ID), ID: uint64(p.ID), PeerURLs: []string{"http://" + p.Addr}}
		if n, ok := parseNote(p.Note); ok {
			m.Name, m.ClientURLs = n.Name, []string{n.url()}
			if m.Name == "" {
				m.Name = strconv.FormatUint(m.ID, 10)
			}
		}
		out = append(out, m)
	}
	return out, nil
}

func parseNote(text string) (n note, ok bool) {
	err := json.Unmarshal([]byte(text), &n)
	return n, err == nil && n.Endpoint != ""
}

func (n note) url() string {
	if n.TLS {
		return "https://" + n.Endpoint
	}
	return "http://" + n.Endpoint
}

// Status is the answer of /status.
func (s *Server) Status() admin.Status {
	out := admin.Status{HostStatus: s.host.Status(), Endpoint: s.o.Endpoint, Version: s.o.Version, Peers: []admin.Peer{}}
	for _, p := range s.host.Peers() {
		n, _ := parseNote(p.Note)
		out.Peers = append(out.Peers, admin.Peer{ID: p.ID, Addr: p.Addr, Endpoint: n.Endpoint, PID: n.PID})
	}
	return out
}

// Endpoint is the address that it listens on for clients.
func (s *Server) Endpoint() string { return s.split.listener.Addr().String() }

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v3/", s.etcd.Gateway())
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.Handle("/", admin.Handler(admin.Options{
		Status: s.Status, Token: s.token, Decide: s.decide,
		Versions: map[string]string{
			"lockstep": s.o.Version, "etcdserver": etcdapi.Version, "etcdcluster": etcdapi.ClusterVersion, "storage": etcdapi.StorageVersion,
		},
		Checks: []admin.Check{
			{Name: "serializable_read", Run: s.answersAlone, Alive: s.alive},
			{Name: "linearizable_read", Run: func(ctx context.Context) error { return s.readable(ctx, lockstep.Linearizable) }},
			{Name: "data_corruption", Run: s.intact},
			{Name: "non_learner", Run: s.votes},
		},
	}))
	return mux
}

func (s *Server) readable(ctx context.Context, level lockstep.Level) error {
	v, _, err := s.group.View(ctx, lockstep.ReadOptions{Level: level})
	if why := s.host.Status().Why; why != "" && errors.Is(err, lockstep.ErrNoReplica) {
		return fmt.Errorf("%w: %s", lockstep.ErrNoReplica, why) // it waits for founders, or was removed
	}
	if err != nil {
		return err
	}
	return v.Close()
}

// answersAlone says whether this host answers reads that need no majority.
func (s *Server) answersAlone(ctx context.Context) error {
	err := s.readable(ctx, lockstep.Stale)
	if errors.Is(err, lockstep.ErrBusy) {
		return nil
	}
	return err
}

// alive passes over what a restart would only begin anew.
func (s *Server) alive(ctx context.Context) error {
	err := s.answersAlone(ctx)
	if errors.Is(err, lockstep.ErrRecovering) {
		return nil
	}
	return err
}

func (s *Server) intact(context.Context) error {
	if at := s.group.Status(); at.State == "quarantined" {
		return errors.New(at.Why)
	}
	return nil
}

func (s *Server) votes(context.Context) error {
	if s.protocolStatus().Learner {
		return errors.New("this host learns, and does not vote yet")
	}
	return nil
}

// Shutdown ends watches, lets open requests finish until ctx ends, hands leaderships over, and
// closes. Close ends at once. Both wait for all tasks, and may be called again.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Do(func() {
		s.etcd.SetServing(false)
		s.etcd.Close()
		s.cancel()
		drained := make(chan struct{})
		s.env.Run("drain grpc", func() {
			s.rpc.GracefulStop()
			close(drained)
		})
		_ = s.web.Shutdown(ctx) // what is left ends with Close below
		select {
		case <-drained:
		case <-ctx.Done():
		}
		s.rpc.Stop()
		<-drained
		s.closeErr = s.host.Shutdown(ctx)
		s.end()
	})
	return s.closeErr
}

// Close stops at once; see Shutdown.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.cancel()
		s.etcd.Close()
		s.rpc.Stop()
		s.closeErr = s.host.Close()
		s.end()
	})
	return s.closeErr
}

func (s *Server) end() {
	_ = s.web.Close()
	s.split.close()
	s.tasks.Wait()
}
