// Package explore visits every state that a model of rules can reach within its bounds. It checks rules,
// not code: what a simulation draws from, it goes through.
//
// A Model has states, a first one and the steps from each. An Act names a step; an Out takes the states
// that steps lead to. A Result says how much was visited, and which property broke first, with the Trace
// that leads there.
//
// The search is breadth first, so no counterexample is shorter than the one it gives. A state is
// remembered as a 128-bit fingerprint of its canonical encoding, with the step that led to it; traces are
// rebuilt by taking those steps again. Two states that collide would be taken for one: with 10^8 states
// the odds are below 10^-22. One search uses one goroutine and shares nothing with others.
package explore
