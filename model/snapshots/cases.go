package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// cases are all explorations.
func cases() []explore.Case {
	d := explore.Design[rules, bounds]{Rules: design(), Explore: search}
	crash := bounds{log: 2, crashes: 2, differs: 1, live: true}
	rot := bounds{log: 2, crashes: 1, rots: 1, live: true}
	press := bounds{log: 2, crashes: 1, rots: 1, press: true, live: true}
	safe := bounds{log: 3, crashes: 1, press: true}
	most := bounds{log: 3, press: true}
	both := bounds{log: 2, crashes: 1, differs: 1, press: true, live: true}
	differ := bounds{log: 3, crashes: 1, differs: 1, press: true}
	off := func(name, breaks string, rule func(*rules), b bounds) explore.Case {
		return d.Without(name, breaks, rule, b, explore.Small)
	}
	return []explore.Case{
		d.Holds("one entry, and all of it", bounds{log: 1, crashes: 2, rots: 1, differs: 1, press: true, live: true},
			68_432, explore.Small),
		d.Holds("logs that press", bounds{log: 2, press: true, live: true}, 42_583, explore.Small),
		d.Holds("crashes, and a machine that differs", crash, 3_795_183, explore.Wide),
		d.Holds("a rotten snapshot", rot, 1_838_728, explore.Wide),
		d.Holds("a rotten snapshot, and logs that press", press, 3_749_260, explore.Wide),
		d.Holds("logs that press, three entries", most, 3_665_968, explore.Wide),
		d.Holds("a machine that differs, and logs that press", both, 1_678_465, explore.Wide),

		off("one report is enough", "SPREAD", func(r *rules) { r.majority = false }, differ),
		off("whatever state is agreed, ours is", "SPREAD", func(r *rules) { r.own = false }, differ),
		off("a snapshot that is not agreed is restored", "SPREAD", func(r *rules) { r.restores = false }, differ),
		off("a snapshot that is not agreed is streamed", "SPREAD", func(r *rules) { r.streams = false }, differ),
		off("the log is cut behind one that is not agreed", "NO STATE", func(r *rules) { r.cuts = false }, differ),
		off("the log is cut behind what was executed", "NO STATE", func(r *rules) { r.covered = false }, differ),
		off("a machine that is known to differ serves on", "ANSWERS", func(r *rules) { r.stops = false }, differ),
		off("what it sealed stays", "SPREAD", func(r *rules) { r.drops = false }, differ),
		d.Without("what it sealed is agreed after it received another", "SPREAD", func(r *rules) { r.forgets = false },
			differ, explore.Wide),
		off("an older snapshot replaces the log", "LOST", func(r *rules) { r.older = false }, safe),
		off("a received snapshot replaces the whole log", "LOST", func(r *rules) { r.suffix = false }, safe),
		off("what was received is forgotten by a crash", "NO STATE", func(r *rules) { r.adopts = false }, safe),
		off("the newest snapshot or none", "NO STATE", func(r *rules) { r.passes = false }, rot),
		off("the log is cut behind the newest snapshot", "NO STATE", func(r *rules) { r.previous = false }, rot),
		off("nobody asks the others for a state", "DEAD END", func(r *rules) { r.foreign = false }, press),
	}
}
