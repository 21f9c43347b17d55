// Package lockstep runs any deterministic program on several servers, in lockstep: commands go to any
// server, the servers agree by consensus (Raft) on one order, write it to a durable log, execute it,
// and answer. It works while a majority lives, recovers by itself, and nothing acknowledged is lost,
// doubled or reordered.
//
// Open makes a Host: one process of a cluster, with its directory and its address. Create founds a
// Group, one replicated log that runs one machine (package machine), or finds it. Propose sends a
// command, Read asks a query; both may be called on any host. Typed gives both the types of a machine
// made by machine.Define.
//
// Promises: byte slices that you pass in are copied before the call returns; slices that you are given
// are yours. Everything here is safe for concurrent use. No call panics on a user's or a disk's error;
// every error says by OutcomeOf whether the command is in the log. Zero values are the safe defaults.
// See docs/INVARIANTS.md for what always holds, and which test shows it.
package lockstep
