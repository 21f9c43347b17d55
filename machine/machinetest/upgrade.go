package machinetest

import (
	"math/rand/v2"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
)

// RunUpgrade draws logs of commands, executes each of them on machines of two builds, and fails t at the first difference:
// kind is the build to be, former the one that it replaces, as a test keeps it. While a cluster is upgraded host by host some
// have one and some the other, as versions that both have: they have to give equal results, digests, deadlines and
// answers, and to load what the other saved. And what the former build saved has to be upgraded to the same
// state as what the new one has executed itself. Commands and queries are drawn as for Run; commands that only the new
// version knows are welcome, as they reach a group before it is upgraded, too.
func RunUpgrade(t testing.TB, former, kind machine.Kind, command, query func(r *rand.Rand) []byte) {
	t.Helper()
	seeds := uint64(6)
	if testing.Short() {
		seeds = 2
	}
	oldest, newest := max(former.Oldest, kind.Oldest, 1), max(former.Newest, former.Oldest, 1)
	if max(kind.Oldest, 1) > newest || max(kind.Newest, kind.Oldest, 1) < newest {
		t.Fatalf("the former build runs versions up to %v, the new one from %v to %v: a group at %v cannot be upgraded host by host",
			newest, max(kind.Oldest, 1), max(kind.Newest, kind.Oldest, 1), newest)
	}
	for v := oldest; v <= newest; v++ {
		for seed := range seeds {
			s := &suite{t: t, kind: former, command: command, query: query, seed: seed + 1, begins: v}
			s.r = rand.New(rand.NewPCG(s.seed, 0x6c6f636b73746570))
			s.drawOf(0)
			s.replaced(kind)
		}
	}
}

// replaced compares the build whose machine drew the script with the one to be.
func (s *suite) replaced(by machine.Kind) {
	s.t.Helper()
	former, all := s.kind, len(s.script)
	s.rule = "a build serves as the one before until it is upgraded"
	s.kind = by
	s.play(s.machine(), 0, all, s.anyCut)
	for range 3 {
		at := s.r.IntN(all + 1)
		s.kind, s.rule = former, "a build loads what the one before saved"
		before := s.machine()
		s.play(before, 0, at, s.anyCut)
		saved := s.saveOf(before)
		s.kind = by
		loaded, own := s.machineAs(s.newest()), s.machine()
		s.load(loaded, saved, at)
		s.play(own, 0, at, s.anyCut)
		s.equal(before, loaded, "loaded by the new build, the state")
		upgraded := s.machine()
		s.load(upgraded, saved, at)
		s.play(loaded, at, all, s.anyCut)

		s.kind, s.rule = former, "the build before loads what a new one saved"
		other := s.machine()
		s.load(other, s.saveOf(own), at)
		s.equal(own, other, "loaded by the build before, the state")
		s.play(other, at, all, s.anyCut)

		s.kind, s.rule = by, "what the build before saved is upgraded as what the new one has"
		for v := s.begins + 1; v <= s.newest(); v++ {
			st := step{upgrade: v, command: machine.Command{Index: machine.Index(at)}}
			if x, y := s.upgrade(own, &st), s.upgrade(upgraded, &st); !x.equal(y) {
				s.fatalf("upgrade to version %v after %d commands:\n\tgot  %v\n\twant %v", v, at, y, x)
			}
		}
		s.equal(own, upgraded, "saved by the build before and upgraded, the state")
	}
}

func (s *suite) saveOf(m machine.StateMachine) []byte {
	s.t.Helper()
	v := s.view(m)
	defer s.close(v)
	return s.save(v)
}
