// Package e2e runs the real program as real processes, with real clients, and does to them what
// happens in production: kills, pauses, cut networks, full disks, bad input, other servers' clients.
//
// A replica is one process of "lockstep serve" with a directory, two ports and a log file of its own;
// a trio is three of them. The oracle is etcd itself, embedded in the test, that gets the same requests
// as Lockstep and must answer the same. A ledger holds what clients asked and were told, and checks it
// against what the replicas say afterwards.
//
// A siege is a cluster in a network of its own, a bridge and places around it, each a network namespace
// with one address; cuts keep packets of some from arriving at others. Its clients sit in those places too,
// and what they were told must be explained by one order of their calls on each key.
//
// Processes end with the test, however it ends: they are killed when it cleans up, and by the kernel
// when the test's own process dies. No test sleeps: each waits for a condition, with a deadline. Tests
// take -long to do more of the same; without it, all of them together stay under five minutes.
package e2e
