package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// cases are all explorations. The last breaks no rule: it shows a limit.
func cases() []explore.Case {
	d := explore.Design[rules, bounds]{Rules: design(), Explore: search}
	small := bounds{kills: 2, wipes: 1, lists: 2}
	const two, vote = "TWO CLUSTERS", "A VOTE OF ANOTHER LIFE"
	off := func(name, breaks string, rule func(*rules), b bounds) explore.Case {
		return d.Without(name, breaks, rule, b, explore.Small)
	}
	return []explore.Case{
		d.Holds("killed at any moment", bounds{kills: 3, lists: 1, live: true}, 272, explore.Small),
		d.Holds("one list, emptied directories", bounds{kills: 3, wipes: 3, lists: 1}, 39_560, explore.Small),
		d.Holds("two lists, emptied directories", bounds{kills: 2, wipes: 2, lists: 2}, 50_373, explore.Small),

		off("a mint is told before it is durable", two, func(r *rules) { r.mintDurable = false }, small),
		off("a host answers before it is bound durably", two, func(r *rules) { r.bindDurable = false },
			bounds{kills: 3, wipes: 1, lists: 2}),
		off("a host that is bound to another founding counts", two, func(r *rules) { r.boundToIt = false }, small),
		off("the minter waits for a majority", two, func(r *rules) { r.everyFounder = false }, small),
		off("a host of a cluster counts", two, func(r *rules) { r.foundedStops = false }, small),
		off("a mint is adopted by whom it does not name", vote, func(r *rules) { r.named = false }, small),
		off("an emptied directory keeps its incarnation", vote, func(r *rules) { r.incarnation = false }, small),
		off("a minter uses the founding it is bound to", two, func(r *rules) { r.ownNonce = false },
			bounds{kills: 2, wipes: 2, lists: 2}),
		off("... and binds hosts that were told other founders", two,
			func(r *rules) { r.ownNonce, r.sameList = false, false }, small),
		off("a restarted minter begins another founding", "DEAD END", func(r *rules) { r.nonceKept = false },
			bounds{kills: 1, lists: 1, live: true}),
		off("(no rule: an answer that is older than three emptied directories) two lists", two, func(*rules) {},
			bounds{wipes: 3, lists: 2}),
	}
}
