package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// The bounds that most rules need to be missed in, and those of other faults.
var (
	crashes = bounds{files: 4, batches: 3, lives: 3, crashes: 2}
	failed  = bounds{files: 4, batches: 2, lives: 3, crashes: 2, syncFails: 1}
	rot     = bounds{files: 4, batches: 3, lives: 2, crashes: 1, rots: 1}
)

// cases are all explorations: of the design, of its variant, and with rules off.
func cases() []explore.Case {
	d := explore.Design[rules, bounds]{Rules: design(), Explore: search}
	v := explore.Design[rules, bounds]{Rules: variant(), Explore: search}
	moreRot := bounds{files: 4, batches: 3, lives: 3, crashes: 2, rots: 1}
	return append([]explore.Case{
		d.Holds("crashes only", crashes, 73_280, explore.Small),
		d.Holds("one failed sync", failed, 19_955, explore.Small),
		d.Holds("one rot, one crash", rot, 36_491, explore.Small),
		d.Holds("one rot", moreRot, 408_279, explore.Wide),
		d.Holds("more crashes", bounds{files: 4, batches: 4, lives: 4, crashes: 3}, 0, explore.Deep),
		v.Holds("variant follow, crashes only", crashes, 0, explore.Wide),
		v.Holds("variant follow, one failed sync", failed, 37_453, explore.Small),
		v.Holds("variant follow, one rot", moreRot, 0, explore.Wide),
	}, breaches(d)...)
}

// breaches are with one rule off, or with one and what covers for it.
func breaches(d explore.Design[rules, bounds]) []explore.Case {
	const lost, rotten, falsely = "LOST: ", "LOST to rot", "FALSE ROT"
	off := func(name, breaks string, rule func(*rules), b bounds) explore.Case {
		return d.Without(name, breaks, rule, b, explore.Small)
	}
	return []explore.Case{
		off("a new life goes on at the cut position", lost, func(r *rules) { r.positionJump = false }, crashes),
		off("open does not sync what it scanned", falsely, func(r *rules) { r.syncTail = false }, crashes),
		off("open trusts the cache after a failed sync", falsely, func(r *rules) { r.bypassCache = false }, failed),
		off("a named end counts as a promise", falsely, func(r *rules) { r.endNoPromise = false }, crashes),
		off("a promise covers writes made while the sync ran", falsely, func(r *rules) { r.promiseIssued = false }, crashes),
		off("a file is reused and filled before the new head is durable", falsely,
			func(r *rules) { r.headFirst, r.headSynced = false, false },
			bounds{files: 4, batches: 4, lives: 2, crashes: 1}),
		off("life and position of frames are not compared", "NOT A PREFIX", func(r *rules) { r.lifeChecked = false },
			bounds{files: 3, batches: 5, lives: 3, crashes: 2}),
		off("promises are ignored", rotten, func(r *rules) { r.promiseCheck = false }, rot),
		off("a lost head is not looked for", rotten, func(r *rules) { r.lostHead = false }, rot),
		off("a batch is written before all up to its segment's head is durable", rotten,
			func(r *rules) { r.headSynced = false }, rot),
		off("a segment no longer named may be unsynced", lost,
			func(r *rules) { r.dropDurable, r.headSynced = false, false }, crashes),
		off("every bad spot is rot", falsely, func(r *rules) { r.torn = false }, crashes),
	}
}
