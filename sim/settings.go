package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// settings are a seed's: which cluster it simulates.
type settings struct {
	hosts         int
	heartbeat     time.Duration
	election      time.Duration
	callTimeout   time.Duration
	segment, wal  int64
	inbox         int64
	apply, cache  int64
	flight        int64
	snapshotAfter int64
	lanes         int
	kinds         []Faults // that this seed draws from
	pace          time.Duration
	group         lockstep.Settings
}

func (s *settings) draw(rng *rand.Rand, o *Options) {
	s.hosts = o.Hosts
	if s.hosts == 0 {
		s.hosts = 3 + 2*min(rng.IntN(4)/3, 1) // five hosts cost more than twice as much
	}
	s.heartbeat = 50 * time.Millisecond
	s.election = pick[time.Duration](rng, 200, 250, 250, 400) * time.Millisecond
	if o.Calm > 1 {
		slower := pick[time.Duration](rng, 1, 2, 2, 4)
		s.heartbeat, s.election = slower*s.heartbeat, slower*s.election
	}
	s.callTimeout = pick[time.Duration](rng, 500, 1000, 2000, 3000) * time.Millisecond
	s.segment = pick[int64](rng, 64<<10, 128<<10, 256<<10)
	s.wal = s.segment * pick[int64](rng, 16, 32)
	s.inbox = pick[int64](rng, 64<<10, 64<<20)
	s.apply = pick[int64](rng, 64<<10, 64<<20)
	s.cache = pick[int64](rng, 4<<10, 16<<10, 8<<20)
	s.flight = pick[int64](rng, 64<<10, 256<<10, 16<<20)
	s.snapshotAfter = pick[int64](rng, 4<<10, 8<<10, 16<<10, 64<<10)
	s.lanes = 1 + rng.IntN(2)
	s.pace = pick[time.Duration](rng, 2, 3, 4) * time.Second * time.Duration(o.Calm)
	for i := range faultNames {
		if f := Faults(1 << i); o.Faults&f&drawn&^lasting&^decided != 0 {
			s.kinds = append(s.kinds, f)
		}
	}
	rng.Shuffle(len(s.kinds), func(i, j int) { s.kinds[i], s.kinds[j] = s.kinds[j], s.kinds[i] })
	// A host that is lost must not be the only voter that has an entry: whichever comes first excludes the other.
	m, l := slices.Index(s.kinds, Membership), slices.Index(s.kinds, Replacement)
	if m >= 0 && l >= 0 {
		s.kinds = slices.Delete(s.kinds, max(m, l), max(m, l)+1)
	}
	s.kinds = s.kinds[:min(len(s.kinds), 3+rng.IntN(4))] // a swarm: each seed has its own few
	s.group = lockstep.Settings{
		MaxSessions: pick(rng, 1, 2, 4, 4096), SessionTTL: pick[time.Duration](rng, 1, 5, 600) * time.Second,
		MaxTokens: pick(rng, 2, 16, 16384), TokenTTL: pick[time.Duration](rng, 1, 5, 3600) * time.Second,
		MaxResultBytes: pick[int64](rng, 16, 1<<10, 16<<20),
		Lease:          pick[time.Duration](rng, 0, 0, 300, 800) * time.Millisecond,
		MaxDriftPPM:    500_000, // clocks drift to 1.2 and 0.8 of the world's
	}
	for _, f := range []Faults{BitRot, MachineError} {
		if o.Faults&f != 0 && rng.IntN(3) == 0 {
			s.kinds = slices.Insert(s.kinds, rng.IntN(len(s.kinds)+1), f)
		}
	}
}

// drawDecided adds what operators decide, of a generator of its own, so that seeds which have none of it are as they were. A
// command is passed over if all members say so: none of them may be gone for good, so such a seed has no fault that takes one.
func (s *settings) drawDecided(rng *rand.Rand, o *Options) {
	for _, f := range []Faults{Poison, Upgrade, Halt} {
		kinds := s.kinds
		if f == Poison {
			kinds = slices.DeleteFunc(slices.Clone(kinds), func(k Faults) bool { return k == Membership || k == Replacement || k == BitRot })
		}
		if rng.IntN(4) == 0 && o.Faults&f != 0 && len(kinds) > 1 {
			s.kinds = slices.Insert(kinds, rng.IntN(len(kinds)+1), f)
		}
	}
}

// changesMembers says whether the voters are not always all hosts.
func (s *settings) changesMembers() bool {
	return slices.Contains(s.kinds, Membership) || slices.Contains(s.kinds, Replacement)
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }
