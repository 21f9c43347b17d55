package lockstep_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/internal/freeport"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// trio is three hosts of one cluster on the loopback network.
type trio struct {
	t     *testing.T
	addrs []string
	dirs  []string
	hosts []*lockstep.Host

	fdatasync bool
}

func newTrio(t *testing.T) *trio {
	t.Helper()
	addrs, err := freeport.Addrs(3)
	if err != nil {
		t.Fatal(err)
	}
	c := &trio{t: t, addrs: addrs, hosts: make([]*lockstep.Host, 3)}
	for range 3 {
		c.dirs = append(c.dirs, t.TempDir())
	}
	t.Cleanup(func() {
		for i := range c.hosts {
			c.stop(i)
		}
	})
	return c
}

func (c *trio) start(i int) {
	c.t.Helper()
	h, err := lockstep.Open(context.Background(), c.options(i))
	if err != nil {
		c.t.Fatalf("open host %d: %v", i+1, err)
	}
	c.hosts[i] = h
}

func (c *trio) options(i int) lockstep.Options {
	return lockstep.Options{
		Dir: c.dirs[i], Addr: c.addrs[i], Founders: c.addrs, Check: true,
		Machines:        map[string]machine.Kind{"counter": counter.Machine.Kind()},
		WALSegmentBytes: 1 << 20, MaxWALBytes: 64 << 20, Fdatasync: c.fdatasync,
		Logger: slog.New(slog.NewTextHandler(testWriter{c.t}, nil)),
	}
}

func (c *trio) stop(i int) {
	if c.hosts[i] != nil {
		c.hosts[i].Close()
		c.hosts[i] = nil
	}
}

func (c *trio) group(ctx context.Context, i int) *lockstep.Group {
	c.t.Helper()
	g, err := c.hosts[i].Create(ctx, 1, lockstep.GroupOptions{Machine: "counter"})
	if err != nil {
		c.t.Fatalf("create on host %d: %v; %+v", i+1, err, c.hosts[i].Status())
	}
	return g
}

// leading creates group 1 with the named machine, and gives it as the leader's host has it.
func (c *trio) leading(ctx context.Context, name string) *lockstep.Group {
	c.t.Helper()
	for _, h := range c.hosts {
		if _, err := h.Create(ctx, 1, lockstep.GroupOptions{Machine: name}); err != nil {
			c.t.Fatal(err)
		}
	}
	for ctx.Err() == nil {
		for _, h := range c.hosts {
			if g := h.Group(1); g.Status().Role == "leader" {
				return g
			}
		}
	}
	c.t.Fatal("nobody leads")
	return nil
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

var _ io.Writer = testWriter{}

func TestThreeHostsCountTogetherAndSurviveTheirLeader(t *testing.T) {
	for _, fdatasync := range []bool{false, true} {
		t.Run(fmt.Sprintf("fdatasync %v", fdatasync), func(t *testing.T) { countTogether(t, fdatasync) })
	}
}

// countTogether lets the hosts write their logs with fdatasync, or not; at the last start the other way.
func countTogether(t *testing.T, fdatasync bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c := newTrio(t)
	c.fdatasync = fdatasync
	for i := range 3 {
		c.start(i)
	}
	want := int64(0)
	add := func(i int) {
		t.Helper()
		n, err := lockstep.Typed(c.group(ctx, i), counter.Machine).Propose(ctx, counter.Add{N: 1})
		if want++; err != nil || n != want {
			t.Fatalf("propose on host %d: %d, %v; want %d", i+1, n, err, want)
		}
	}
	for range 10 {
		for i := range 3 {
			add(i)
		}
	}
	leader := int(c.group(ctx, 0).Status().Leader) - 1
	c.stop(leader)
	survivor := (leader + 1) % 3
	add(survivor)
	c.start(leader)
	add(leader)
	for i := range 3 {
		n, err := lockstep.Typed(c.group(ctx, i), counter.Machine).Read(ctx, counter.Get{}, lockstep.ReadOptions{})
		if err != nil || n != want {
			t.Errorf("read on host %d: %d, %v; want %d", i+1, n, err, want)
		}
	}
	for i := range 3 {
		c.stop(i)
	}
	c.fdatasync = !fdatasync
	for i := range 3 {
		c.start(i)
	}
	add(1)
}

func TestHostWithoutNetworkServesAlone(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	opts := lockstep.Options{
		Dir: t.TempDir(), Machines: map[string]machine.Kind{"counter": counter.Machine.Kind()}, Check: true,
		WALSegmentBytes: 1 << 20, MaxWALBytes: 64 << 20,
	}
	for round := range 3 {
		h, err := lockstep.Open(ctx, opts)
		if err != nil {
			t.Fatal(err)
		}
		g, err := h.Create(ctx, 7, lockstep.GroupOptions{Machine: "counter"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			n, err := lockstep.Typed(g, counter.Machine).Propose(ctx, counter.Add{N: 2})
			if want := int64(round*10 + 2*i + 2); err != nil || n != want {
				t.Fatalf("propose: %d, %v; want %d", n, err, want)
			}
		}
		if _, err := lockstep.Typed(g, counter.Machine).Propose(ctx, counter.Add{N: -1000}); !errors.Is(err, counter.ErrNegative) || lockstep.OutcomeOf(err) != lockstep.Committed {
			t.Fatalf("propose below zero: %v", err)
		}
		if _, err := lockstep.Open(ctx, opts); !errors.Is(err, lockstep.ErrDir) {
			t.Fatalf("second open of one directory: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Propose(ctx, []byte("x")); !errors.Is(err, lockstep.ErrClosed) {
			t.Fatalf("propose after close: %v", err)
		}
	}
}

func TestOpenRefusesImpossibleOptions(t *testing.T) {
	kinds := map[string]machine.Kind{"counter": counter.Machine.Kind()}
	for _, c := range []struct {
		field string
		opts  lockstep.Options
	}{
		{"Dir", lockstep.Options{Machines: kinds}},
		{"Machines", lockstep.Options{Dir: t.TempDir()}},
		{"ElectionTimeout", lockstep.Options{Dir: t.TempDir(), Machines: kinds, ElectionTimeout: time.Millisecond}},
		{"Founders", lockstep.Options{Dir: t.TempDir(), Machines: kinds, Addr: "127.0.0.1:1"}},
		{"Founders", lockstep.Options{Dir: t.TempDir(), Machines: kinds, Addr: "127.0.0.1:1", Founders: []string{"127.0.0.1:2"}}},
		{"TLS", lockstep.Options{Dir: t.TempDir(), Machines: kinds, Addr: "10.1.2.3:7000", Founders: []string{"10.1.2.3:7000"}}},
	} {
		h, err := lockstep.Open(context.Background(), c.opts)
		if err == nil {
			h.Close()
		}
		if !errors.Is(err, lockstep.ErrOptions) || !strings.Contains(fmt.Sprint(err), c.field) {
			t.Errorf("open without a good %s: %v", c.field, err)
		}
	}
}
