// Package check holds the judges of a simulation: they look at what replicas report, machines
// execute and clients were answered, and say which promise of the engine was broken.
//
// A Checker follows the events of all replicas: terms, votes, logs, commits, what disks hold. A
// Witness executes the committed log once, in order, on a fresh machine, and compares every
// replica's commands and results with it. Calls are what clients asked and were told; their order
// in the log respects real time. KV is the independent judge for machine/kv.
//
// The promises that are checked carry the numbers of docs/INVARIANTS.md (R1 to R9, A8, H1 to H3)
// where they have one. A judge stops at nothing by itself: it calls the function that it was made
// with, once per broken promise, and that must not park. Nothing here is safe for concurrent use:
// a simulated world runs on one goroutine.
package check
