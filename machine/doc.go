// Package machine is the contract between Lockstep and a deterministic program that it replicates.
// An author implements StateMachine, or hands two plain functions to Define, and the engine runs the
// program on several servers: the same commands, in the same order, on each of them.
//
// The nouns: a Command is one client's request at its place in the log; Results take one answer per
// command, a reply or a Refusal; a View is one state, pinned, which answers queries and is saved as
// a snapshot through a Writer, to be loaded again from a Reader; a Kind tells a host how to make the
// machine, and a Place tells the machine where it stands. Typed turns functions over Go types into
// all of this.
//
// The promises: a machine is never called twice at once (A11); it gets time and randomness from the
// Command alone (A5); its answers and its state depend on the log alone, however the log is cut into
// batches. Package machinetest checks the author's half. This package imports the standard library
// only (A6, A13), and nothing in it blocks.
package machine
