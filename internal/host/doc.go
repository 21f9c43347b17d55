// Package host is the engine: it drives the replicas of one process between their clients, the log,
// the links and the machines.
//
// A Host owns a log (internal/wal), links to its peers (internal/transport), snapshots, and one group
// per replicated log. A group pairs a raft.Replica, which the turn alone touches, with a machine,
// which its lane alone touches. The turn is run by whoever brings work and finds none running: it
// handles all events that arrived, steps the replicas they concern, sends what may leave before the
// save, and hands one batch for all of them to the log. Completions come back as events.
//
// Promises: nothing parks while it holds the turn (A11); every accepted call completes exactly once,
// with what is known of its command (H4, H5); what is sent after a save is sent after it (A3, H8);
// machines execute what is committed and saved, once, in order (H10); recovery has no apply path of its
// own (A10); every queue has a bound in options (A9, H19).
package host
