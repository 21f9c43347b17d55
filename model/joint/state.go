package main

import (
	"math/bits"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

const (
	maxReplicas = 5
	maxTerms    = 4
	maxLog      = 8 // bounds use fewer, the question for liveness may add some
)

// An entry is term | kind<<3 | target<<5: the set of the bounds that it changes to.
type entry uint8

// Kinds of entries.
const (
	normal = iota
	joint
	left
)

func makeEntry(term, kind, target uint8) entry { return entry(term | kind<<3 | target<<5) }

func (e entry) term() uint8   { return uint8(e) & 7 }
func (e entry) kind() uint8   { return uint8(e) >> 3 & 3 }
func (e entry) target() uint8 { return uint8(e) >> 5 }

// A configuration is the voters, and those before them while it is joint; index 0: that of the beginning.
type configuration struct {
	voters, outgoing set
	target, index    uint8
	term             uint8
}

// Roles.
const (
	follower = iota
	candidate
	leader
)

// A replica is what is durable at once, term, vote and log, and what it only remembers.
type replica struct {
	term, vote, n uint8
	log           [maxLog]entry
	role          uint8
	votes         set
	commit        uint8
	kept          entry // a configuration that was truncated and stays in force; without reverts
	keptAt        uint8
}

// state is all replicas, and what leaders sent: it arrives at any time, or never.
type state struct {
	r     [maxReplicas]replica
	sent  [maxTerms + 2][maxLog]entry // by the leader of each term
	nsent [maxTerms + 2]uint8
	told  [maxTerms + 2]uint8 // its commit index
	acked [maxTerms + 2][maxReplicas]uint8
	led   uint8
	done  uint8 // entries committed
	chain [maxLog]entry
	in    [maxLog]uint8 // the term in which each was

	restarts uint8
}

// Init is all replicas at rest. Who is to become a voter has an empty log, as all have.
func (m *model) Init() state { return state{} }

// forget loses what only memory has.
func (r *replica) forget() {
	*r = replica{term: r.term, vote: r.vote, n: r.n, log: r.log, commit: r.commit, kept: r.kept, keptAt: r.keptAt}
}

func (r *replica) lastTerm() uint8 {
	if r.n == 0 {
		return 0
	}
	return r.log[r.n-1].term()
}

// configuration is the one in force for r: the newest of its log.
func (m *model) configuration(r *replica) configuration {
	c := configuration{voters: m.b.sets[0]}
	end := r.n
	if !m.r.append {
		end = min(end, r.commit)
	}
	for i, e := range r.log[:end] {
		c.follow(m, e, uint8(i)+1)
	}
	if r.keptAt > c.index {
		c.follow(m, r.kept, r.keptAt)
	}
	return c
}

// follow is the configuration that e makes of c.
func (c *configuration) follow(m *model, e entry, index uint8) {
	switch e.kind() {
	case joint:
		*c = configuration{m.b.sets[e.target()], c.voters, e.target(), index, e.term()}
	case left:
		*c = configuration{m.b.sets[e.target()], 0, e.target(), index, e.term()}
	}
}

func majority(v, of set) bool { return bits.OnesCount8(uint8(v&of)) > bits.OnesCount8(uint8(of))/2 }

// decides says whether those are enough; both: of both sets.
func (c *configuration) decides(those set, both bool) bool {
	return majority(those, c.voters) && (c.outgoing == 0 || !both || majority(those, c.outgoing))
}

// mayCampaign says whether id is a voter of the configuration in force, or of one that is not known to be
// superseded.
func (m *model) mayCampaign(r *replica, id int) bool {
	c := configuration{voters: m.b.sets[0]}
	is := func() bool { return (c.voters|c.outgoing)>>id&1 == 1 }
	may := is()
	for i, e := range r.log[:r.n] {
		if e.kind() == normal {
			continue
		}
		c.follow(m, e, uint8(i)+1)
		may = is() || may && uint8(i)+1 > r.commit
	}
	return may
}

// Encode appends the least encoding over all orders of replicas that are interchangeable.
func (m *model) Encode(s *state, buf []byte) []byte {
	return explore.Least(m.orders, buf, func(p []uint8, b []byte) []byte {
		var place [maxReplicas + 1]uint8 // of a number from 1
		for k, id := range p {
			place[id+1] = uint8(k) + 1
		}
		for _, id := range p {
			r := &s.r[id]
			var votes set
			for v := range m.n {
				votes |= r.votes >> v & 1 << place[v+1]
			}
			b = append(b, r.term|place[r.vote]<<4, r.n|r.role<<4, uint8(votes), r.commit|r.keptAt<<4, uint8(r.kept))
			for _, e := range r.log[:r.n] {
				b = append(b, uint8(e))
			}
		}
		for t := uint8(1); t <= m.b.terms; t++ {
			b = append(b, s.nsent[t]|s.told[t]<<4)
			for _, e := range s.sent[t][:s.nsent[t]] {
				b = append(b, uint8(e))
			}
			for _, id := range p {
				b = append(b, s.acked[t][id])
			}
		}
		for i := range s.done {
			b = append(b, uint8(s.chain[i]), s.in[i])
		}
		return append(b, s.done, s.led, s.restarts)
	})
}
