package raft

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// lessee is a group with leases, whose clocks drift, and whose leader is cut off, paused for a while or
// asked to hand over, again and again, while everybody reads by its lease, and every leader appends.
type lessee struct {
	t     *testing.T
	g     *rand.Rand
	w     *world
	o     *oracle
	token uint64

	echoes bool                  // what followers have answered goes on arriving at whom it was for
	last   map[ReplicaID]Message // that they answered
}

func newLessee(t *testing.T, seed uint64) *lessee {
	g := rand.New(rand.NewPCG(seed, 3))
	c := Configuration{Voters: members(1, 2, 3), NextReplica: 4}
	c.Settings.Lease, c.Settings.MaxDriftPPM = pick(g, []int64{400, 800})*1_000_000, 700_000
	opt := testOptions()
	opt.Seed, opt.Check = seed, false
	w := newWorld(3, c, opt)
	o := newOracle(t, w)
	o.committed[1] = w.hosts[0].disk.entries[0].Sum
	for i, h := range w.hosts { // 1.5 to 0.5: by the clock of one, that of the other lacks two seconds of three
		h.drift = []int64{-500_000, 500_000, pick(g, []int64{0, 500_000})}[i]
	}
	l := &lessee{t: t, g: g, w: w, o: o, last: map[ReplicaID]Message{}}
	w.lose = func(m *Message) bool {
		if m.Type == MsgHeartbeatReply {
			l.last[m.From] = *m
		}
		return false
	}
	return l
}

// echo delivers old answers once more: a leader that believes to be heard goes on leading. No lease leans on
// that it does not.
func (l *lessee) echo() {
	for id := range ReplicaID(3) {
		if m, ok := l.last[id+1]; ok {
			l.w.step(l.w.host(m.To), Input{Kind: InMessage, Message: &m})
		}
	}
}

// run lets d of the world's time pass.
func (l *lessee) run(d int64) {
	for end := l.w.now + Instant(d); l.w.now < end; l.w.clock(5_000_000) {
		l.w.drain()
		if l.echoes && l.g.IntN(10) == 0 {
			l.echo()
		}
		for _, h := range l.w.hosts {
			if h.r.role == Leader && l.g.IntN(4) == 0 && h.r.log.last() < h.r.commit+4 {
				l.w.step(h, Input{Kind: InPropose, Proposal: Proposal{Kind: KindEmpty, Payload: emptyPayload}})
			}
			if l.g.IntN(3) == 0 || h.r.role == Leader {
				l.read(h)
			}
		}
	}
}

func (l *lessee) read(h *host) {
	l.token++
	l.o.reads[l.token] = l.o.commit
	if h.r.role == Leader && h.r.leased() {
		l.o.count["leased"]++
		for _, other := range l.w.hosts {
			if other.r.role == Leader && other.r.hard.Term > h.r.hard.Term {
				l.o.count["leased while another leads"]++
			}
		}
	}
	l.w.step(h, Input{Kind: InRead, Token: l.token, Leased: true})
}

// trouble does something to the leader, and undoes it after a while.
func (l *lessee) trouble() {
	h := l.w.leader()
	if h == nil {
		l.run(100_000_000)
		return
	}
	l.w.drain()
	id := h.self.Replica
	switch l.g.IntN(5) {
	default: // cut off
		for _, other := range l.w.hosts {
			l.w.cut[[2]ReplicaID{id, other.self.Replica}] = true
			l.w.cut[[2]ReplicaID{other.self.Replica, id}] = true
		}
	case 2: // not heard by one; the others may go on without it
		l.w.cut[[2]ReplicaID{id, id%3 + 1}] = true
	case 3:
		l.w.step(h, Input{Kind: InTransfer})
	case 4: // it hands over, is cut off, and does not hear that another has begun
		l.w.step(h, Input{Kind: InTransfer})
		for _, m := range l.w.net {
			if m.Type == MsgTransfer {
				l.w.deliver(m)
			}
		}
		for _, other := range l.w.hosts {
			l.w.cut[[2]ReplicaID{other.self.Replica, id}] = true
		}
	}
	l.echoes = l.g.IntN(3) > 0
	l.run(l.g.Int64N(1_800_000_000))
	l.echoes = false
	clear(l.w.cut)
	l.run(l.g.Int64N(600_000_000))
}

// No read by a lease is answered from the past, whatever clocks do within the bound.
func TestLeasedReadsSeeEverything(t *testing.T) {
	total := map[string]int{}
	seeds := uint64(16)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newLessee(t, seed)
			for range 10 {
				l.trouble()
			}
			for k, n := range l.o.count {
				total[k] += n
			}
		}) {
			t.FailNow()
		}
	}
	for _, k := range []string{"leased", "leased while another leads", "read", "elected"} {
		if total[k] == 0 && !testing.Short() {
			t.Errorf("no seed has reached %q", k)
		}
	}
	t.Log(total)
}
