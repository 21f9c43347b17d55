package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// How the properties begin that rules protect.
const (
	two   = "TWO LEADERS"
	lost  = "LOST"
	other = "LOST: another entry"
	dead  = "DEAD END"
)

// cases are all explorations.
func cases() []explore.Case {
	d := explore.Design[rules, bounds]{Rules: design(), Explore: search}
	all := []explore.Case{
		d.Holds("one replica, power loss",
			bounds{n: 1, terms: 3, log: 3, power: 2, kill: 1, live: true}, 10_051, explore.Small),
		d.Holds("two replicas, power loss", bounds{n: 2, terms: 2, log: 2, power: 2, live: true}, 9_771, explore.Small),
		d.Holds("two replicas, one may rot",
			bounds{n: 2, terms: 2, log: 2, power: 1, rot: 1, live: true}, 6_542, explore.Small),
		d.Holds("three replicas, one may be wiped",
			bounds{n: 3, terms: 1, log: 2, wipe: 1, changes: 1, live: true}, 8_821, explore.Small),
		d.Holds("all lose power", bounds{n: 3, terms: 2, log: 2, power: 3, live: true}, 0, explore.Wide),
		d.Holds("rot of a promised entry", bounds{n: 3, terms: 3, log: 2, power: 1, rot: 1, live: true}, 0, explore.Wide),
		d.Holds("kill, rot of the last batch",
			bounds{n: 3, terms: 2, log: 2, kill: 1, power: 1, rotLast: 1, live: true}, 0, explore.Wide),
		d.Holds("all killed, short writes",
			bounds{n: 3, terms: 2, log: 2, kill: 3, noOps: true, live: true}, 0, explore.Wide),
		d.Holds("kill, then rot of the last batch",
			bounds{n: 3, terms: 2, log: 2, kill: 2, rotLast: 1, noOps: true, live: true}, 0, explore.Wide),
		d.Holds("two damaged replicas (safety)",
			bounds{n: 3, terms: 2, log: 2, kill: 2, rot: 1, rotLast: 1, noOps: true}, 0, explore.Wide),
		d.Holds("five, a hole",
			bounds{n: 5, terms: 2, log: 2, power: 1, rotLast: 1, noOps: true, start: holeAmongFive}, 0, explore.Wide),
		d.Holds("five, stale leader",
			bounds{n: 5, terms: 2, log: 3, kill: 1, rotLast: 1, noOps: true, start: staleLeaderOfFive}, 0, explore.Wide),
		d.Holds("five, election", bounds{n: 5, terms: 1, log: 1, power: 1, noOps: true}, 0, explore.Wide),
		d.Holds("wiped and replaced", bounds{n: 3, terms: 2, log: 4, wipe: 1, changes: 2, live: true}, 0, explore.Wide),
		d.Holds("wiped and replaced, power loss",
			bounds{n: 3, terms: 2, log: 4, power: 1, wipe: 1, changes: 2, noOps: true, live: true}, 0, explore.Wide),
		d.Holds("wiped and rotten (safety)",
			bounds{n: 3, terms: 2, log: 4, power: 1, rot: 1, wipe: 1, changes: 2, noOps: true}, 0, explore.Wide),
		d.Holds("three terms, all lose power",
			bounds{n: 3, terms: 3, log: 2, power: 3, noOps: true, live: true}, 0, explore.Deep),
		d.Holds("wiped and replaced, power loss, three terms",
			bounds{n: 3, terms: 3, log: 4, power: 1, wipe: 1, changes: 2, noOps: true, live: true}, 0, explore.Deep),
		d.Holds("rot and power losses",
			bounds{n: 3, terms: 3, log: 2, power: 2, rot: 1, noOps: true, live: true}, 0, explore.Deep),
	}
	all = append(all, breachesOfVoting(d)...)
	return append(all, breachesOfRecovery(d)...)
}

