// Package raft is the algorithm of one group's replica (Ongaro's thesis, chapters 3, 4, 6 and 9),
// pure: Step takes one thing that happened and the time it happened at; Ready returns everything
// to be done about it and when to call again. It does no I/O, reads no clock, starts nothing, and
// two replicas given equal inputs do equal things. Where it leaves the thesis is in
// docs/divergence.md.
//
// An Entry is what a leader appends in one turn; its Identity, and the digest of it, name it on all
// replicas. Saved is the prefix durable here, commit what a majority has saved, applied what the
// machine has executed. A Save is what must become durable before the messages beside it in
// AfterSave may leave; Messages may leave at once. A mark is an entry at which all machines report
// a digest. A leader feeds each follower in one of three ways:
//
//	            reply: it holds Prev
//	┌─────────┐ ───────────────────▶ ┌─────────────┐
//	│ probing │                      │ replicating │ next runs ahead, in a window of
//	└─────────┘ ◀─────────────────── └─────────────┘ messages and bytes
//	 one message,  refusal, loss, link lost   │
//	 then silence                             │ next is before the log
//	  │      ▲                                ▼
//	  │      │   the snapshot came,   ┌─────────────┐
//	  │      └─────────────────────── │ snapshotted │ nothing but heartbeats
//	  └─────────────────────────────▶ └─────────────┘
//	     next is before the log
//
// and has one of four roles itself:
//
//	  silence for [T, 2T)      majority would grant      majority granted
//	Follower ────────▶ PreCandidate ────────▶ Candidate ────────▶ Leader
//	    ▲                    │                    │                  │
//	    └────────────────────┴────────────────────┴──────────────────┘
//	     a leader of the term, a later term, refusals; no quorum heard, stuck disk
//
// It promises, with the numbers of docs/INVARIANTS.md: one leader per term (R1); logs that share an
// identity share their prefix (R2); completions of overtaken writes claim nothing (R3); applied only
// what is committed and saved here (R4); counted to commit only entries of the own term (R5), never
// lost again (R6); acknowledged only what is durable (R7); read only in a confirmed leadership that
// has committed (R8); votes only what the disk knows (R9). A Replica is not safe for concurrent
// use; the slices of Ready belong to the caller, the entries in them are shared and never change.
package raft
