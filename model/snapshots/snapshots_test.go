package main

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

// Which property a rule protects, and how many states there are, is part of what is found.
func TestRulesHoldWithinSmallBounds(t *testing.T) {
	for _, err := range explore.Verify(1_000_000, cases()) {
		t.Error(err)
	}
}
