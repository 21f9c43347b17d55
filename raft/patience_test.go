package raft

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// slow is a world with links and disks that take their time.
type slow struct {
	*world
	g       *rand.Rand
	trip    func(from, to ReplicaID) int64 // one way
	sync    func(id ReplicaID) int64
	mail    []later
	last    map[[2]ReplicaID]Instant
	syncing map[ReplicaID]Instant // until then the oldest save is written
	led     map[Term]ReplicaID
	states  int // of a timeout above the shorter bound
}

type later struct {
	at Instant
	m  Message
}

func newSlow(seed uint64, maxTimeout int64) *slow {
	o := testOptions()
	o.MaxElectionTimeout, o.Seed = maxTimeout, seed
	s := &slow{
		world: newWorld(3, Configuration{Voters: members(1, 2, 3), NextReplica: 4}, o), g: rand.New(rand.NewPCG(seed, 3)),
		trip: func(ReplicaID, ReplicaID) int64 { return 1_000_000 }, sync: func(ReplicaID) int64 { return 1_000_000 },
		syncing: map[ReplicaID]Instant{}, last: map[[2]ReplicaID]Instant{}, led: map[Term]ReplicaID{},
	}
	s.seen = func(h *host, rd *Ready) {
		for _, e := range rd.Events {
			if e.Kind == evLeaderElected {
				s.led[e.Term] = h.self.Replica
			}
		}
	}
	return s
}

// run lets the time pass, with a command now and then.
func (s *slow) run(d int64) {
	for end := s.now + Instant(d); s.now < end; s.clock(5_000_000) {
		for _, m := range s.net {
			if m.Timeout > testElection {
				s.states++
			}
			link := [2]ReplicaID{m.From, m.To}
			s.last[link] = max(s.last[link], s.now+Instant(s.trip(m.From, m.To))) // links deliver in order
			s.mail = append(s.mail, later{s.last[link], m})
		}
		s.net = nil
		kept := s.mail[:0:0]
		for _, l := range s.mail {
			if l.at > s.now {
				kept = append(kept, l)
				continue
			}
			s.deliver(l.m)
		}
		s.mail = kept
		for _, h := range s.hosts {
			id := h.self.Replica
			if until, busy := s.syncing[id]; busy && s.now >= until {
				delete(s.syncing, id)
				s.world.sync(h, true)
			}
			if _, busy := s.syncing[id]; !busy && len(h.queue) > 0 {
				s.syncing[id] = s.now + Instant(s.sync(id))
			}
			s.execute(h, len(h.apply))
		}
		if h := s.leader(); h != nil && h.r.log.last() < h.r.commit+2 {
			s.step(h, Input{Kind: InPropose, Proposal: Proposal{Kind: KindEmpty, Payload: emptyPayload}})
		}
	}
}

// Where a round trip, or a sync, takes longer than the shorter bound of the timeout, a leader is elected, commits and
// stays; with that bound alone nobody is, or none stays (R20).
func TestTimeoutsFollowSlowLinksAndDisks(t *testing.T) {
	seeds := 4
	if testing.Short() {
		seeds = 1
	}
	for name, spoil := range map[string]func(s *slow){
		"links": func(s *slow) {
			s.trip = func(ReplicaID, ReplicaID) int64 { return 200_000_000 + s.g.Int64N(80_000_000) }
		},
		"disks": func(s *slow) {
			s.sync = func(ReplicaID) int64 { return 300_000_000 + s.g.Int64N(150_000_000) }
		},
		"both": func(s *slow) {
			s.trip = func(ReplicaID, ReplicaID) int64 { return 120_000_000 + s.g.Int64N(50_000_000) }
			s.sync = func(ReplicaID) int64 { return 120_000_000 + s.g.Int64N(50_000_000) }
		},
	} {
		for _, adapts := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, adapting %v", name, adapts), func(t *testing.T) {
				bound := int64(testElection)
				if adapts {
					bound = 12 * testElection
				}
				terms, commits := 0, Index(0)
				for seed := range uint64(seeds) {
					s := newSlow(seed, bound)
					spoil(s)
					s.run(10_000_000_000)
					before := len(s.led)
					h := s.leader()
					var from Index
					if h != nil {
						from = h.r.commit
					}
					s.run(40_000_000_000)
					terms += len(s.led) - before
					if now := s.leader(); now != nil {
						commits += now.r.commit - from
					}
				}
				if stable := terms == 0 && commits > Index(10*seeds); stable != adapts {
					t.Errorf("in 40 seconds of each of %d seeds, after 10, %d leaders were elected, and %d entries committed", seeds, terms, commits)
				}
			})
		}
	}
}

