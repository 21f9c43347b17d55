package main

// A run is one exploration with all rules on: it must find nothing.
type run struct {
	name string
	b    bounds
}

func runs() []run {
	return []run{
		{"killed at any moment", bounds{kills: 3, lists: 1, live: true}},
		{"one list, emptied directories", bounds{kills: 3, wipes: 3, lists: 1}},
		{"two lists, emptied directories", bounds{kills: 2, wipes: 2, lists: 2}},
	}
}

// A breach is an exploration with one rule off, or with one and what covers for it: it must be caught. The
// last breaks no rule: it shows a limit.
type breach struct {
	name string
	off  func(*rules)
	b    bounds
}

func breaches() []breach {
	small := bounds{kills: 2, wipes: 1, lists: 2}
	return []breach{
		{"a mint is told before it is durable", func(r *rules) { r.mintDurable = false }, small},
		{
			"a host answers before it is bound durably", func(r *rules) { r.bindDurable = false },
			bounds{kills: 3, wipes: 1, lists: 2},
		},
		{"a host that is bound to another founding counts", func(r *rules) { r.boundToIt = false }, small},
		{"the minter waits for a majority", func(r *rules) { r.everyFounder = false }, small},
		{"a host of a cluster counts", func(r *rules) { r.foundedStops = false }, small},
		{"a mint is adopted by whom it does not name", func(r *rules) { r.named = false }, small},
		{"an emptied directory keeps its incarnation", func(r *rules) { r.incarnation = false }, small},
		{
			"a minter uses the founding it is bound to", func(r *rules) { r.ownNonce = false },
			bounds{kills: 2, wipes: 2, lists: 2},
		},
		{
			"... and binds hosts that were told other founders",
			func(r *rules) { r.ownNonce, r.sameList = false, false }, small,
		},
		{
			"a restarted minter begins another founding", func(r *rules) { r.nonceKept = false },
			bounds{kills: 1, lists: 1, live: true},
		},
		{
			"(no rule: an answer that is older than three emptied directories) two lists", func(*rules) {},
			bounds{wipes: 3, lists: 2},
		},
	}
}
