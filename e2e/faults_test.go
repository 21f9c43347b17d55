package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A siege does to a cluster in a network what its seed draws: one kind of fault after another, each kind once
// before any comes again.
type siege struct {
	t       testing.TB
	net     *network
	outside *place // where clients are that are beside no replica
	c       *trio  // who is of the cluster now
	callers *callers
	rng     *rand.Rand
	kinds   []kind

	last    string // fault that was begun
	failed  int    // times in which a put failed that should not
	counts  map[string]int
	slowest time.Duration // from the end of a fault to a write
	total   time.Duration // of all of these
	next    int           // number of the next replica
}

// A kind of fault begins, says what it has done, and is over when end has been called.
type kind struct {
	name  string
	begin func(s *siege) (what string, end func())
}

// kinds are all that this machine can do to processes and to their network.
var kinds = []kind{
	{"minority cut off", func(s *siege) (string, func()) {
		a, b := s.split()
		return s.cut(names(a), apart(placesOf(a), s.rest(b), false)...)
	}},
	{"minority cut off by resets", func(s *siege) (string, func()) {
		a, b := s.split()
		return s.cut(names(a), apart(placesOf(a), s.rest(b), true)...)
	}},
	{"minority is not heard", func(s *siege) (string, func()) {
		a, b := s.split()
		return s.cut(names(a), cut{from: placesOf(a), to: s.rest(b)})
	}},
	{"minority does not hear", func(s *siege) (string, func()) {
		a, b := s.split()
		return s.cut(names(a), cut{from: s.rest(b), to: placesOf(a)})
	}},
	{"leader cut off", func(s *siege) (string, func()) {
		l := s.leader()
		return s.cut(l.name, apart(placesOf([]*replica{l}), s.rest(s.c.others(l)), false)...)
	}},
	{"leader cut off by resets", func(s *siege) (string, func()) {
		l := s.leader()
		return s.cut(l.name, apart(placesOf([]*replica{l}), s.rest(s.c.others(l)), true)...)
	}},
	{"leader is not heard", func(s *siege) (string, func()) {
		l := s.leader()
		return s.cut(l.name, cut{from: placesOf([]*replica{l}), to: s.rest(s.c.others(l))})
	}},
	{"leader does not hear", func(s *siege) (string, func()) {
		l := s.leader()
		return s.cut(l.name, cut{from: s.rest(s.c.others(l)), to: placesOf([]*replica{l})})
	}},
	{"link down", func(s *siege) (string, func()) {
		a, b := s.pair()
		return s.cut(a.name+" and "+b.name, apart(placesOf([]*replica{a}), placesOf([]*replica{b}), false)...)
	}},
	{"link down, resets", func(s *siege) (string, func()) {
		a, b := s.pair()
		return s.cut(a.name+" and "+b.name, apart(placesOf([]*replica{a}), placesOf([]*replica{b}), true)...)
	}},
	{"link down one way", func(s *siege) (string, func()) {
		a, b := s.pair()
		return s.cut(a.name+" to "+b.name, cut{from: placesOf([]*replica{a}), to: placesOf([]*replica{b})})
	}},
	{"link flaps", flap},
	{"two sides, one between", bridge},
	{"chain", chain},
	{"nobody hears anybody", func(s *siege) (string, func()) {
		var cuts []cut
		for _, r := range s.c.replicas {
			cuts = append(cuts, cut{from: placesOf(s.c.others(r)), to: placesOf([]*replica{r})})
		}
		return s.cut("all", cuts...)
	}},
	{"leader's port for hosts", func(s *siege) (string, func()) { return s.port(s.leader(), hostPort, false) }},
	{"a port for hosts, resets", func(s *siege) (string, func()) { return s.port(s.any(), hostPort, true) }},
	{"leader's port for clients", func(s *siege) (string, func()) { return s.port(s.leader(), clientPort, s.rng.IntN(2) == 0) }},
	{"leader stopped", func(s *siege) (string, func()) { return s.pause(s.leader()) }},
	{"minority stopped", func(s *siege) (string, func()) { a, _ := s.split(); return s.pause(a...) }},
	{"leader killed", func(s *siege) (string, func()) { return s.kill(s.leader()) }},
	{"minority killed", func(s *siege) (string, func()) { a, _ := s.split(); return s.kill(a...) }},
	{"all killed", func(s *siege) (string, func()) { return s.kill(s.c.replicas...) }},
	{"rolling restart", roll},
}

// placesOf are the places of replicas.
func placesOf(list []*replica) (p []*place) {
	for _, r := range list {
		p = append(p, r.at)
	}
	return p
}

func names(list []*replica) string {
	var s []string
	for _, r := range list {
		s = append(s, r.name)
	}
	return strings.Join(s, ", ")
}

// rest are the places of these replicas, and of the clients that are with them.
func (s *siege) rest(list []*replica) []*place { return append(placesOf(list), s.outside) }

func (s *siege) any() *replica { return s.c.replicas[s.rng.IntN(len(s.c.replicas))] }

