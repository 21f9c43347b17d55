package main

// A run is one exploration with all rules on: it must find nothing.
type run struct {
	name string
	b    bounds
}

func runs(deep bool) []run {
	list := []run{
		{"crashes only", small()},
		{"one failed sync", bounds{files: 4, batches: 2, lives: 3, crashes: 2, syncFails: 1}},
		{"one rot", bounds{files: 4, batches: 3, lives: 3, crashes: 2, rots: 1}},
	}
	if deep {
		list[0].b = bounds{files: 4, batches: 4, lives: 4, crashes: 3}
	}
	return list
}

// small are the bounds that most rules need to be missed in.
func small() bounds { return bounds{files: 4, batches: 3, lives: 3, crashes: 2} }

// A breach is an exploration with one rule off, or with one and what covers for it: it must be caught.
type breach struct {
	name string
	off  func(*rules)
	b    bounds
}

func breaches() []breach {
	return []breach{
		{"a new life goes on at the cut position", func(r *rules) { r.positionJump = false }, small()},
		{"open does not sync what it scanned", func(r *rules) { r.syncTail = false }, small()},
		{
			"open trusts the cache after a failed sync", func(r *rules) { r.bypassCache = false },
			bounds{files: 4, batches: 2, lives: 3, crashes: 2, syncFails: 1},
		},
		{"a named end counts as a promise", func(r *rules) { r.endNoPromise = false }, small()},
		{"a promise covers writes made while the sync ran", func(r *rules) { r.promiseIssued = false }, small()},
		{
			"a file is reused and filled before the new head is durable",
			func(r *rules) { r.headFirst, r.headSynced = false, false },
			bounds{files: 4, batches: 4, lives: 2, crashes: 1},
		},
		{
			"life and position of frames are not compared", func(r *rules) { r.lifeChecked = false },
			bounds{files: 3, batches: 5, lives: 3, crashes: 2},
		},
		{
			"promises are ignored", func(r *rules) { r.promiseCheck = false },
			bounds{files: 4, batches: 3, lives: 2, crashes: 1, rots: 1},
		},
		{
			"a lost head is not looked for", func(r *rules) { r.lostHead = false },
			bounds{files: 4, batches: 3, lives: 2, crashes: 1, rots: 1},
		},
		{
			"a batch is written before all up to its segment's head is durable",
			func(r *rules) { r.headSynced = false },
			bounds{files: 4, batches: 3, lives: 2, crashes: 1, rots: 1},
		},
		{
			"a segment no longer named may be unsynced",
			func(r *rules) { r.dropDurable, r.headSynced = false, false }, small(),
		},
		{"every bad spot is rot", func(r *rules) { r.torn = false }, small()},
	}
}
