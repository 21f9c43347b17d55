package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// cases are all explorations. Those with full disks are too long for tests.
func cases() []explore.Case {
	d := explore.Design[rules, bounds]{Rules: design(), Explore: search}
	plain := bounds{terms: 2, log: 2, saves: 2, crashes: 1}
	full := bounds{terms: 2, log: 2, saves: 3, full: 1, crashes: 1}
	floors := bounds{terms: 3, log: 1, saves: 3, full: 1, crashes: 1, bares: 1}
	off := func(name, breaks string, rule func(*rules), b bounds) explore.Case {
		size := explore.Small
		if b.full > 0 {
			size = explore.Wide
		}
		return d.Without(name, breaks, rule, b, size)
	}
	return []explore.Case{
		d.Holds("a crash", plain, 300_235, explore.Small),
		d.Holds("a full disk", full, 2_944_188, explore.Wide),
		d.Holds("a full disk, three terms", floors, 5_239_646, explore.Wide),

		off("a truncation leaves the claims of running saves", "NOT SAVED", func(r *rules) { r.lowered = false }, plain),
		off("several writers: saves become durable in any order", "NOT SAVED", func(r *rules) { r.inOrder = false }, plain),
		off("a term that passed is followed by an older one", "CONTRADICTED", func(r *rules) { r.newest = false }, full),
		off("what is given up is acknowledged", "LOST", func(r *rules) { r.silence = false }, full),
		off("acknowledged before it is saved", "LOST", func(r *rules) { r.after = false }, plain),
		off("a floor is all that was told", "FALSE FLOOR", func(r *rules) { r.floorOwn = false }, floors),
	}
}
