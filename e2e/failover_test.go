package e2e

import (
	"bufio"
	"context"
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// A loss takes the leader away, and gives a function that brings it back.
type loss struct {
	name   string
	rounds int           // with -long
	rest   time.Duration // before each of them. A replica that was slow to answer is given more time for some seconds
	bar    time.Duration // for 99 of 100, with -long; otherwise only that it takes less than lostFor
	begin  func(s *siege, leader *replica) (back func())
	after  bool // it counts from when begin returns: what begin does takes a while, and then takes hold at once
	whole  bool // counted is the longest put until the leader's process has ended
	lead   bool // counted is the time until another replica leads: puts may be answered without this one's disk
}

// lostFor is how long a leader's loss may take on a machine that does other things as well.
const lostFor = 10 * time.Second

// forgiven is for how long an election timeout follows what was measured: two windows of twice MaxElectionTimeout.
const forgiven = 8500 * time.Millisecond

var losses = []loss{
	{name: "killed", rounds: 50, bar: time.Second, begin: func(s *siege, l *replica) func() { _, back := s.kill(l); return back }},
	{name: "stopped", rounds: 12, rest: forgiven, bar: 1500 * time.Millisecond, begin: func(s *siege, l *replica) func() { _, back := s.pause(l); return back }},
	{name: "cut off", rounds: 12, rest: forgiven, bar: 1500 * time.Millisecond, after: true, begin: isolate},
	{name: "terminated", rounds: 30, bar: 50 * time.Millisecond, whole: true, begin: func(s *siege, l *replica) func() {
		l.signal(s.t, syscall.SIGTERM)
		return func() {
			if !l.process.wait(15 * time.Second) {
				s.t.Fatalf("replica %s does not end", l.name)
			}
			l.start(s.t)
		}
	}},
	{name: "disk hangs", rounds: 15, bar: 2 * time.Second, after: true, lead: true, begin: hang},
}

// isolate drops all that a replica sends to other places, and gets from them, from one moment on.
func isolate(s *siege, l *replica) func() {
	l.at.run(s.t, "table inet alone {\nchain in { type filter hook input priority 0; iifname eth0 drop; }\nchain out { type filter hook output priority 0; oifname eth0 drop; }\n}\n", "nft", "-f", "-")
	return func() { l.at.run(s.t, "", "nft", "delete", "table", "inet", "alone") }
}

// hang holds back each write and sync of a replica for longer than anybody waits.
func hang(s *siege, l *replica) func() {
	path, err := exec.LookPath("strace")
	if err != nil {
		s.t.Fatal("this test needs strace: install Debian's package of that name")
	}
	cmd := exec.Command(path, "-f", "-o", "/dev/null", "-e", "trace=pwrite64,fdatasync", "-e", "inject=pwrite64,fdatasync:delay_enter=60000000", "-p", strconv.Itoa(l.process.pid()))
	said, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := startProcess(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for attached := false; !attached; attached = strings.Contains(lines.Text(), "attached") {
		if !lines.Scan() {
			s.t.Fatal("strace cannot attach to the replica: run this test as root")
		}
	}
	go func() { // it must not block on what it says later
		for lines.Scan() {
		}
	}()
	return p.end
}

// TestFailover takes the leader away in every way, again and again, and measures from there to the first answer
// of another replica to a put that was sent after it; one is sent each 2 ms to each. A disk that hangs is measured
// until another replica leads, a leader that is terminated by the longest put meanwhile. With -long it does so often
// enough to tell the 99th percentile, on a machine that does nothing else.
func TestFailover(t *testing.T) {
	for _, l := range losses {
		t.Run(l.name, func(t *testing.T) {
			s := startSiege(t, 3)
			rounds, bar := 3, lostFor
			if *long {
				rounds, bar = l.rounds, l.bar
			}
			var took []time.Duration
			for range rounds {
				took = append(took, s.lose(l))
			}
			slices.Sort(took)
			p99 := took[(99*len(took)+99)/100-1]
			t.Logf("leader %s, %d times: median %v, p99 %v, most %v", l.name, len(took), took[len(took)/2].Round(time.Millisecond), p99.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
			if s.failed > 0 && *long {
				t.Errorf("puts at other replicas failed in %d of %d rounds", s.failed, len(took))
			}
			if p99 > bar {
				t.Errorf("the 99th percentile is %v, above %v", p99, bar)
			}
		})
	}
}

// lose is one round.
func (s *siege) lose(l loss) time.Duration {
	s.t.Helper()
	s.c.serving(healed)
	s.c.converge(20 * time.Second)
	leader := s.c.awaitLeader(healed)
	probes := s.probe(s.c.others(leader)...)
	defer probes.stop()
	rest := time.Second // some puts, and time in which all is as it should be
	if *long {
		rest = max(rest, l.rest)
	}
	pass(s.t.Context(), rest)
	probes.lost()
	back := l.begin(s, leader)
	if l.after {
		probes.lost()
	}
	var took time.Duration
	switch {
	case l.whole:
		if !leader.process.wait(15 * time.Second) {
			s.t.Fatalf("replica %s does not end", leader.name)
		}
		var failed error
		if took, failed = probes.longest(); failed != nil {
			s.failed++
			s.t.Logf("a put at another replica failed: %v", failed)
		}
	case l.lead:
		within(s.t, 30*time.Second, "have another replica lead", func(ctx context.Context) error {
			if now := (&trio{replicas: s.c.others(leader)}).leader(ctx); now == nil {
				return errors.New("none does")
			}
			took = time.Since(probes.at)
			return nil
		})
	default:
		within(s.t, 30*time.Second, "have a put answered by another replica", func(context.Context) (err error) {
			took, err = probes.first()
			return err
		})
	}
	back()
	return took
}

// probes are puts to some replicas, one each 2 ms.
type probes struct {
	ledger
	at     time.Time // of the loss
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *siege) probe(of ...*replica) *probes {
	ctx, cancel := context.WithCancel(s.t.Context())
	p := &probes{ledger: ledger{changed: make(chan struct{})}, cancel: cancel, done: make(chan struct{})}
	var clients []pb.KVClient
	for _, r := range of {
		clients = append(clients, pb.NewKVClient(dial(s.t, r.client)))
	}
	go func() {
		defer close(p.done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			for _, kv := range clients {
				go func() {
					began := time.Now()
					_, err := kv.Put(ctx, &pb.PutRequest{Key: []byte("probe"), Value: []byte("1")})
					p.add(entry{write: true, begin: began, end: time.Now(), err: err})
				}()
			}
		}
	}()
	return p
}

func (p *probes) stop() {
	p.cancel()
	<-p.done
}

// lost says that the leader goes now.
func (p *probes) lost() { p.at = time.Now() }

// first is how long after the loss the first put was answered that was sent since.
func (p *probes) first() (took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		if e.err == nil && e.begin.After(p.at) && (took == 0 || e.end.Sub(p.at) < took) {
			took = e.end.Sub(p.at)
		}
	}
	if took == 0 {
		return 0, errors.New("none was")
	}
	return took, nil
}

// longest is how long a put took that was sent since the loss, and the last error of those that failed.
func (p *probes) longest() (took time.Duration, failed error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		switch {
		case e.begin.Before(p.at):
		case e.err != nil:
			failed = e.err
		default:
			took = max(took, e.end.Sub(e.begin))
		}
	}
	return took, failed
}
