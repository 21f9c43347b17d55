package main

// rules are the design of saves. With one of them switched off there must be a counterexample. Beside each
// stands what implements it.
type rules struct {
	inOrder  bool // saves that carry log become durable and are reported in order: one writer, internal/host.saveQueue, W1
	alone    bool // what replaces log goes alone: saveQueue.add, mayGo
	lowered  bool // a truncation lowers what running saves will claim: raft.(*Replica).truncate
	newest   bool // a term that has passed saves that wait is not followed by theirs: saveQueue.settleHard
	silence  bool // what is given up is not acknowledged, though it may be written: giveUpUnsaved, saveQueue.giveUp
	after    bool // an acknowledgement leaves after the save of what it names: flushAck
	held     bool // a term that passes releases nothing of the entries that it passed: done, supersede
	floorOwn bool // a floor is at most what was durable before its save: floor
	floorIn  bool // ... and left only while the term is durable in which it was told: floor. A margin of three replicas

	// Of saves that wait and are merged: internal/host/merge.go.
	owed     bool // entries with which a term is merged are reported once a later one is durable: take, owes
	spared   bool // the newest term that waits is not merged into entries: mergesWith
	bothHard bool // entries with a term are not merged into ones without: extendedBy
	taken    bool // what a later save replaces is taken back before they are merged: takeBack
	voted    bool // of terms that are merged the newest is written with its vote: take
}

// design has all rules on.
func design() rules {
	return rules{
		inOrder: true, alone: true, lowered: true, newest: true, silence: true, after: true, held: true, floorOwn: true, floorIn: true,
		owed: true, spared: true, bothHard: true, taken: true, voted: true,
	}
}

// bounds are how many there are of each: terms, entries of a log, saves on their way, crashes, times that a
// disk is full, how full then, compactions, and answers given again. Loose is how many saves wait before those with log
// are merged (0: never), flying how many terms are on their way at once. Late, if not 0: only replicas crash whose disk is
// full, or has taken no entries since.
type bounds struct{ terms, log, saves, crashes, fills, full, bares, answers, loose, flying, late uint8 }

// model is the transition system that explore visits.
type model struct {
	r      rules
	b      bounds
	orders [][]uint8
}
