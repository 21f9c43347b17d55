// Package wal is the log of one host: one sequence of synced batches in segment files, shared by
// all groups of the host, so that one sync serves many. It holds each group's hard state, the
// snapshot its log begins after, and its entries.
//
// A segment is a file of blocks: a head, batches, and the head's mirror. A block is 4 KiB and
// carries life, position and promise under its own checksum; a batch is one write of fresh blocks
// and one sync; a life is one process's time with the log; a promise (synced-up-to) says how far
// an earlier sync reached, which tells rot from a torn end. A repeat is the second place of what
// the batch before holds. Condition is what a scan says of a group's log.
//
// The package promises W1 to W12 of docs/INVARIANTS.md: nothing is reported saved before its sync
// returned, a written block is never written again in its life, stale blocks are never taken for
// frames, a torn end is cut and rot is never cut silently, and one group never pins the others.
package wal
