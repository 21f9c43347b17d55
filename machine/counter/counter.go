// Package counter is the smallest machine: a number that commands add to. It is where to begin
// reading about machines, and the examples replicate it.
//
// The nouns: State is what is replicated, Add is a command, Get is a query, Machine is all of it.
//
// The promise: the number is never negative; an Add that would make it so is refused with
// ErrNegative and changes nothing.
package counter

import "github.com/lockstep-rsm/lockstep/machine"

// State is what is replicated.
type State struct{ N int64 }

// Add is the command that adds N, which may be negative, and returns the new number.
type Add struct{ N int64 }

// Get is the query for the number.
type Get struct{}

// ErrNegative refuses an Add below zero; errors.Is finds it on any host.
var ErrNegative = &machine.Refusal{Code: 100, Text: "counter would be negative"}

// Machine is the counter. It is never changed.
var Machine = machine.Define(apply, query)

func apply(s *State, c Add, _ *machine.Command) (int64, error) {
	if s.N+c.N < 0 {
		return 0, ErrNegative
	}
	s.N += c.N
	return s.N, nil
}

func query(s *State, _ Get) (int64, error) { return s.N, nil }
