// Package workload holds the simulations that come with the project: the load that `lockstep sim
// run` and the gate of `make verify` put on the engine.
//
// KV is the key-value store under puts, reads of all levels, comparisons, deletions and compactions
// on few keys, so that clients meet; one client of four calls in sessions, one with tokens. Counter is the smallest machine.
//
// The promise: Required says which situations many seeds of KV have reached at least once, so that
// a harness that no longer reaches them fails instead of passing.
package workload
