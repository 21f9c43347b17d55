package main

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/model/explore"
)

// The breaches that are found among a few thousand states; the command tries all.
func TestRulesHoldWithinSmallBounds(t *testing.T) {
	for _, err := range explore.Verify(100_000, cases()) {
		t.Error(err)
	}
}

// Replicas are interchangeable: states that differ by their numbers alone are one.
func TestEncodingForgetsNumbersOfReplicas(t *testing.T) {
	m := newModel(design(), bounds{n: 3, terms: 2, log: 2})
	a, b := m.Init(), m.Init()
	m.vote(&a, 0, 1, 0)
	m.vote(&b, 2, 1, 2)
	if x, y := m.Encode(&a, nil), m.Encode(&b, nil); string(x) != string(y) {
		t.Errorf("candidates A and C give %v and %v", x, y)
	}
	m.vote(&b, 1, 1, 2)
	if x, y := m.Encode(&a, nil), m.Encode(&b, nil); string(x) == string(y) {
		t.Errorf("a vote makes no difference: %v", x)
	}
}
