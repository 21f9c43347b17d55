package machinetest_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/machinetest"
)

type formerState struct{ Sum int64 }

// formerKind is the build before: it sums.
func formerKind() machine.Kind {
	return machine.Define(
		func(s *formerState, n int64, _ *machine.Command) (int64, error) {
			s.Sum += n
			return s.Sum, nil
		},
		func(s *formerState, _ string) (int64, error) { return s.Sum, nil },
	).Kind()
}

type state struct {
	Version machine.Version `json:",omitzero"` // 1 is not noted
	Sum     int64
	Count   int64 `json:",omitzero"` // since version 2
}

// twoVersions sums, and from version 2 on counts and answers with the mean.
func twoVersions() *machine.Typed[state, int64, int64, string, int64] {
	m := machine.Define(
		func(s *state, n int64, _ *machine.Command) (int64, error) {
			s.Sum += n
			if s.Version < 2 {
				return s.Sum, nil
			}
			s.Count++
			return s.Sum / s.Count, nil
		},
		func(s *state, _ string) (int64, error) { return s.Sum, nil },
	)
	m.Newest = 2
	m.Upgrade = func(s *state, v machine.Version) error {
		s.Version = v
		return nil
	}
	return m
}

func TestTypedMachineIsUpgraded(t *testing.T) {
	number := func(r *rand.Rand) []byte { return fmt.Append(nil, r.IntN(1000)) }
	machinetest.Run(t, twoVersions().Kind(), number, number)
	machinetest.RunUpgrade(t, formerKind(), twoVersions().Kind(), number, number)

	// One that notes in its state what the build before has not differs from it, though nobody asks for it.
	notes := machine.Define(
		func(s *struct{ Sum, Count int64 }, n int64, _ *machine.Command) (int64, error) {
			s.Sum += n
			s.Count++
			return s.Sum, nil
		},
		func(s *struct{ Sum, Count int64 }, _ string) (int64, error) { return s.Sum, nil },
	)
	r := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }()
		machinetest.RunUpgrade(r, formerKind(), notes.Kind(), number, number)
	}()
	if !strings.Contains(r.failed, `rule "a build serves as the one before until it is upgraded"`) {
		t.Errorf("failed with %q", r.failed)
	}
}

// A group may begin as a later version: the state that is empty is brought there, too.
func TestTypedMachineBeginsAsAnyVersion(t *testing.T) {
	m, err := twoVersions().Kind().New(&machine.Place{Version: 2})
	if err != nil {
		t.Fatal(err)
	}
	var out machine.Results
	if err := m.Apply([]machine.Command{{Data: []byte("7")}, {Data: []byte("9")}}, &out); err != nil {
		t.Fatal(err)
	}
	if data, _ := out.At(1); string(data) != "8" {
		t.Errorf("the mean of 7 and 9 is %s", data)
	}
}
