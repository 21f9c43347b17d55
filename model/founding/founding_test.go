package main

import (
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

const limit = 1_000_000 // states

// The counts are pinned: a model that loses a step or a fault would hold for want of asking.
func TestRulesHoldWithinSmallBounds(t *testing.T) {
	states := map[string]uint64{
		"killed at any moment":           272,
		"one list, emptied directories":  39_560,
		"two lists, emptied directories": 50_373,
	}
	for _, r := range runs() {
		res := search(design(), r.b, limit)
		if !res.Complete || res.States != states[r.name] {
			t.Errorf("%s: %d states expected: %s%s", r.name, states[r.name], res, told(t, res))
		}
	}
}

// Which property a rule protects is part of the finding.
func TestRulesAreNeeded(t *testing.T) {
	protected := map[string]string{
		"a mint is told before it is durable":                                         "TWO CLUSTERS",
		"a host answers before it is bound durably":                                   "TWO CLUSTERS",
		"a host that is bound to another founding counts":                             "TWO CLUSTERS",
		"the minter waits for a majority":                                             "TWO CLUSTERS",
		"a host of a cluster counts":                                                  "TWO CLUSTERS",
		"a mint is adopted by whom it does not name":                                  "A VOTE OF ANOTHER LIFE",
		"an emptied directory keeps its incarnation":                                  "A VOTE OF ANOTHER LIFE",
		"a minter uses the founding it is bound to":                                   "TWO CLUSTERS",
		"... and binds hosts that were told other founders":                           "TWO CLUSTERS",
		"a restarted minter begins another founding":                                  "DEAD END",
		"(no rule: an answer that is older than three emptied directories) two lists": "TWO CLUSTERS",
	}
	for _, b := range breaches() {
		r := design()
		b.off(&r)
		res := search(r, b.b, limit)
		if kind := protected[b.name]; kind == "" || !strings.HasPrefix(res.Bad, kind) {
			t.Errorf("%s: found %q, want %q%s", b.name, res.Bad, kind, told(t, res))
		}
	}
}

// told is the counterexample.
func told(t *testing.T, res explore.Result) string {
	t.Helper()
	var b strings.Builder
	if err := res.Explain(&b); err != nil {
		t.Fatal(err)
	}
	return "\n" + b.String()
}
