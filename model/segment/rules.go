package main

// rules are the design of the log's files. With one of them switched off there must be a counterexample.
type rules struct {
	positionJump  bool // a new life starts at a position above every position seen on any valid frame or head
	syncTail      bool // open syncs what it scanned before its head says that it is durable
	bypassCache   bool // open reads the medium, not a cache that a failed sync may have left clean but unwritten
	endNoPromise  bool // a head names where the former segment ends; that alone is no promise that it is durable there
	promiseIssued bool // a promise covers only what was written before the finished sync was issued
	headFirst     bool // a file is reused only after a head that does not name it is durable
	lifeChecked   bool // life and position of a frame must be the expected ones
	promiseCheck  bool // a bad spot below a promise is rot, not the end
	lostHead      bool // a frame that promises its own segment's head, without that head, is rot
	torn          bool // an unpromised bad spot is the end, not rot
	headSynced    bool // no batch is written to a segment before its head and all before it is durable
	headKept      bool // open does not overwrite the head it scanned by: a margin, harmless without while the others hold
	dropDurable   bool // a segment that the next head will not name must be durable first; follows from headSynced
	follow        bool // instead of headSynced: a segment of the same life is found by its frames, head or no head
}

// design has all rules on, but for the variant.
func design() rules {
	return rules{
		positionJump: true, syncTail: true, bypassCache: true, endNoPromise: true, promiseIssued: true,
		headFirst: true, lifeChecked: true, promiseCheck: true, lostHead: true, torn: true, headSynced: true,
		headKept: true, dropDurable: true,
	}
}

// variant finds segments by their frames instead of waiting for their heads.
func variant() rules {
	r := design()
	r.headSynced, r.follow = false, true
	return r
}

// bounds are how many of each there are in one exploration.
type bounds struct{ files, batches, lives, crashes, rots, syncFails int }

// model is the transition system that explore visits.
type model struct {
	r rules
	b bounds
}