// Where links and disks are fast the timeout is the shorter bound: nobody is told anything else, and failover takes as
// long as ever. It is so again soon after they were slow, and a disk that stands still makes nobody wait.
func TestTimeoutIsTheShorterBoundWhereAllIsFast(t *testing.T) {
	s := newSlow(1, 8*testElection)
	s.run(10_000_000_000)
	if s.states > 0 || len(s.led) != 1 {
		t.Errorf("%d heartbeats told of longer timeouts, %d leaders were elected", s.states, len(s.led))
	}
	s.sync = func(ReplicaID) int64 { return 100_000_000 }
	s.run(5_000_000_000)
	if s.states == 0 || len(s.led) != 1 {
		t.Errorf("with slow disks no heartbeat told of a longer timeout; %d leaders were elected", len(s.led))
	}
	lead := s.leader()
	s.sync = func(id ReplicaID) int64 {
		if id == lead.self.Replica {
			return 1 << 60
		}
		return 1_000_000
	}
	s.run(12 * testElection) // what is measured, of its own disk too, is forgotten after two windows
	s.step(lead, Input{Kind: InStorageStuck})
	s.run(40 * testElection)
	for _, h := range s.hosts {
		if got := h.r.Timeout(); h != lead && got != testElection {
			t.Errorf("replica %d goes by a timeout of %d long after all is fast again", h.self.Replica, got)
		}
	}
	next := s.leader()
	if next == lead || next == nil {
		t.Fatal("nobody has taken the place of the leader whose disk stands still")
	}
	s.crash(next)
	s.crash(lead)
	s.start(lead)
	clear(s.syncing)
	s.sync = func(ReplicaID) int64 { return 1_000_000 }
	s.run(3 * testElection)
	if h := s.leader(); h == nil {
		t.Error("nobody leads three election timeouts after a crash")
	}
}

// What a leader says binds nobody beyond its own bounds.
func TestStatedTimeoutIsBounded(t *testing.T) {
	s := newSlow(1, 4*testElection)
	s.run(2_000_000_000)
	lead := s.leader()
	for _, h := range s.hosts {
		if h == lead {
			continue
		}
		for _, c := range []struct{ stated, want int64 }{{0, testElection}, {1, testElection}, {3 * testElection, 3 * testElection}, {1 << 62, 4 * testElection}} {
			m := h.r.to(MsgHeartbeat, &h.self)
			m.Group, m.Birth, m.From, m.FromIncarnation = testGroup, testBirth, lead.self.Replica, lead.self.Incarnation
			m.Round, m.Timeout = 1<<40, c.stated
			s.deliver(m)
			if got := h.r.Timeout(); got != c.want {
				t.Errorf("told to go by %d, replica %d goes by %d, want %d", c.stated, h.self.Replica, got, c.want)
			}
		}
	}
}

// What was measured is forgotten after two windows, be anything measured since or not.
func TestPeakForgets(t *testing.T) {
	const window = 100
	var p peak
	p.add(1000, 7, window)
	p.add(1000, 8, window)
	for at, want := range map[Instant]int64{1000: 7, 1099: 7, 1150: 7, 1199: 7, 1200: 0, 5000: 0} {
		if got := p.longest(at, window); got != want {
			t.Errorf("at %d the longest is %d, want %d", at, got, want)
		}
	}
	p.add(1110, 3, window)
	p.add(1115, 3, window)
	p.add(1220, 2, window)
	if got := p.longest(1220, window); got != 3 {
		t.Errorf("the longest of two windows is %d, want 3", got)
	}
}

// What is long once, between others that are short, or first, was an outage: it counts for nothing. Twice in a row it is
// how it is.
func TestLongOnceIsNotLong(t *testing.T) {
	const window = 100
	var p peak
	for i, c := range []struct{ took, want int64 }{{90, 0}, {3, 3}, {2, 3}, {80, 3}, {4, 4}, {70, 4}, {60, 60}, {2, 60}} {
		p.add(Instant(1000+i), c.took, window)
		if got := p.longest(Instant(1000+i), window); got != c.want {
			t.Errorf("after %d, number %d, the longest is %d, want %d", c.took, i, got, c.want)
		}
	}
}

// A save that stood still, or waited for space, says nothing about how long one takes.
func TestSavesThatStoodStillAreNotMeasured(t *testing.T) {
	for name, kind := range map[string]InputKind{"stuck": InStorageStuck, "full": InStorageFull, "slow": InClock} {
		s := newSlow(1, 8*testElection)
		s.run(4_000_000_000)
		h := s.leader()
		for range 2 { // one alone tells nothing
			s.step(h, Input{Kind: InPropose, Proposal: Proposal{Kind: KindEmpty, Payload: emptyPayload}})
			s.now += testElection
			s.step(h, Input{Kind: kind})
			for len(h.queue) > 0 {
				s.world.sync(h, true)
			}
		}
		if got := h.r.patience.syncs.longest(s.now, h.r.window()); (got >= testElection) != (name == "slow") {
			t.Errorf("after a save that was %s for %d the longest sync is %d", name, testElection, got)
		}
	}
}
