// Command bench measures Lockstep beside other consensus engines of Go, on one machine: three
// replicas, every write synced to disk, loopback network. docs/performance.md lists its rows, each
// with the command that makes it.
//
// A row is a question, such as "one client, 128 bytes". A peer is one engine in one setting that
// answers it. A point is one answer: one peer, one round, measured in a process of its own, so that
// no engine pays for the memory of another. The rounds of a row interleave its peers, each round in
// another order, and a ratio is taken within a round before the median of all rounds is: what
// disturbs the machine for a minute disturbs both sides of it.
//
// Promises: a run is bounded in time; it listens on loopback only and removes what it writes; a
// point during which other processes took more than a given share of a core is tried again, then
// marked as noisy, or refused with -strict. Every peer answers a put only when it is on the disks of
// a majority and executed.
package main
