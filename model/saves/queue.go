package main

// A save is on its way to the disk: perhaps a term and vote, entries, and a floor. State says how far it is.
type save struct {
	seq             uint8
	hard            bool // sets term and vote
	term, vote      uint8
	asTerm, asVote  uint8 // that it writes: a newer one may have passed it
	first, n        uint8 // of its entries
	log             [maxLog]uint8
	floor           uint8
	through         uint8 // what raft counts as durable of the log once it is reported
	claims, claimed uint8 // term and vote that raft counts as durable then, if there is one
	told            messages
	state, turn     uint8 // turn: its place among those that go
	alone, bare     bool  // replaces log; a compaction
	again, refused  bool
	unwanted, owes  uint8
}

// messages wait for a save: acknowledgements to the leader of a term, a bit for each index, and the vote of a term.
type messages struct{ acks, votes [maxTerms + 1]uint8 }

func (a *messages) join(b *messages) {
	for t := range a.acks {
		a.acks[t] |= b.acks[t]
		a.votes[t] = max(a.votes[t], b.votes[t])
	}
}

// silence drops acknowledgements of entries from i on.
func (a *messages) silence(i uint8) {
	for t := range a.acks {
		a.acks[t] &= 1<<i - 1
	}
}

// States of saves.
const (
	waits = iota
	goes
	done
)

// A queue is what internal/host.saveQueue is, step for step. Handed is the newest save with a term and vote that went to
// the disk, asTerm and asVote are what that wrote.
type queue struct {
	saves          [maxSaves]save
	n, flying      uint8
	last           uint8
	full, space    bool
	seq, hardDone  uint8
	handed         uint8
	asTerm, asVote uint8
}

// add puts a save at the end.
func (m *model) add(q *queue, s save) {
	if s.n > 0 {
		s.alone = m.r.alone && s.first != q.last+1
		q.last = s.first + s.n - 1
	}
	q.seq++
	s.seq = q.seq
	s.asTerm, s.asVote = s.term, s.vote
	q.saves[q.n] = s
	q.n++
}

func (s *save) idle() bool { return s.state == waits && s.n == 0 && s.hard }

// next hands out what may go.
func (m *model) next(q *queue) {
	if m.r.taken {
		q.takeBack()
	}
	q.bringAlong()
	newest := m.merge(q)
	var before ahead
	for i := range int(q.n) {
		s := &q.saves[i]
		if s.state == waits && !s.refused && (i == newest && before.terms < m.b.flying || !s.idle()) && q.mayGo(s, before) {
			s.state = goes
			q.flying++
			s.turn = q.flying
			m.settle(q, s)
		}
		before.pass(s)
	}
}

// settle keeps an older term from following a newer one that has passed it.
func (m *model) settle(q *queue, s *save) {
	switch {
	case !s.hard:
	case q.handed > s.seq && m.r.newest:
		s.asTerm, s.asVote = q.asTerm, q.asVote
	default:
		q.handed, q.asTerm, q.asVote = s.seq, s.asTerm, s.asVote
	}
}

// ahead is what stands before a save.
type ahead struct {
	waits, goes, alone bool
	terms              uint8
}

func (a *ahead) pass(s *save) {
	if s.n > 0 {
		a.waits = a.waits || s.state == waits
		a.goes = a.goes || s.state == goes
		a.alone = a.alone || s.alone && s.state != done
	} else if s.state == goes {
		a.terms++
	}
}

func (q *queue) mayGo(s *save, before ahead) bool {
	return s.n == 0 || (!q.full || q.space && !before.goes) && !before.waits && !before.alone && !(s.alone && before.goes)
}

func (q *queue) bringAlong() {
	log := false
	var before ahead
	for i := range q.n {
		s := &q.saves[i]
		if s.n > 0 && s.state == waits {
			log = !s.refused && q.mayGo(s, before)
			break
		}
		before.pass(s)
	}
	for i := range q.n {
		q.saves[i].refused = q.saves[i].refused && !log
	}
}

// takeBack cuts from saves that wait what later truncations replace.
func (q *queue) takeBack() {
	from := ^uint8(0)
	for i := int(q.n) - 1; i >= 0; i-- {
		s := &q.saves[i]
		s.cut(from)
		if s.n > 0 {
			from = min(from, s.first)
		}
	}
}

// cut takes the entries from i on out of a save that waits, or will wait again.
func (s *save) cut(i uint8) {
	if s.state == done || s.n == 0 || s.first+s.n-1 < i {
		return
	}
	if s.state == goes {
		if s.unwanted == 0 || i < s.unwanted {
			s.unwanted = i
		}
		return
	}
	s.told.silence(i)
	s.keep(max(i, s.first) - s.first)
	if s.n > 0 {
		return
	}
	s.first, s.alone = 0, false
	if !s.hard {
		s.told, s.state = messages{}, done
	}
}

