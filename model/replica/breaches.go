package main

// A breach is an exploration with one rule off, or where no rule can help: it must be caught.
type breach struct {
	name string
	off  func(*rules)
	b    bounds
}

func breaches() []breach { return append(breachesOfVoting(), breachesOfRecovery()...) }

// breachesOfVoting are about what is durable when, and about holes.
func breachesOfVoting() []breach {
	return []breach{
		{
			"a: vote acted on before it is durable", func(r *rules) { r.voteSynced = false },
			bounds{n: 3, terms: 1, log: 1, power: 1},
		},
		{
			"a2: vote acted on after one batch", func(r *rules) { r.voteTwice = false },
			bounds{n: 3, terms: 1, log: 1, power: 1, rotLast: 1},
		},
		{
			"b: torn taken for rot", func(r *rules) { r.tornIsEnd = false },
			bounds{n: 3, terms: 2, log: 2, power: 3, live: true},
		},
		{
			"c: rot taken for torn", func(r *rules) { r.rotIsHole = false },
			bounds{n: 3, terms: 2, log: 2, power: 1, rot: 1},
		},
		{
			"d: a wiped replica votes as before", func(r *rules) { r.wipedSilent = false },
			bounds{n: 3, terms: 2, log: 2, wipe: 1},
		},
		{
			"e1: NEVER from a damaged replica", func(r *rules) { r.neverIntact = false },
			bounds{n: 3, terms: 2, log: 2, kill: 2, rot: 1, rotLast: 1, noOps: true},
		},
		{
			"e2: NEVER before the term is adopted", func(r *rules) { r.neverAdopted = false },
			bounds{n: 5, terms: 2, log: 2, noOps: true, start: holeAmongFive},
		},
		{
			"e3: NEVER on a term adopted in one batch only", func(r *rules) { r.neverTwice = false },
			bounds{n: 5, terms: 2, log: 2, power: 1, rotLast: 1, noOps: true, start: holeAmongFive},
		},
		{
			"e4: NEVER asked of the last configuration only", func(r *rules) { r.neverAll = false },
			bounds{n: 3, terms: 2, log: 4, power: 1, rot: 1, wipe: 1, changes: 2, noOps: true},
		},
	}
}

// breachesOfRecovery are about damaged logs, counting, and opening. The last two break no rule: they show
// what no rule can help.
func breachesOfRecovery() []breach {
	return []breach{
		{
			"f: HEAD-UNKNOWN votes", func(r *rules) { r.headNoVote = false },
			bounds{n: 3, terms: 2, log: 2, kill: 1, rotLast: 1},
		},
		{
			"f2: HEAD-UNKNOWN forgotten by a restart", func(r *rules) { r.headKept = false },
			bounds{n: 3, terms: 2, log: 2, kill: 2, rotLast: 1},
		},
		{
			"f3: HEAD-UNKNOWN ends through an unconfirmed leader", func(r *rules) { r.headConfirm = false },
			bounds{n: 5, terms: 3, log: 3, kill: 1, rotLast: 1, noOps: true, start: staleLeaderOfFive},
		},
		{
			"g: an unsynced leader copy counts", func(r *rules) { r.leaderSaved = false },
			bounds{n: 3, terms: 2, log: 2, power: 1},
		},
		{
			"h: an old term's entry commits by counting", func(r *rules) { r.ownTerm = false },
			bounds{n: 3, terms: 4, log: 2},
		},
		{
			"i: a hole-holder leads without repair", func(r *rules) { r.repairFirst = false },
			bounds{n: 3, terms: 2, log: 2, power: 1, rot: 1},
		},
		{
			"k: open relies on the page cache", func(r *rules) { r.openSyncs = false },
			bounds{n: 3, terms: 2, log: 2, kill: 1, power: 1, noOps: true},
		},
		{
			"l: a short write under the same boot is HEAD-UNKNOWN", func(r *rules) { r.shortWrite = false },
			bounds{n: 3, terms: 2, log: 2, kill: 2, live: true},
		},
		{
			"(no rule: two replicas have no spare) HEAD-UNKNOWN", func(*rules) {},
			bounds{n: 2, terms: 2, log: 2, kill: 1, rotLast: 1, live: true},
		},
		{
			"(no rule: the stated remainder) rot of the last unpromised entry and power loss", func(*rules) {},
			bounds{n: 3, terms: 2, log: 2, power: 1, rotLast: 1, residual: true},
		},
	}
}
