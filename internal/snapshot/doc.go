// Package snapshot keeps the sealed snapshots of a host's groups: it writes, lists, verifies,
// sends and receives them.
//
// A Store is one directory. A Writer takes a machine's bytes and seals them; a Reader gives them
// back, verified chunk by chunk. A snapshot is agreed once a majority of voters has reported its
// digest; only then may it be streamed, restored from, or the log be cut at it. A Throttle spreads
// bytes over time.
//
// A sealed file was written, synced, renamed, its directory synced, and read back whole. Any
// changed byte is found and named by file and offset. A failed write leaves no file and takes
// nothing away. The store parks only in its env: in files and Waiters (A4, A5), never under a lock
// (A11).
package snapshot
