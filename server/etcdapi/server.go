package etcdapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/lockstep-rsm/lockstep/env"
)

// Options of a Server. Group, Identity, Status, Members and Env are required.
type Options struct {
	Group    Group
	Identity func() (cluster, member uint64) // ids in every header; 0 until founded
	Status   func() Status                   // never waits
	Members  func(ctx context.Context, linearizable bool) ([]Member, error)
	Remove   func(ctx context.Context, id uint64) error // takes a member out; ErrNoMember. nil: cannot
	Promote  func(ctx context.Context, id uint64) error // makes a learner a voter; ErrNoMember, ErrNotLearner. nil: cannot
	Env      env.Env
	Logger   *slog.Logger                             // nil: slog.Default()
	Outcome  func(outcome string, took time.Duration) // told about each proposal: committed, refused, not_committed, unknown. nil: nobody
	Read     func(level string, took time.Duration)   // told about each read: linearizable, stale. nil: nobody

	MaxRequestBytes  int           // longest request. Zero: 1.5 MiB
	RequestTimeout   time.Duration // of a request whose client sets no shorter one. Zero: 7 s
	ProgressInterval time.Duration // between progress notifications. Zero: 10 min; at least 100 ms
	LeaderTimeout    time.Duration // without a leader, after which streams with "hasleader" end. Zero: 1.5 s
	WatchWindowBytes int           // of recent events kept for all watchers. Zero: 16 MiB
}

const (
	defaultMaxRequestBytes = 3 << 19
	requestOverheadBytes   = 512 << 10
	minProgressInterval    = 100 * time.Millisecond
)

// Server is the etcd v3 API of one host. Its methods are safe for concurrent use.
type Server struct {
	o      Options
	log    *slog.Logger
	hub    *hub
	health *health.Server
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	ended  chan struct{} // closed when the hub's task has returned
	closed atomic.Bool
}

// New makes a Server and starts its hub. Close ends it.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxRequestBytes == 0 {
		o.MaxRequestBytes = defaultMaxRequestBytes
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 7 * time.Second
	}
	if o.ProgressInterval == 0 {
		o.ProgressInterval = 10 * time.Minute
	}
	o.ProgressInterval = max(o.ProgressInterval, minProgressInterval)
	if o.LeaderTimeout == 0 {
		o.LeaderTimeout = 1500 * time.Millisecond
	}
	if o.WatchWindowBytes == 0 {
		o.WatchWindowBytes = 16 << 20
	}
	if o.Outcome == nil {
		o.Outcome = func(string, time.Duration) {}
	}
	if o.Read == nil {
		o.Read = func(string, time.Duration) {}
	}
	s := &Server{o: o, log: o.Logger, hub: newHub(o.Group, o.WatchWindowBytes), health: health.NewServer(), ended: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	o.Env.Run("watch hub", func() {
		defer close(s.ended)
		s.hub.run(s.ctx, o.Env, s.log)
	})
	return s
}

// Close ends all watches and waits for the hub. It is idempotent.
func (s *Server) Close() {
	if s.closed.CompareAndSwap(false, true) {
		s.health.Shutdown()
		s.cancel()
	}
	<-s.ended
}

// SetServing is what the gRPC health service answers from now on. It begins as not serving.
func (s *Server) SetServing(serving bool) {
	state := healthpb.HealthCheckResponse_NOT_SERVING
	if serving {
		state = healthpb.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", state)
}

// GRPC makes a gRPC server with all services registered. The caller serves and stops it.
func (s *Server) GRPC(extra ...grpc.ServerOption) *grpc.Server {
	opts := append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(s.o.MaxRequestBytes + requestOverheadBytes),
		grpc.MaxSendMsgSize(maxSendBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Hour, Timeout: 20 * time.Second}),
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
	}, extra...)
	g := grpc.NewServer(opts...)
	pb.RegisterKVServer(g, &keyValues{Server: s})
	pb.RegisterWatchServer(g, &watches{Server: s})
	pb.RegisterClusterServer(g, &cluster{Server: s})
	pb.RegisterMaintenanceServer(g, &maintenance{Server: s})
	pb.RegisterLeaseServer(g, leases{})
	pb.RegisterAuthServer(g, &auth{Server: s})
	healthpb.RegisterHealthServer(g, s.health)
	reflection.Register(g)
	return g
}

const (
	maxSendBytes = 1<<31 - 1
	maxStreams   = 1<<32 - 1
)

// Gateway is the JSON form of the API, for all paths below /v3/.
func (s *Server) Gateway() http.Handler { return newGateway(s) }