func (s *siege) shuffled() []*replica {
	list := append([]*replica(nil), s.c.replicas...)
	s.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// split draws a minority, which is not empty.
func (s *siege) split() (minority, others []*replica) {
	list := s.shuffled()
	n := 1 + s.rng.IntN((len(list)-1)/2)
	return list[:n], list[n:]
}

func (s *siege) pair() (a, b *replica) {
	list := s.shuffled()
	return list[0], list[1]
}

// leader waits for one; any will do if there is none.
func (s *siege) leader() *replica {
	var leader *replica
	_, err := poll(s.t.Context(), 5*time.Second, func(ctx context.Context) error {
		if leader = s.c.leader(ctx); leader == nil {
			return fmt.Errorf("nobody leads")
		}
		return nil
	})
	if err != nil {
		return s.any()
	}
	return leader
}

// cut takes the network apart until end.
func (s *siege) cut(what string, cuts ...cut) (string, func()) {
	s.apply(cuts...)
	return what, func() { s.apply() }
}

func (s *siege) apply(cuts ...cut) {
	if err := s.net.apply(cuts...); err != nil {
		s.t.Fatal(err)
	}
}

// port cuts one port of a replica off from everybody.
func (s *siege) port(r *replica, port int, reset bool) (string, func()) {
	others, self := s.rest(s.c.others(r)), placesOf([]*replica{r})
	return s.cut(r.name, cut{from: others, to: self, port: port, reset: reset}, cut{from: self, to: others, port: port, reset: reset})
}

func (s *siege) pause(list ...*replica) (string, func()) {
	for _, r := range list {
		r.pause(s.t)
	}
	return names(list), func() {
		for _, r := range list {
			r.resume(s.t)
		}
	}
}

func (s *siege) kill(list ...*replica) (string, func()) {
	for _, r := range list { // all at one moment
		if !r.process.alive() {
			s.t.Fatalf("replica %s has ended by itself: %v", r.name, r.process.err)
		}
		_ = r.process.cmd.Process.Kill()
	}
	for _, r := range list {
		r.process.end()
		r.process = nil
	}
	return names(list), func() {
		for _, r := range list {
			r.start(s.t)
		}
	}
}

// flap takes a link down and up, eight times.
func flap(s *siege) (string, func()) {
	a, b := s.pair()
	for range 8 {
		s.apply(apart(placesOf([]*replica{a}), placesOf([]*replica{b}), s.rng.IntN(2) == 0)...)
		pass(s.t.Context(), time.Duration(s.rng.IntN(150))*time.Millisecond)
		s.apply()
		pass(s.t.Context(), time.Duration(s.rng.IntN(50))*time.Millisecond)
	}
	return a.name + " and " + b.name, func() {}
}

// bridge lets two sides hear one replica each, and not one another.
func bridge(s *siege) (string, func()) {
	list := s.shuffled()
	middle, half := list[0], (len(list)-1)/2
	left, right := list[1:1+half], list[1+half:]
	return s.cut(names(left)+" | "+middle.name+" | "+names(right), apart(placesOf(left), placesOf(right), false)...)
}

// chain lets each replica hear its two neighbours in a row.
func chain(s *siege) (string, func()) {
	list := s.shuffled()
	var cuts []cut
	for i := range list {
		if i+2 < len(list) {
			cuts = append(cuts, apart(placesOf(list[i:i+1]), placesOf(list[i+2:]), false)...)
		}
	}
	return s.cut(names(list), cuts...)
}

// roll stops each replica as an operator does, and starts it again.
func roll(s *siege) (string, func()) {
	list := s.shuffled()
	for _, r := range list {
		r.signal(s.t, syscall.SIGTERM)
		if !r.process.wait(15 * time.Second) {
			s.t.Fatalf("replica %s does not end within 15 s of SIGTERM", r.name)
		}
		r.start(s.t)
		s.c.serving(15 * time.Second)
	}
	return names(list), func() {}
}

// healed is how long a write may take after a fault is over.
const healed = 10 * time.Second

// goes on until the time is over, and gives how many faults there were.
func (s *siege) goes(d time.Duration) (faults int) {
	deadline := time.Now().Add(d)
	for time.Now().Before(deadline) && !s.t.Failed() {
		if faults%len(s.kinds) == 0 {
			s.rng.Shuffle(len(s.kinds), func(i, j int) { s.kinds[i], s.kinds[j] = s.kinds[j], s.kinds[i] })
		}
		k := s.kinds[faults%len(s.kinds)]
		faults++
		began := time.Now()
		s.last = k.name
		what, end := k.begin(s)
		pass(s.t.Context(), 500*time.Millisecond+time.Duration(s.rng.IntN(2000))*time.Millisecond)
		lasted := time.Since(began)
		end()
		took := s.c.serving(healed)
		s.counts[k.name]++
		s.slowest, s.total = max(s.slowest, took), s.total+took
		s.t.Logf("%3d. %s: %s, for %v; a write %v after", faults, k.name, what, lasted.Round(time.Millisecond), took.Round(time.Millisecond))
		pass(s.t.Context(), time.Duration(s.rng.IntN(600))*time.Millisecond)
	}
	return faults
}
