package machinetest_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
)

type tally struct{ Seen map[string]int }

// A Clone that shares a map is told as that, not as a Save that forgets; and nothing is told of digests and
// deadlines that there are not.
func TestShallowCloneIsBlamed(t *testing.T) {
	m := machine.Define(
		func(s *tally, c string, _ *machine.Command) (int, error) {
			if s.Seen == nil {
				s.Seen = map[string]int{}
			}
			s.Seen[c]++
			return s.Seen[c], nil
		},
		func(s *tally, q string) (int, error) { return s.Seen[q], nil },
	)
	m.Clone = func(s *tally) *tally { return &tally{maps.Clone(s.Seen)} }
	word := func(r *rand.Rand) []byte {
		b, _ := json.Marshal(r.IntN(5))
		return b
	}
	if r := run(t, m.Kind(), word, word); r.failed != "" {
		t.Errorf("a Clone that copies the map fails with %q", r.failed)
	}
	m.Clone = func(s *tally) *tally { c := *s; return &c }
	r := run(t, m.Kind(), word, word)
	if !strings.Contains(r.failed, `rule "a View never changes, as when Clone shares what Apply changes"`) {
		t.Errorf("it failed with %q", r.failed)
	}
	if strings.Contains(r.failed, "digest") || strings.Contains(r.failed, "deadline") || !strings.Contains(r.failed, "replied") {
		t.Errorf("it tells of what is not there: %q", r.failed)
	}
}
