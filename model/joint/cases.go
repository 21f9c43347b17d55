package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// Sets of voters.
const (
	a    set = 1
	b    set = 2
	c    set = 4
	e    set = 8
	abc      = a | b | c
	lost     = "LOST"
)

// cases are all explorations.
func cases() []explore.Case {
	d := explore.Design[rules, bounds]{Rules: design(), Explore: search}
	two := bounds{sets: [3]set{a, b}, terms: 3, log: 5, restarts: 1, live: true}
	back := bounds{sets: [3]set{a, b, a}, terms: 3, log: 5, restarts: 1, live: true}
	three := bounds{sets: [3]set{abc, a}, terms: 3, log: 4}
	four := bounds{sets: [3]set{abc, a}, terms: 4, log: 5}
	again := bounds{sets: [3]set{abc, a, e}, terms: 2, log: 4}
	alone := bounds{sets: [3]set{abc, a}, terms: 3, log: 4, restarts: 1}
	all := bounds{sets: [3]set{a | b, c | e}, terms: 2, log: 3}
	most := bounds{sets: [3]set{abc, c | e}, terms: 2, log: 3}
	off := func(name, breaks string, rule func(*rules), b bounds) explore.Case {
		size := explore.Small
		if b == four {
			size = explore.Wide
		}
		return d.Without(name, breaks, rule, b, size)
	}
	return []explore.Case{
		d.Holds("one voter for another", two, 4_266, explore.Small),
		d.Holds("and back", back, 5_264, explore.Small),
		d.Holds("three to one", three, 193_667, explore.Small),
		d.Holds("three to one, four terms", four, 2_119_688, explore.Wide),
		d.Holds("three sets", again, 1_316_995, explore.Wide),
		d.Holds("two for two others", all, 19_146, explore.Small),
		d.Holds("three to two, of whom one stays", most, 252_734, explore.Wide),

		off("candidates need the new voters alone", "TWO LEADERS", func(r *rules) { r.votes = false }, alone),
		off("entries need the new voters alone", lost, func(r *rules) { r.commits = false }, three),
		off("a configuration is in force once committed", lost, func(r *rules) { r.append = false }, three),
		off("a truncated configuration stays in force", lost, func(r *rules) { r.reverts = false }, four),
		off("a joint configuration is left before it is committed", lost, func(r *rules) { r.settled = false }, three),
		off("a change begins during another", lost, func(r *rules) { r.oneByOne = false }, again),
		off("only who began it leaves a joint configuration", "DEAD END", func(r *rules) { r.anyone = false }, two),
		off("from one set of voters to the other", lost, func(r *rules) { r.both = false }, three),
		off("a leader counts itself, voter or not", "DEAD END", func(r *rules) { r.member = false }, two),
	}
}