// breachesOfVoting are about what is durable when, and about holes.
func breachesOfVoting(d explore.Design[rules, bounds]) []explore.Case {
	return []explore.Case{
		d.Without("a: vote acted on before it is durable", two, func(r *rules) { r.voteSynced = false },
			bounds{n: 3, terms: 1, log: 1, power: 1}, explore.Small),
		d.Without("a2: vote acted on after one batch", two, func(r *rules) { r.voteTwice = false },
			bounds{n: 3, terms: 1, log: 1, power: 1, rotLast: 1}, explore.Small),
		d.Without("b: torn taken for rot", dead, func(r *rules) { r.tornIsEnd = false },
			bounds{n: 3, terms: 2, log: 2, power: 3, live: true}, explore.Small),
		d.Without("c: rot taken for torn", lost, func(r *rules) { r.rotIsHole = false },
			bounds{n: 3, terms: 2, log: 2, power: 1, rot: 1}, explore.Wide),
		d.Without("d: a wiped replica votes as before", two, func(r *rules) { r.wipedSilent = false },
			bounds{n: 3, terms: 2, log: 2, wipe: 1}, explore.Small),
		d.Without("e1: NEVER from a damaged replica", lost, func(r *rules) { r.neverIntact = false },
			bounds{n: 3, terms: 2, log: 2, kill: 2, rot: 1, rotLast: 1, noOps: true}, explore.Wide),
		d.Without("e2: NEVER before the term is adopted", other, func(r *rules) { r.neverAdopted = false },
			bounds{n: 5, terms: 2, log: 2, noOps: true, start: holeAmongFive}, explore.Small),
		d.Without("e3: NEVER on a term adopted in one batch only", lost, func(r *rules) { r.neverTwice = false },
			bounds{n: 5, terms: 2, log: 2, power: 1, rotLast: 1, noOps: true, start: holeAmongFive}, explore.Wide),
		d.Without("e4: NEVER asked of the last configuration only", lost, func(r *rules) { r.neverAll = false },
			bounds{n: 3, terms: 2, log: 4, power: 1, rot: 1, wipe: 1, changes: 2, noOps: true}, explore.Wide),
	}
}

// breachesOfRecovery are about damaged logs, counting, and opening. The last two break no rule: they show
// what no rule can help.
func breachesOfRecovery(d explore.Design[rules, bounds]) []explore.Case {
	return []explore.Case{
		d.Without("f: HEAD-UNKNOWN votes", lost, func(r *rules) { r.headNoVote = false },
			bounds{n: 3, terms: 2, log: 2, kill: 1, rotLast: 1}, explore.Wide),
		d.Without("f2: HEAD-UNKNOWN forgotten by a restart", lost, func(r *rules) { r.headKept = false },
			bounds{n: 3, terms: 2, log: 2, kill: 2, rotLast: 1}, explore.Wide),
		d.Without("f3: HEAD-UNKNOWN ends through an unconfirmed leader", lost, func(r *rules) { r.headConfirm = false },
			bounds{n: 5, terms: 3, log: 3, kill: 1, rotLast: 1, noOps: true, start: staleLeaderOfFive}, explore.Wide),
		d.Without("g: an unsynced leader copy counts", lost, func(r *rules) { r.leaderSaved = false },
			bounds{n: 3, terms: 2, log: 2, power: 1}, explore.Wide),
		d.Without("h: an old term's entry commits by counting", lost, func(r *rules) { r.ownTerm = false },
			bounds{n: 3, terms: 4, log: 2}, explore.Wide),
		d.Without("i: a hole-holder leads without repair", lost, func(r *rules) { r.repairFirst = false },
			bounds{n: 3, terms: 2, log: 2, power: 1, rot: 1}, explore.Wide),
		d.Without("k: open relies on the page cache", lost, func(r *rules) { r.openSyncs = false },
			bounds{n: 3, terms: 2, log: 2, kill: 1, power: 1, noOps: true}, explore.Wide),
		d.Without("l: a short write under the same boot is HEAD-UNKNOWN", dead, func(r *rules) { r.shortWrite = false },
			bounds{n: 3, terms: 2, log: 2, kill: 2, live: true}, explore.Small),
		d.Without("(no rule: two replicas have no spare) HEAD-UNKNOWN", dead, func(*rules) {},
			bounds{n: 2, terms: 2, log: 2, kill: 1, rotLast: 1, live: true}, explore.Small),
		d.Without("(no rule: the stated remainder) rot of the last unpromised entry and power loss", lost, func(*rules) {},
			bounds{n: 3, terms: 2, log: 2, power: 1, rotLast: 1, residual: true}, explore.Wide),
	}
}
