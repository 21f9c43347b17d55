package main

import "fmt"

// rules are the design of voting, acknowledging and recovery. With one of them switched off there must be
// a counterexample.
type rules struct {
	voteSynced   bool // a vote is acted on only when durable
	voteTwice    bool // ... in two consecutive batches
	tornIsEnd    bool // after a power loss an unpromised bad spot is the end (off: it is rot)
	rotIsHole    bool // a bad spot below a promise is a hole (off: it is the end)
	wipedSilent  bool // a wiped directory gets a new incarnation, without a vote until a configuration names it
	neverIntact  bool // NEVER counts only from a replica whose identities are all known
	neverAdopted bool // NEVER counts only from a replica that has durably adopted the asker's term
	neverTwice   bool // ... and that adoption is promised by a second batch, as a vote is
	neverAll     bool // ... and must block every configuration from the one in force at the hole to the last
	headNoVote   bool // HEAD-UNKNOWN does not vote
	headKept     bool // HEAD-UNKNOWN survives a restart
	headConfirm  bool // HEAD-UNKNOWN ends only through a leader that a quorum confirmed after the restart
	leaderSaved  bool // a leader counts its own copy only when durable
	ownTerm      bool // only an entry of the leader's own term commits by counting
	repairFirst  bool // a candidate with holes repairs before it leads
	ackTerm      bool // an ack in a term is sent only when that term is durable
	openSyncs    bool // open makes what it read durable before anybody relies on it
	shortWrite   bool // same boot: a short final write is the end (off: HEAD-UNKNOWN)
	incarnation  bool // votes, acks and NEVER count for the incarnation that the counter's configuration names
}

// design has all rules on.
func design() rules {
	return rules{
		voteSynced: true, voteTwice: true, tornIsEnd: true, rotIsHole: true, wipedSilent: true, neverIntact: true,
		neverAdopted: true, neverTwice: true, neverAll: true, headNoVote: true, headKept: true, headConfirm: true,
		leaderSaved: true, ownTerm: true, repairFirst: true, ackTerm: true, openSyncs: true, shortWrite: true,
		incarnation: true,
	}
}

// bounds are how many of each there are in one exploration: replicas, terms, entries of a log, faults by
// kind, changes of the configuration.
type bounds struct {
	n, terms, log                            int
	power, kill, rot, rotLast, wipe, changes int

	residual bool // rotLast may also hit entries before a power loss
	live     bool // every state is asked whether some run from it commits something
	noOps    bool // a leader appends its no-op and configurations only
	start    func(*state)
}

// String says what is not zero.
func (b bounds) String() string {
	s := fmt.Sprintf("n=%d terms=%d log=%d", b.n, b.terms, b.log)
	for _, c := range []struct {
		name string
		n    int
	}{
		{"power", b.power}, {"kill", b.kill}, {"rot", b.rot}, {"rotLast", b.rotLast}, {"wipe", b.wipe}, {"changes", b.changes},
	} {
		if c.n > 0 {
			s += fmt.Sprintf(" %s=%d", c.name, c.n)
		}
	}
	if b.noOps {
		s += " no-ops only"
	}
	if b.start != nil {
		s += " prepared start"
	}
	if b.live {
		s += " liveness"
	}
	return s
}

// model is the transition system that explore visits.
type model struct {
	r      rules
	b      bounds
	orders [][maxReplicas]uint8 // all orders that replicas can be written in
}

func newModel(r rules, b bounds) *model {
	return &model{r: r, b: b, orders: permutations(b.n)}
}
