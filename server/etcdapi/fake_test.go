package etcdapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeGroup applies commands at once to a machine of its own.
type fakeGroup struct {
	mu      sync.Mutex
	m       machine.StateMachine
	index   machine.Index
	applied chan struct{} // closed and replaced at each command
	fail    error         // of the next proposals and linearizable views
	hang    bool          // they wait for their context instead
	starts  bool          // it has no state of its own yet
	views   atomic.Int64
}

func newFakeGroup(t testing.TB) *fakeGroup {
	m, err := kv.Kind().New(&machine.Place{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &fakeGroup{m: m, applied: make(chan struct{})}
}

func (g *fakeGroup) Propose(ctx context.Context, cmd []byte) (lockstep.Result, error) {
	if err := g.trouble(ctx); err != nil {
		return lockstep.Result{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var out machine.Results
	if err := g.apply(&out, cmd); err != nil {
		return lockstep.Result{}, err
	}
	data, no := out.At(0)
	if no != nil {
		return lockstep.Result{}, no
	}
	return lockstep.Result{Index: g.index, Data: data}, nil
}

// apply executes commands as one batch. The lock is held.
func (g *fakeGroup) apply(out *machine.Results, data ...[]byte) error {
	cmds := make([]machine.Command, len(data))
	for i := range data {
		g.index++
		cmds[i] = machine.Command{Data: data[i], Index: g.index, Time: machine.Time(g.index)}
	}
	if err := g.m.Apply(cmds, out); err != nil {
		return err
	}
	close(g.applied)
	g.applied = make(chan struct{})
	return nil
}

// batch executes operations at once, as a replica does with what it was behind by.
func (g *fakeGroup) batch(t *testing.T, ops ...kv.Op) {
	t.Helper()
	data := make([][]byte, len(ops))
	for i := range ops {
		var err error
		if data[i], err = ops[i].AppendBinary(nil); err != nil {
			t.Fatal(err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var out machine.Results
	if err := g.apply(&out, data...); err != nil {
		t.Fatal(err)
	}
}

func (g *fakeGroup) trouble(ctx context.Context) error {
	g.mu.Lock()
	fail, hang := g.fail, g.hang
	g.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return fail
}

func (g *fakeGroup) View(ctx context.Context, o lockstep.ReadOptions) (machine.View, machine.Index, error) {
	if o.Level == lockstep.Linearizable {
		if err := g.trouble(ctx); err != nil {
			return nil, 0, err
		}
	}
	g.mu.Lock()
	starts := g.starts
	g.mu.Unlock()
	if o.Level == lockstep.Stale && starts {
		return nil, 0, &lockstep.Error{Op: "View", Outcome: lockstep.NotCommitted, Err: fmt.Errorf("%w: 4 entries are unknown", lockstep.ErrRecovering)}
	}
	if after := o.After; after > 0 {
		if _, err := g.Wait(ctx, after-1); err != nil {
			return nil, 0, err
		}
	}
	g.views.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.m.View(), g.index, nil
}

func (g *fakeGroup) Wait(ctx context.Context, after machine.Index) (machine.Index, error) {
	for {
		g.mu.Lock()
		index, applied := g.index, g.applied
		g.mu.Unlock()
		if index > after {
			return index, nil
		}
		select {
		case <-applied:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (g *fakeGroup) breakDown(err error, hang bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail, g.hang = err, hang
}

// rig is a Server over a fake group, and a connection to it.
type rig struct {
	*Server
	group  *fakeGroup
	status atomic.Pointer[Status]
	conn   *grpc.ClientConn
	kv     pb.KVClient
	clock  *fakeClock
}

const (
	testCluster = 0xc1
	testMember  = 0x01
)

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{group: newFakeGroup(t), clock: &fakeClock{}}
	r.status.Store(&Status{Term: 7, Leader: testMember, Commit: 9, Applied: 8})
	o := Options{
		Group: r.group, Identity: func() (uint64, uint64) { return testCluster, testMember },
		Status: func() Status { return *r.status.Load() },
		Members: func(context.Context, bool) ([]Member, error) {
			return []Member{{ID: 1, Name: "1", PeerURLs: []string{"http://127.0.0.1:2380"}, ClientURLs: []string{"http://127.0.0.1:2379"}}}, nil
		},
		Env:    testEnv{env.OS(), r.clock},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	r.Server = New(o)
	listener := bufconn.Listen(1 << 16)
	g := r.GRPC()
	go g.Serve(listener)
	conn, err := grpc.NewClient("passthrough:///fake", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxSendBytes)), grpc.WithInitialWindowSize(1<<16), grpc.WithInitialConnWindowSize(1<<16))
	if err != nil {
		t.Fatal(err)
	}
	r.conn, r.kv = conn, pb.NewKVClient(conn)
	t.Cleanup(func() {
		_ = conn.Close()
		r.Close()
		g.Stop()
		_ = listener.Close()
	})
	return r
}

// testEnv is the real world with a clock that tests set.
type testEnv struct {
	env.Env
	clock *fakeClock
}

func (e testEnv) Clock() env.Clock { return e.clock }

// fakeClock fires its timers when Advance says so.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Duration
	timers []*fakeTimer
}

type fakeTimer struct {
	clock *fakeClock
	at    time.Duration
	f     func()
	live  bool
}

func (c *fakeClock) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Wall() time.Time { return time.Unix(0, 0).Add(c.Now()) }

func (c *fakeClock) AfterFunc(d time.Duration, f func()) env.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &fakeTimer{clock: c, at: c.now + d, f: f, live: true}
	c.timers = append(c.timers, t)
	return t
}

func (t *fakeTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	was := t.live
	t.live = false
	return was
}

func (t *fakeTimer) Reset(d time.Duration) {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.at, t.live = t.clock.now+d, true
}

// advance moves the clock and fires what is due.
func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now += d
	var due []func()
	for _, t := range c.timers {
		if t.live && t.at <= c.now {
			t.live = false
			due = append(due, t.f)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}

// pending waits until n timers are set.
func (c *fakeClock) pending(t testing.TB, n int) {
	t.Helper()
	eventually(t, "timers", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		live := 0
		for _, timer := range c.timers {
			if timer.live {
				live++
			}
		}
		return live >= n
	})
}

// eventually waits for a condition, at most ten seconds.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("wait for %s: it did not come about within 10 s", what)
		}
	}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (r *rig) put(t testing.TB, key, value string) int64 {
	t.Helper()
	p, err := r.kv.Put(testContext(t), &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	if err != nil {
		t.Fatal(err)
	}
	return p.Header.Revision
}
