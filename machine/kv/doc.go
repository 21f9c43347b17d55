// Package kv is the key-value machine: keys with all their revisions, ranges, transactions and
// compaction, with the semantics of the etcd v3 store, as a deterministic state machine without any
// protocol.
//
// The nouns: an Op is a command or a query, and one of Put, DeleteRange, Txn, Compact, Range and
// Hash; a Result is its answer; a KeyValue is one version of a key; a revision numbers the writes of
// the whole store; a View is the store at one moment, with its own methods for a server in the same
// process; an Event is a change that a revision made. The refusals are the variables ErrCompacted
// and its like, each with a code of its own.
//
// The promises: an empty store has revision 1 and its first write makes revision 2; a command that
// is refused changes nothing (it is checked whole before its first effect); a View costs O(1) and
// never changes; two replicas that applied the same log have the same digest and save the same
// bytes; no decoder allocates by a length that it has not checked. Invariants A6 and A9 of the house
// hold here: no protocol types, and every bound is a constant of this package.
package kv
