package main

// rules are the design of saves. With one of them switched off there must be a counterexample. Beside each
// stands what implements it.
type rules struct {
	inOrder  bool // saves that carry log become durable and are reported in order: one writer, internal/host.saveQueue, W1
	lowered  bool // a truncation lowers what running saves will claim: raft.(*Replica).truncate
	newest   bool // a term that has passed saves that wait is not followed by theirs: saveQueue.settleHard
	silence  bool // what is given up is not acknowledged, though it may be written: giveUpUnsaved, saveQueue.giveUp
	after    bool // an acknowledgement leaves after the save of what it names: flushAck
	floorOwn bool // a floor is at most what was durable before its save: floor
	floorIn  bool // ... and left only while the term is durable in which it was told: floor. A margin of three replicas
}

// design has all rules on.
func design() rules {
	return rules{
		inOrder: true, lowered: true, newest: true, silence: true, after: true,
		floorOwn: true, floorIn: true,
	}
}

// bounds are how many there are of each: terms, entries of a log, saves on their way, crashes, times that a
// disk is full, and compactions.
type bounds struct{ terms, log, saves, crashes, full, bares uint8 }

// model is the transition system that explore visits.
type model struct {
	r      rules
	b      bounds
	orders [][]uint8
}
