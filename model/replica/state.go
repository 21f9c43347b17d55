package main

const (
	maxReplicas = 5
	maxLog      = 5 // entries; bounds use fewer, the question for liveness may add one
	maxTerms    = 6
)

// An entry is term | kind<<3 | target<<5. One leader sends one entry per index, so its term and index are
// its identity.
type entry uint8

// Kinds of entries.
const (
	normal  = iota
	replace // target becomes a learner with its new incarnation
	promote // target becomes a voter again
)

func makeEntry(term, kind, target uint8) entry { return entry(term | kind<<3 | target<<5) }

func (e entry) term() uint8   { return uint8(e) & 7 }
func (e entry) kind() uint8   { return uint8(e) >> 3 & 3 }
func (e entry) target() uint8 { return uint8(e) >> 5 }

const nobody = 7 // no vote

// saved is the hard state and the log, as of some point of the write-ahead log.
type saved struct {
	term, vote uint8
	n          uint8
	log        [maxLog]entry
	holes      uint8 // bit i: the payload of log[i] is lost, its identity known
}

func (h *saved) lastTerm() uint8 {
	if h.n == 0 {
		return 0
	}
	return h.log[h.n-1].term()
}

// cut takes everything from slot i on off the log.
func (h *saved) cut(i uint8) {
	for j := i; j < maxLog; j++ {
		h.log[j] = 0
	}
	h.n = i
	h.holes &= 1<<i - 1
}

// A batch is one write that is not yet promised: a vote or candidacy, which is written twice, or a learned
// term and perhaps an entry.
type batch struct {
	vote       uint8 // 1: a vote or candidacy
	copy       uint8 // of a vote: 0 the first is in flight, 1 the second
	term, cand uint8
	idx        uint8 // from 1; 0: no entry
	ent        entry
	synced     uint8
	bad        uint8
	loose      uint8 // believed durable, yet only in the page cache: without openSyncs
}

func (b *batch) apply(h *saved) {
	h.term, h.vote = b.term, b.cand
	if b.idx > 0 {
		h.cut(b.idx - 1)
		h.log[b.idx-1] = b.ent
		h.n = b.idx
	}
}

// Roles.
const (
	follower = iota
	candidate
	leader
)

// replica is one of them: what is durable and promised, up to two batches behind it, and what it only
// remembers.
type replica struct {
	up, boot uint8 // boot: down, but the machine (its page cache) lives on
	head     uint8 // HEAD-UNKNOWN
	inc      uint8
	base     saved
	tail     [2]batch
	nt       uint8
	role     uint8
	votes    uint16 // of a candidate: bit r for incarnation 0, bit r+8 for incarnation 1
	match    [maxReplicas]uint8
	minc     uint8 // of a leader: the incarnation of each match
}

// state is all replicas, what leaders ever sent, and what was committed.
type state struct {
	r           [maxReplicas]replica
	sent        [maxTerms + 1][maxLog]entry // by the leader of each term, deliverable for ever
	nsent       [maxTerms + 1]uint8
	led         uint8 // terms that had a leader
	committed   [maxLog]entry
	committedIn [maxLog]uint8 // the term in which it was
	ncommitted  uint8

	power, kills, rots, rotLasts, wipes, changes uint8
}

// memory is what a running replica holds; durable is what it knows to be on the medium.
func (r *replica) memory() saved  { return r.view(false) }
func (r *replica) durable() saved { return r.view(true) }

func (r *replica) view(synced bool) saved {
	h := r.base
	for i := range r.nt {
		if synced && r.tail[i].synced == 0 {
			break
		}
		r.tail[i].apply(&h)
	}
	return h
}

// forget loses what only memory has.
func (r *replica) forget() {
	r.role, r.votes, r.minc = follower, 0, 0
	r.match = [maxReplicas]uint8{}
}

// push writes a batch; memory has it at once.
func (r *replica) push(b batch) {
	if b.term > r.memory().term {
		r.forget()
	}
	r.tail[r.nt] = b
	r.nt++
}

func (r *replica) full() bool { return int(r.nt) == len(r.tail) }

// voting says that a vote is on its way to the medium: nothing else is written meanwhile.
func (r *replica) voting() bool { return r.nt > 0 && r.tail[r.nt-1].vote == 1 }

// fold makes the first k batches durable and promised.
func (r *replica) fold(k uint8) {
	for i := range k {
		r.tail[i].apply(&r.base)
	}
	copy(r.tail[:], r.tail[k:])
	r.nt -= k
	for i := int(r.nt); i < len(r.tail); i++ {
		r.tail[i] = batch{}
	}
}

// truncate takes the batches from i on off the tail.
func (r *replica) truncate(i uint8) {
	for j := i; int(j) < len(r.tail); j++ {
		r.tail[j] = batch{}
	}
	r.nt = i
}

// Init is all replicas at rest, or the prepared start.
func (m *model) Init() state {
	var s state
	for i := range m.b.n {
		s.r[i].up = 1
		s.r[i].base.vote = nobody
	}
	if m.b.start != nil {
		m.b.start(&s)
	}
	return s
}

// tidy forgets what can no longer matter, so that equal states look equal.
func (m *model) tidy(s *state) {
	low := uint8(255)
	for i := range m.b.n {
		low = min(low, s.r[i].base.term)
	}
	for t := uint8(1); t < low && int(t) <= maxTerms; t++ {
		s.nsent[t] = 0
		s.sent[t] = [maxLog]entry{}
	}
}
