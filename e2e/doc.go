// Package e2e runs the real program as real processes, with real clients, and does to them what
// happens in production: kills, pauses, full disks, bad input, other servers' clients.
//
// A replica is one process of "lockstep serve" with a directory, two ports and a log file of its own;
// a trio is three of them. The oracle is etcd itself, embedded in the test, that gets the same requests
// as Lockstep and must answer the same. A ledger holds what clients asked and were told, and checks it
// against what the replicas say afterwards.
//
// Processes end with the test, however it ends: they are killed when it cleans up, and by the kernel
// when the test's own process dies. No test sleeps: each waits for a condition, with a deadline. Tests
// take -long to do more of the same; without it, all of them together stay under five minutes.
package e2e
