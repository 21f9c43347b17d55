package main

// A run is one exploration with all rules on: it must find nothing.
type run struct {
	name string
	b    bounds
}

func runs() []run {
	return []run{
		{"one replica, power loss", bounds{n: 1, terms: 3, log: 3, power: 2, kill: 1, live: true}},
		{"two replicas, power loss", bounds{n: 2, terms: 2, log: 2, power: 2, live: true}},
		{"all lose power", bounds{n: 3, terms: 2, log: 2, power: 3, live: true}},
		{"rot of a promised entry", bounds{n: 3, terms: 3, log: 2, power: 1, rot: 1, live: true}},
		{
			"kill, rot of the last batch",
			bounds{n: 3, terms: 2, log: 2, kill: 1, power: 1, rotLast: 1, live: true},
		},
		{"all killed, short writes", bounds{n: 3, terms: 2, log: 2, kill: 3, noOps: true, live: true}},
		{
			"kill, then rot of the last batch",
			bounds{n: 3, terms: 2, log: 2, kill: 2, rotLast: 1, noOps: true, live: true},
		},
		{
			"two damaged replicas (safety)",
			bounds{n: 3, terms: 2, log: 2, kill: 2, rot: 1, rotLast: 1, noOps: true},
		},
		{
			"five, a hole",
			bounds{n: 5, terms: 2, log: 2, power: 1, rotLast: 1, noOps: true, start: holeAmongFive},
		},
		{
			"five, stale leader",
			bounds{n: 5, terms: 2, log: 3, kill: 1, rotLast: 1, noOps: true, start: staleLeaderOfFive},
		},
		{"five, election", bounds{n: 5, terms: 1, log: 1, power: 1, noOps: true}},
		{"wiped and replaced", bounds{n: 3, terms: 2, log: 4, wipe: 1, changes: 2, live: true}},
		{
			"wiped and replaced, power loss",
			bounds{n: 3, terms: 2, log: 4, power: 1, wipe: 1, changes: 2, noOps: true, live: true},
		},
		{
			"wiped and rotten (safety)",
			bounds{n: 3, terms: 2, log: 4, power: 1, rot: 1, wipe: 1, changes: 2, noOps: true},
		},
	}
}

// deepRuns take minutes and some gigabytes.
func deepRuns() []run {
	return []run{
		{"three terms, all lose power", bounds{n: 3, terms: 3, log: 2, power: 3, noOps: true, live: true}},
		{
			"wiped and replaced, power loss, three terms",
			bounds{n: 3, terms: 3, log: 4, power: 1, wipe: 1, changes: 2, noOps: true, live: true},
		},
		{"rot and power losses", bounds{n: 3, terms: 3, log: 2, power: 2, rot: 1, noOps: true, live: true}},
	}
}
