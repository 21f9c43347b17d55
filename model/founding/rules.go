package main

// rules are the design of a founding. With one of them switched off there must be a counterexample.
type rules struct {
	mintDurable  bool // the mint is durable at the minter before anybody hears of it
	bindDurable  bool // a host is bound, durably, before it answers so
	boundToIt    bool // the minter counts only who is bound to this very founding
	everyFounder bool // the minter waits for every founder (off: for a majority)
	foundedStops bool // the minter does not count who belongs to a cluster
	named        bool // a host adopts a mint only if it names the host's own incarnation
	incarnation  bool // an emptied directory gets another incarnation
	ownNonce     bool // a founding is named by its minter's directory and list; who is bound to another mints none
	sameList     bool // a host binds itself to nobody who was told other founders: a margin while ownNonce holds
	nonceKept    bool // the name of a founding is the same after a restart of the minter
}

// design has all rules on.
func design() rules {
	return rules{
		mintDurable: true, bindDurable: true, boundToIt: true, everyFounder: true, foundedStops: true, named: true,
		incarnation: true, ownNonce: true, sameList: true, nonceKept: true,
	}
}

// bounds are how many kills, emptied directories and lists of founders there are. The lists differ in who
// comes first. live asks each state whether the founding can end.
type bounds struct {
	kills, wipes, lists int
	live                bool
}

// model is the transition system that explore visits.
type model struct {
	r rules
	b bounds
}
