package main

import (
	"slices"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

const (
	replicas = 3
	maxLog   = 4
)

// What there is of a snapshot, bit by bit; 0: there is none.
const (
	sealed   = 1
	agreed   = 2
	wrong    = 4 // of a state that differs
	rotten   = 8
	received = 16 // and not taken notice of by the log
)

// A machine is well, out of service, or not there: no state is readable.
const (
	well = iota
	out
	absent
)

// A replica has a log from behind base through last, durable at once; snapshots, by index; and a machine that
// has executed through applied, and may differ from what it should be, or have been made so. Every entry bears a
// mark.
type replica struct {
	up               uint8
	base, last       uint8
	snap             [maxLog + 1]uint8
	machine, applied uint8
	differs          uint8 // 2: of a snapshot
	given            uint8 // the log begins behind a snapshot of the others
	known            uint8 // the newest mark that it knows to be agreed
	reported         uint8 // bit i: its machine, as it is now, has reported mark i
	acked            uint8 // of its log, ever
}

// state is all replicas, and what was reported, by index: who had the right state there, and who another one.
type state struct {
	r             [replicas]replica
	entries       uint8 // that there are
	done          uint8 // of which so many are on a majority
	right, others [maxLog + 1]uint8

	crashes, rots, differs uint8
}

// Init is all replicas at rest.
func (m *model) Init() state {
	var s state
	for id := range s.r {
		s.r[id].up = 1
	}
	return s
}

// usable says whether snapshot i may be relied on.
func (r *replica) usable(i uint8) bool { return r.snap[i]&(agreed|rotten) == agreed }

// arriving says whether a snapshot was received and is about to be installed.
func (r *replica) arriving() bool {
	return slices.ContainsFunc(r.snap[:], func(v uint8) bool { return v&(received|rotten) == received })
}

// isAgreed says whether a majority had one state at mark i.
func (m *model) isAgreed(s *state, i uint8) bool {
	least := 2
	if !m.r.majority {
		least = 1
	}
	count := func(mask uint8) (n int) {
		for id := range replicas {
			n += int(mask >> id & 1)
		}
		return n
	}
	return count(s.right[i]) >= least || count(s.others[i]) >= least
}

// had says whether replica id reported the agreed state at mark i.
func (s *state) had(id int, i uint8) bool { return s.right[i]>>id&1 == 1 }

// restore makes the machine of r anew, of a snapshot here and the log.
func (m *model) restore(r *replica) {
	best, bad := uint8(0), false
	for i := r.base; i <= r.last; i++ {
		switch {
		case i == 0:
		case r.snap[i] != 0 && r.snap[i]&rotten == 0 && (r.usable(i) || !m.r.restores):
			best, bad = i, false
		case r.snap[i]&agreed != 0:
			bad = true
		}
	}
	r.machine, r.applied, r.differs, r.reported = well, best, 0, 0
	if best == 0 && r.base > 0 || bad && !m.r.passes {
		r.machine, r.applied = absent, 0
	} else if r.snap[best]&wrong != 0 {
		r.differs = 2
	}
}

// broken says which property does not hold.
func (m *model) broken(s *state) string {
	for id := range s.r {
		r := &s.r[id]
		for i := range r.snap {
			if r.snap[i]&(agreed|wrong) == agreed|wrong {
				return "SPREAD: a state that differs is agreed, or was received"
			}
		}
		switch {
		case r.last < r.acked:
			return "LOST: an acknowledged entry is not on disk any more"
		case r.differs == 2:
			return "SPREAD: a machine is made of a state that differs"
		case r.up == 1 && r.machine == well && r.differs == 1 && r.reported>>r.known&1 == 1 && r.known > 0 && !s.had(id, r.known):
			return "ANSWERS: a machine that is known to differ answers"
		case r.up == 1 && r.machine == well && r.applied < r.base:
			return "GAP: entries between the state and the log are nowhere here"
		case r.up == 1 && r.machine == absent && r.arriving():
		case r.up == 1 && r.machine == absent && s.rots == 0:
			return "NO STATE: nothing to make a machine of, though no snapshot rotted"
		case r.up == 1 && r.machine == absent && !m.b.press && s.rots == 1 && r.given == 0:
			return "NO STATE: one rotten snapshot, and nothing to make a machine of"
		}
	}
	return ""
}

// Encode appends the least encoding over all orders of replicas: they are interchangeable.
func (m *model) Encode(s *state, buf []byte) []byte {
	return explore.Least(m.orders, buf, func(p []uint8, b []byte) []byte {
		place := explore.PlacesOf(p)
		for _, id := range p {
			r := &s.r[id]
			b = append(b, r.up|r.machine<<1|r.differs<<3|r.known<<4, r.base|r.last<<4, r.applied|r.acked<<4, r.reported, r.given)
			b = append(b, r.snap[1:m.b.log+1]...)
		}
		for i := uint8(1); i <= m.b.log; i++ {
			b = append(b, place.Mask(s.right[i])|place.Mask(s.others[i])<<4)
		}
		return append(b, s.entries|s.done<<4, s.crashes|s.rots<<4, s.differs)
	})
}
