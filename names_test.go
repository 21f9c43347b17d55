package lockstep_test

import (
	"fmt"
	"testing"

	"github.com/lockstep-rsm/lockstep"
)

// What a log line or a message shows of a value is its name, and of a token what a person can look for.
func TestValuesPrintAsTheirNames(t *testing.T) {
	token := lockstep.Token{0: 0x01, 15: 0xfe}
	for want, v := range map[string]any{
		"linearizable": lockstep.Linearizable, "leased": lockstep.Leased, "at least": lockstep.AtLeast, "stale": lockstep.Stale, "level(9)": lockstep.Level(9),
		"010000000000000000000000000000fe": token, "7.1": lockstep.Skip{Index: 7, Ordinal: 1},
		"unknown": lockstep.Unknown, "not committed": lockstep.NotCommitted, "committed": lockstep.Committed, "outcome(9)": lockstep.Outcome(9),
	} {
		if got := fmt.Sprint(v); got != want {
			t.Errorf("%#v prints as %q, want %q", v, got, want)
		}
	}
}
