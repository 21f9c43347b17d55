package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// cases are all explorations. Those with full disks are too long for tests, but for the smallest.
func cases() []explore.Case {
	d := explore.Design[rules, bounds]{Rules: design(), Explore: search}
	plain := bounds{terms: 2, log: 2, saves: 2, crashes: 1, flying: 2}
	full := bounds{terms: 2, log: 2, saves: 3, fills: 1, full: noEntries, crashes: 1, flying: 2}
	floors := bounds{terms: 3, log: 1, saves: 3, fills: 1, full: noEntries, crashes: 1, bares: 1, flying: 2}
	merged := bounds{terms: 2, log: 1, saves: 3, fills: 1, full: nothing, crashes: 1, loose: 1, flying: 1, late: 1}
	answers, two := merged, merged
	answers.answers, answers.late = 1, 0
	two.log = 2
	three := merged
	three.terms = 3
	off := func(name, breaks string, rule func(*rules), b bounds) explore.Case {
		size := explore.Small
		if b.fills > 0 && b.loose == 0 {
			size = explore.Wide
		}
		return d.Without(name, breaks, rule, b, size)
	}
	return []explore.Case{
		d.Holds("a crash", plain, 300_175, explore.Small),
		d.Holds("a full disk", full, 2_787_789, explore.Wide),
		d.Holds("a full disk, three terms", floors, 3_157_280, explore.Wide),
		d.Holds("merged, one entry", merged, 53_352, explore.Small),
		d.Holds("merged, one entry, and an answer", answers, 967_534, explore.Wide),
		d.Holds("merged, two entries", two, 1_402_571, explore.Wide),
		d.Holds("merged, three terms", three, 708_182, explore.Wide),

		off("a truncation leaves the claims of running saves", "NOT SAVED", func(r *rules) { r.lowered = false }, plain),
		off("several writers: saves become durable in any order", "NOT SAVED", func(r *rules) { r.inOrder = false }, plain),
		off("what replaces log goes with others", "MIXED", func(r *rules) { r.alone = false }, full),
		off("a term that passed is followed by an older one", "NOT SAVED", func(r *rules) { r.newest = false }, full),
		off("what is given up is acknowledged", "LOST", func(r *rules) { r.silence = false }, full),
		off("acknowledged before it is saved", "LOST", func(r *rules) { r.after = false }, plain),
		off("a floor is all that was told", "FALSE FLOOR", func(r *rules) { r.floorOwn = false }, floors),
		off("a term releases what the entries say that it passed", "TOLD", func(r *rules) { r.held = false }, merged),

		off("entries are reported with a term that was merged and waits", "NOT SAVED", func(r *rules) { r.owed = false }, merged),
		off("the newest term is merged into entries", "STUCK", func(r *rules) { r.spared = false }, merged),
		off("entries with a term are merged into ones without", "NOT SAVED", func(r *rules) { r.bothHard = false }, two),
		off("a truncation is lost as saves are merged", "TOLD", func(r *rules) { r.taken = false }, two),
		off("the newest of merged terms is written without its vote", "NOT SAVED", func(r *rules) { r.voted = false }, merged),
	}
}
