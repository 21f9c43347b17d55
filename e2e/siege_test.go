package e2e

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// small lets logs be cut and snapshots be sent within a minute.
var small = []string{"--max-wal-bytes", "64MiB", "--wal-segment-bytes", "1MiB", "--snapshot-after-bytes", "2MiB"}

// startSiege starts n replicas in a network, each in a place of its own. Flags are of each.
func startSiege(t *testing.T, n int, flags ...string) *siege {
	t.Helper()
	program(t)
	s := &siege{t: t, net: newNetwork(t), c: &trio{t: t}, counts: map[string]int{}, next: n + 1}
	s.rng = rand.New(rand.NewPCG(*seed, 1))
	s.kinds = append(slices.Clone(kinds), kind{"host joins", come}, kind{"host is removed", leave}, kind{"host is replaced", takeOver})
	t.Logf("seed %d", *seed)
	s.outside = s.net.add()
	var founders []string
	var at []*place
	for range n {
		p := s.net.add()
		at, founders = append(at, p), append(founders, net.JoinHostPort(p.ip, strconv.Itoa(hostPort)))
	}
	for i, p := range at {
		s.c.replicas = append(s.c.replicas, replicaAt(t, p, strconv.Itoa(i+1), append([]string{"--founders", strings.Join(founders, ",")}, flags...)...))
	}
	t.Cleanup(s.c.stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last fault: %s", s.last)
		}
	})
	for _, r := range s.c.replicas {
		r.start(t)
	}
	s.c.serving(30 * time.Second)
	return s
}

// call lets clients call from outside, and from beside each of the first replicas.
func (s *siege) call(stale bool) {
	from := []*place{s.outside, s.outside, s.outside, s.outside, s.outside, s.outside}
	for _, r := range s.c.replicas {
		from = append(from, r.at, r.at, r.at)
	}
	s.callers = startCallers(*seed, stale, s.c.replicas, from...)
	s.t.Cleanup(s.callers.end)
}

// TestSiege cuts the network of a cluster apart in every way, stops and kills its processes, and changes its
// members meanwhile, while clients on all sides put, read, compare and delete: there is one order of their
// calls that explains all answers, and after each fault the cluster serves again within ten seconds.
func TestSiege(t *testing.T) {
	d := time.Minute
	if *long {
		d = 12 * time.Minute
	}
	s := startSiege(t, 3, small...)
	s.call(false)
	term := s.c.term()
	began := time.Now()
	faults := s.goes(d)
	lasted := time.Since(began)
	s.callers.end()
	s.settle()
	h := s.callers.h
	t.Logf("%d faults of %d kinds in %v; a write %v after each on average, %v at most", faults, len(s.counts), lasted.Round(time.Second), (s.total / time.Duration(max(1, faults))).Round(time.Millisecond), s.slowest.Round(time.Millisecond))
	t.Logf("%d calls answered, %d writes unknown, %d calls not done, %d tries without a connection; %d keys; %d terms passed", h.ok, h.unknown, h.never, s.callers.refused.Load(), len(h.keys()), s.c.term()-term)
	judging := time.Now()
	if err := h.judge(); err != nil {
		t.Error(err)
	}
	t.Logf("judged in %v", time.Since(judging).Round(time.Millisecond))
	if h.ok < int(d.Seconds())*100 {
		t.Errorf("%d calls were answered in %v: too few to tell anything", h.ok, d)
	}
}

// settle lets all be as it should, and checks that all replicas serve, hold what was acknowledged, and agree.
func (s *siege) settle() {
	s.t.Helper()
	for _, r := range s.c.replicas {
		within(s.t, 20*time.Second, "have replica "+r.name+" take a write", func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			return r.touch(ctx)
		})
	}
	conn := dial(s.t, s.c.replicas[0].client)
	within(s.t, 20*time.Second, "read all keys", func(context.Context) error { return s.callers.readAll(conn) })
	s.c.converge(20 * time.Second)
	newDigests().equal(s.t, s.c)
}

// TestSiegeBites lets clients read without asking the leader, and call that linearizable: the judge finds it.
func TestSiegeBites(t *testing.T) {
	s := startSiege(t, 3, small...)
	s.call(true)
	s.goes(8 * time.Second)
	s.callers.end()
	err := s.callers.h.judge()
	if err == nil {
		t.Fatalf("%d calls, among them reads of old states, were taken for linearizable", s.callers.h.ok)
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	t.Logf("found: %s", first)
}
