package main

// rules are the design of carrying entries forward. With one of them switched off there must be a
// counterexample. Beside each stands what implements it, in internal/wal.
type rules struct {
	carried  bool // a carried entry replaces nothing, unlike one that is appended: replayed.put
	live     bool // it is carried only if it is still where it was when it was listed: carryInto
	synced   bool // its old place is given up once the new one is durable: moveCarried
	front    bool // segments are freed from the front of the chain alone: dead
	named    bool // ... once a head that does not name them is durable: roll
	base     bool // a head repeats where the log begins: headOf
	newest   bool // only the newest segment is left out, what remains of it in the next head: remainsOf
	appended bool // ... where it goes as what it was, appended or carried: remains.add
	whole    bool // ... and if all of the log is in it, in place of all that was before: remains.add
}

// design has all rules on.
func design() rules {
	return rules{
		carried: true, live: true, synced: true, front: true, named: true, base: true, newest: true, appended: true,
		whole: true,
	}
}

// bounds are the indexes of the log, the versions that entries have, the segments of a chain, and the records of each.
type bounds struct{ log, versions, segments, records uint8 }

// model is the transition system that explore visits.
type model struct {
	r rules
	b bounds
}
