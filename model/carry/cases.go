package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// cases are all explorations.
func cases() []explore.Case {
	d := explore.Design[rules, bounds]{Rules: design(), Explore: search}
	small := bounds{log: 2, versions: 2, segments: 3, records: 2}
	large := bounds{log: 3, versions: 2, segments: 3, records: 2}
	off := func(name, breaks string, rule func(*rules), b bounds) explore.Case {
		return d.Without(name, breaks, rule, b, explore.Small)
	}
	return []explore.Case{
		d.Holds("two entries", small, 296_776, explore.Small),
		d.Holds("three entries", large, 2_802_284, explore.Wide),

		off("a carried entry replaces what is behind it", "LOST", func(r *rules) { r.carried = false }, large),
		off("what was listed is carried, whatever came since", "RAISED", func(r *rules) { r.live = false }, large),
		off("a carried entry counts before it is durable", "LOST", func(r *rules) { r.synced = false }, large),
		off("any dead segment is freed", "RAISED", func(r *rules) { r.front = false }, large),
		off("a segment is used again before the head without it is durable", "GAP", func(r *rules) { r.named = false }, large),
		off("heads do not say where the log begins", "LOST", func(r *rules) { r.base = false }, large),
		off("any segment is left out", "LOST", func(r *rules) { r.newest = false }, large),
		off("what remains goes as carried", "RAISED", func(r *rules) { r.appended = false }, large),
		off("what remains never replaces the former log", "RAISED", func(r *rules) { r.whole = false }, large),
	}
}
