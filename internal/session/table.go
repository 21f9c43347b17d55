package session

import (
	"bytes"
	"slices"
)

// Limits bound a table. They are a group's settings: equal on every replica at one index.
type Limits struct {
	MaxSessions    int  // the longest unused goes; at least 1
	SessionTTL     Time // unused for so long, a session goes
	MaxTokens      int  // the first drawn goes; at least 1
	TokenTTL       Time // after so long a token is forgotten
	MaxResultBytes int  // of all results; the oldest go. One alone takes a sixteenth at most
}

// The largest limits that a group may set: the encoded table fits into the head of a snapshot.
const (
	MostSessions    = 16 << 10
	MostTokens      = 64 << 10
	MostResultBytes = 16 << 20
)

// Table is the exactly-once table of one group. The zero value is empty.
type Table struct {
	now      Time   // of the present entry
	limits   Limits // for it
	next     ID     // given last
	since    Time   // tokens drawn before it are forgotten
	sessions map[ID]*session
	names    map[Token]*session // by the token of their registration
	uses     list[*session]     // the longest unused first
	tokens   map[Token]*result
	drawn    []Token       // those of tokens, ascending
	kept     list[*result] // those with data, in the order in which they ran
	bytes    int           // of them
	sum      uint64        // of all that stands here: see digest.go
	counts   [Invalid + 1]uint64
}

// session is one client's register.
type session struct {
	place   link[*session] // in uses
	id      ID
	token   Token
	used    Time      // log time of its last command
	last    Place     // of that
	low     uint64    // results below it are forgotten
	results []*result // ascending by seq, at most Window
}

// state says what is known of one command that has run, or never will.
type state uint8

const (
	pending state = iota // runs in this entry
	stored               // data is its result
	lost                 // it ran
	fenced               // it will not
)

// result is one command's.
type result struct {
	place link[*result] // in kept, of one that is stored
	owner ID            // zero: token's
	seq   uint64        // of a session
	token Token
	at    Place
	state state
	data  []byte
}

// Len is how many sessions there are.
func (t *Table) Len() int { return len(t.sessions) }

// Count is how often a decision was made since this table was made; it is no part of the state.
func (t *Table) Count(d Decision) uint64 { return t.counts[d] }

// Begin starts an entry: what has expired by its log time goes. It is called for every entry of the
// log, in order, whatever it carries.
func (t *Table) Begin(now Time, limits Limits) {
	t.now, t.limits = now, limits
	for t.uses.first != nil && (t.uses.first.of.used+limits.SessionTTL <= now || len(t.sessions) > limits.MaxSessions) {
		t.drop(t.uses.first.of)
	}
	for len(t.drawn) > 0 && (t.drawn[0].Drawn() < now-limits.TokenTTL || len(t.drawn) > limits.MaxTokens) {
		t.forgetOldest()
	}
}

// Decide says what becomes of the command at a place, in the order of the log. What it decides to Run is
// recorded before End.
func (t *Table) Decide(h *Header, at Place) Verdict {
	v := t.decide(h, at)
	t.counts[v.Decision]++
	return v
}

func (t *Table) decide(h *Header, at Place) Verdict {
	switch h.Kind {
	case Register:
		return t.register(h.Token, at)
	case Command:
		return t.command(h, at)
	case Close:
		if s := t.sessions[h.ID]; s != nil {
			t.drop(s)
		}
		return Verdict{Decision: Closed}
	case Once:
		return t.once(h.Token, at, pending)
	case Fence:
		return t.once(h.Token, at, fenced)
	}
	return Verdict{Decision: Invalid}
}

func (t *Table) register(name Token, at Place) Verdict {
	s := t.names[name]
	if s == nil {
		for len(t.sessions) >= max(t.limits.MaxSessions, 1) {
			t.drop(t.uses.first.of)
		}
		t.next++
		s = &session{id: t.next, token: name, low: 1}
		t.insert(s)
	}
	t.use(s, at)
	return Verdict{Decision: Registered, ID: s.id}
}

func (t *Table) command(h *Header, at Place) Verdict {
	s := t.sessions[h.ID]
	switch {
	case s == nil:
		return Verdict{Decision: Evicted}
	case h.Low < 1 || h.Seq < h.Low || h.Seq-h.Low >= Window:
		return Verdict{Decision: Invalid}
	}
	t.use(s, at)
	t.raise(s, h.Low)
	if h.Seq < s.low {
		return Verdict{Decision: Passed}
	}
	i, found := s.find(h.Seq)
	if found {
		return s.results[i].verdict()
	}
	r := &result{owner: s.id, seq: h.Seq, at: at}
	s.results = slices.Insert(s.results, i, r)
	t.sum ^= r.digest()
	return Verdict{Decision: Run}
}

// find is the place of a command among the results.
func (s *session) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(s.results, seq, func(r *result, seq uint64) int {
		if r.seq < seq {
			return -1
		}
		if r.seq > seq {
			return 1
		}
		return 0
	})
}

