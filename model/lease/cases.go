package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// cases are all explorations.
func cases() []explore.Case {
	d := explore.Design[rules, bounds]{Rules: design(), Explore: search}
	plain := bounds{terms: 2, log: 2, restarts: 1, jumps: 1, length: 3}
	three := bounds{terms: 3, log: 3, restarts: 1, length: 3}
	longer := bounds{terms: 2, log: 3, length: 2, change: 4}
	shorter := bounds{terms: 2, log: 3, length: 4, change: 2}
	off := func(name string, rule func(*rules), b bounds) explore.Case {
		return d.Without(name, "STALE READ", rule, b, explore.Small)
	}
	return []explore.Case{
		d.Holds("two terms", plain, 13_783, explore.Small),
		d.Holds("three terms", three, 1_106_507, explore.Wide),
		d.Holds("leases become longer", longer, 24_109, explore.Small),
		d.Holds("leases become shorter", shorter, 20_427, explore.Small),
		d.Holds("leases become shorter, three terms",
			bounds{terms: 3, log: 4, length: 3, change: 2}, 0, explore.Deep),

		off("a lease is granted before its entry is committed", func(r *rules) { r.committed = false }, plain),
		off("a lease counts from the commit", func(r *rules) { r.append = false }, plain),
		off("a holder trusts its clock", func(r *rules) { r.lessDrift = false }, plain),
		off("a new leader commits at once", func(r *rules) { r.defers = false }, plain),
		off("a new leader counts from its start", func(r *rules) { r.election = false }, plain),
		off("who led last does not wait again", func(r *rules) { r.always = false }, three),
		off("who was asked to take over does not wait", func(r *rules) { r.handover = false }, plain),
		off("... and who asked has no lease until it gives up",
			func(r *rules) { r.handover, r.holds = false, false }, plain),
		off("wall clocks count", func(r *rules) { r.monotonic = false }, plain),
		off("the clock is read before the read comes", func(r *rules) { r.fresh = false }, plain),
		off("a holder uses the newest length", func(r *rules) { r.shortest = false }, longer),
		off("a holder uses the committed length, who waits the newest",
			func(r *rules) { r.shortest, r.longest = false, false }, shorter),
	}
}
