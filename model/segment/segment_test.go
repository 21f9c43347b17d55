package main

import (
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

const limit = 1_000_000 // states

// The counts are pinned: a model that loses a step or a fault would hold for want of asking.
func TestRulesHoldWithinSmallBounds(t *testing.T) {
	for _, c := range []struct {
		name   string
		r      rules
		b      bounds
		states uint64
	}{
		{"crashes only", design(), small(), 73_280},
		{"one failed sync", design(), bounds{files: 4, batches: 2, lives: 3, crashes: 2, syncFails: 1}, 19_955},
		{"one rot", design(), bounds{files: 4, batches: 3, lives: 2, crashes: 1, rots: 1}, 36_491},
		{"follow, one failed sync", variant(), bounds{files: 4, batches: 2, lives: 3, crashes: 2, syncFails: 1}, 37_453},
	} {
		res := explore.Run[state](&model{c.r, c.b}, limit, nil)
		if !res.Complete || res.States != c.states {
			t.Errorf("%s: %d states expected: %s%s", c.name, c.states, res, told(t, res))
		}
	}
}

// Which property a rule protects is part of the finding.
func TestRulesAreNeeded(t *testing.T) {
	protected := map[string]string{
		"a new life goes on at the cut position":                            "LOST: ",
		"open does not sync what it scanned":                                "FALSE ROT",
		"open trusts the cache after a failed sync":                         "FALSE ROT",
		"a named end counts as a promise":                                   "FALSE ROT",
		"a promise covers writes made while the sync ran":                   "FALSE ROT",
		"a file is reused and filled before the new head is durable":        "FALSE ROT",
		"life and position of frames are not compared":                      "NOT A PREFIX",
		"promises are ignored":                                              "LOST to rot",
		"a lost head is not looked for":                                     "LOST to rot",
		"a batch is written before all up to its segment's head is durable": "LOST to rot",
		"a segment no longer named may be unsynced":                         "LOST: ",
		"every bad spot is rot":                                             "FALSE ROT",
	}
	for _, b := range breaches() {
		r := design()
		b.off(&r)
		res := explore.Run[state](&model{r, b.b}, limit, nil)
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