func (r *result) verdict() Verdict {
	switch r.state {
	case pending:
		return Verdict{Decision: Same, Place: r.at}
	case stored:
		return Verdict{Decision: Stored, Place: r.at, Result: r.data}
	case lost:
		return Verdict{Decision: Lost, Place: r.at}
	}
	return Verdict{Decision: Never}
}

// once decides on a token: what is known of it, or else what becomes of it now.
func (t *Table) once(token Token, at Place, becomes state) Verdict {
	if token.Drawn() < 0 || token.Drawn() > t.now {
		return Verdict{Decision: Invalid}
	}
	if r := t.tokens[token]; r != nil {
		return r.verdict()
	}
	if token.Drawn() < max(t.since, t.now-t.limits.TokenTTL) {
		return Verdict{Decision: Forgotten}
	}
	r := &result{token: token, at: at, state: becomes}
	i, _ := t.findToken(token)
	t.drawn = slices.Insert(t.drawn, i, token)
	t.remember(r)
	for len(t.drawn) > max(t.limits.MaxTokens, 1) {
		t.forgetOldest()
	}
	if becomes == fenced {
		return Verdict{Decision: Never}
	}
	return Verdict{Decision: Run}
}

func (t *Table) findToken(token Token) (int, bool) {
	return slices.BinarySearchFunc(t.drawn, token, func(a, b Token) int { return bytes.Compare(a[:], b[:]) })
}

func (t *Table) remember(r *result) {
	if t.tokens == nil {
		t.tokens = map[Token]*result{}
	}
	t.tokens[r.token] = r
	t.sum ^= r.digest()
}

// Record keeps a copy of what the machine gave the command at a place, as machine.Results.AppendResult
// has it. It is called for all that this entry runs, in the order of the log.
func (t *Table) Record(h *Header, at Place, data []byte) {
	r := t.tokens[h.Token]
	if h.Kind == Command {
		r = nil
		if s := t.sessions[h.ID]; s != nil {
			if i, found := s.find(h.Seq); found {
				r = s.results[i]
			}
		}
	}
	if r == nil || r.state != pending || r.at != at {
		return // its session was evicted, or it forgotten, within the entry
	}
	t.sum ^= r.digest()
	if r.state = lost; len(data) <= t.limits.MaxResultBytes/16 {
		r.state, r.data = stored, bytes.Clone(data)
		t.keep(r)
	}
	t.sum ^= r.digest()
}

// End ends the entry: results beyond the limit go, the oldest first.
func (t *Table) End() {
	for t.bytes > t.limits.MaxResultBytes {
		r := t.kept.first.of
		t.sum ^= r.digest()
		t.release(r)
		r.state = lost
		t.sum ^= r.digest()
	}
}

// insert adds a session as the one used last.
func (t *Table) insert(s *session) {
	if t.sessions == nil {
		t.sessions, t.names = map[ID]*session{}, map[Token]*session{}
	}
	t.sessions[s.id], t.names[s.token] = s, s
	s.place.of = s
	t.uses.push(&s.place)
	t.sum ^= s.digest()
}

// use notes that a command of the session has come.
func (t *Table) use(s *session, at Place) {
	t.sum ^= s.digest()
	s.used, s.last = t.now, at
	t.sum ^= s.digest()
	t.uses.remove(&s.place)
	t.uses.push(&s.place)
}

// raise forgets what the client does not wait for any more.
func (t *Table) raise(s *session, low uint64) {
	if low <= s.low {
		return
	}
	t.sum ^= s.digest()
	s.low = low
	t.sum ^= s.digest()
	n := 0
	for n < len(s.results) && s.results[n].seq < low {
		t.forget(s.results[n])
		n++
	}
	s.results = slices.Delete(s.results, 0, n)
}

// drop ends a session.
func (t *Table) drop(s *session) {
	for _, r := range s.results {
		t.forget(r)
	}
	t.sum ^= s.digest()
	t.uses.remove(&s.place)
	delete(t.sessions, s.id)
	delete(t.names, s.token)
}

// forgetOldest forgets the token that was drawn first, and all of the same moment: what is drawn before
// since is refused, whether it has run or not.
func (t *Table) forgetOldest() {
	t.since = t.drawn[0].Drawn() + 1
	n := 0
	for n < len(t.drawn) && t.drawn[n].Drawn() < t.since {
		t.forget(t.tokens[t.drawn[n]])
		delete(t.tokens, t.drawn[n])
		n++
	}
	t.drawn = slices.Delete(t.drawn, 0, n)
}

// forget takes a result out of the sums.
func (t *Table) forget(r *result) {
	t.sum ^= r.digest()
	t.release(r)
}

// keep counts a result that is stored, as the last that ran.
func (t *Table) keep(r *result) {
	r.place.of = r
	t.kept.push(&r.place)
	t.bytes += len(r.data)
}

// release gives back the bytes of a result.
func (t *Table) release(r *result) {
	if r.state == stored {
		t.kept.remove(&r.place)
		t.bytes -= len(r.data)
		r.data = nil
	}
}
