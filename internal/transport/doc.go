// Package transport carries packets, calls and snapshots between the hosts of a cluster.
//
// A link is one connection to a peer's host, dialled by who sends on it; what the peer sends comes
// over the link that the peer dialled. A call is a connection for one request and its reply; a
// snapshot stream is a connection of its own, so that bulk never stands before a heartbeat. Each
// begins with a handshake of two hellos, which either side can refuse with a sentence.
//
// Over one link packets arrive in order and at most once. Nothing is sent again: what a broken
// link swallowed is for the algorithm to repeat. Send never blocks and never holds more than
// MaxQueueBytes per peer (A9). Put and Flush are Send for a turn: Flush writes short frames itself, as
// far as connections take them without waiting, and leaves the rest to the links' tasks, in order. A stranger on the port makes a host read one bounded frame. Waiting
// goes through the env, so that the simulator runs this very code (A4, A5, A11).
package transport