// keep leaves the first n entries.
func (s *save) keep(n uint8) {
	for k := n; k < maxLog; k++ {
		s.log[k] = 0
	}
	s.n = n
}

// giveUp takes back the entries from i on where they wait, and what would acknowledge them wherever they are.
func (m *model) giveUp(q *queue, i uint8) {
	for k := range q.n {
		if m.r.silence {
			q.saves[k].told.silence(i)
		}
		q.saves[k].cut(i)
	}
}

// A report is what follows when a save is durable: messages that leave, and, of so many saves at the front, what raft
// counts as durable.
type report struct {
	out             messages
	saves           uint8
	through         uint8
	claims, claimed uint8
}

// done counts save i as durable.
func (m *model) done(q *queue, i uint8) (r report) {
	s := &q.saves[i]
	s.state = done
	q.lands(s)
	q.full = q.full && s.n == 0
	if s.hard {
		q.hardDone = max(q.hardDone, s.seq)
		m.supersede(q, i, &r.out)
	}
	if s.n == 0 {
		r.out.join(&s.told)
		s.told = messages{}
	}
	k := uint8(0)
	for k < q.n && q.saves[k].state == done && q.saves[k].owes <= q.hardDone {
		k++
	}
	reported := k
	if !m.r.inOrder {
		reported = max(k, i+1)
	}
	for j := range reported {
		r.report(&q.saves[j])
	}
	copy(q.saves[:], q.saves[k:q.n])
	clear(q.saves[q.n-k:])
	q.n, r.saves = q.n-k, reported
	return r
}

func (r *report) report(s *save) {
	r.out.join(&s.told)
	r.through = max(r.through, s.through)
	if s.claims > 0 {
		r.claims, r.claimed = s.claims, s.claimed
	}
}

// supersede counts terms that wait before a durable one as done with.
func (m *model) supersede(q *queue, i uint8, out *messages) {
	for k := range i {
		if w := &q.saves[k]; w.idle() {
			if w.term == q.saves[i].term {
				out.join(&w.told)
			}
			w.told, w.state = messages{}, done
		} else if w.state == waits && !m.r.held {
			out.join(&w.told)
		}
	}
}

// lands takes a save off those that go.
func (q *queue) lands(s *save) {
	for k := range q.n {
		if q.saves[k].turn > s.turn {
			q.saves[k].turn--
		}
	}
	s.turn = 0
	q.flying--
}

// refuse takes back a save that found no space.
func (q *queue) refuse(s *save) {
	q.lands(s)
	s.state = waits
	s.refused, s.again = s.again, true
	if s.n > 0 {
		q.full, q.space = true, false
	}
	if s.unwanted > 0 {
		i := s.unwanted
		s.unwanted = 0
		s.cut(i)
	}
}

func (q *queue) blocked() bool {
	for i := range q.n {
		if s := &q.saves[i]; s.state == waits && (s.refused || s.n > 0 && q.full) {
			return true
		}
	}
	return false
}

// writing says whether log is on its way, or waits.
func (q *queue) writing() bool {
	for i := range q.n {
		if q.saves[i].n > 0 && q.saves[i].state != done {
			return true
		}
	}
	return false
}

func (q *queue) retry(space bool) {
	q.space = space
	for i := range q.n {
		q.saves[i].refused, q.saves[i].again = false, false
	}
}

// tidy numbers saves anew, from the oldest that matters.
func (q *queue) tidy() {
	if !q.full {
		q.space = false
	}
	if q.full && !q.space && q.flying == 0 { // log goes after the next retry, which forgets what was refused
		for i := range q.n {
			if s := &q.saves[i]; s.n > 0 && s.state == waits {
				s.refused, s.again = false, false
			}
		}
	}
	least := ^uint8(0)
	var used [256]bool
	for i := range q.n {
		s := &q.saves[i]
		least = min(least, s.seq)
		used[s.seq], used[s.owes] = true, true
		if s.owes > 0 {
			least = min(least, s.owes)
		}
	}
	if q.handed < least {
		q.handed, q.asTerm, q.asVote = 0, 0, 0
	}
	if q.hardDone < least {
		q.hardDone = 0
	}
	used[q.handed], used[q.hardDone], used[0] = true, true, true
	var rank [256]uint8
	n := uint8(0)
	for i := 1; i <= int(q.seq); i++ {
		if used[i] {
			n++
			rank[i] = n
		}
	}
	for i := range q.n {
		s := &q.saves[i]
		s.seq, s.owes = rank[s.seq], rank[s.owes]
	}
	q.seq, q.handed, q.hardDone = n, rank[q.handed], rank[q.hardDone]
}
