package session

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// twin is the table as one would write it without a thought for speed.
type twin struct {
	now      Time
	limits   Limits
	next     ID
	since    Time
	sessions []*twinSession // the longest unused first
	results  []*twinResult  // of sessions and tokens, in the order in which they came
}

type twinSession struct {
	id   ID
	name Token
	used Time
	low  uint64
}

type twinResult struct {
	owner ID
	seq   uint64
	token Token
	at    Place
	what  string // pending, stored, lost, fenced
	data  []byte
}

func (w *twin) begin(now Time, limits Limits) {
	w.now, w.limits = now, limits
	for len(w.sessions) > 0 && (now-w.sessions[0].used >= limits.SessionTTL || len(w.sessions) > limits.MaxSessions) {
		w.drop(w.sessions[0].id)
	}
	for {
		oldest, n := w.oldestToken()
		if n == 0 || oldest >= now-limits.TokenTTL && n <= limits.MaxTokens {
			return
		}
		w.forget(oldest)
	}
}

func (w *twin) oldestToken() (oldest Time, n int) {
	for _, r := range w.results {
		if r.owner == 0 {
			if n == 0 || r.token.Drawn() < oldest {
				oldest = r.token.Drawn()
			}
			n++
		}
	}
	return oldest, n
}

func (w *twin) forget(drawn Time) {
	w.since = drawn + 1
	w.results = slices.DeleteFunc(w.results, func(r *twinResult) bool { return r.owner == 0 && r.token.Drawn() <= drawn })
}

func (w *twin) drop(id ID) {
	w.sessions = slices.DeleteFunc(w.sessions, func(s *twinSession) bool { return s.id == id })
	w.results = slices.DeleteFunc(w.results, func(r *twinResult) bool { return id != 0 && r.owner == id }) // 0: of tokens
}

func (w *twin) result(h *Header) *twinResult {
	for _, r := range w.results {
		if h.Kind == Command && r.owner == h.ID && r.seq == h.Seq || h.Kind != Command && r.owner == 0 && r.token == h.Token {
			return r
		}
	}
	return nil
}

func (w *twin) decide(h *Header, at Place) Verdict {
	switch h.Kind {
	case Register:
		return w.register(h, at)
	case Close:
		w.drop(h.ID)
		return Verdict{Decision: Closed}
	case Command:
		i := slices.IndexFunc(w.sessions, func(s *twinSession) bool { return s.id == h.ID })
		if i < 0 {
			return Verdict{Decision: Evicted}
		}
		if h.Low < 1 || h.Low > h.Seq || h.Seq >= h.Low+Window {
			return Verdict{Decision: Invalid}
		}
		s := w.sessions[i]
		w.sessions = append(slices.Delete(w.sessions, i, i+1), s)
		s.used = w.now
		s.low = max(s.low, h.Low)
		w.results = slices.DeleteFunc(w.results, func(r *twinResult) bool { return r.owner == s.id && r.seq < s.low })
		if h.Seq < s.low {
			return Verdict{Decision: Passed}
		}
	default:
		if d := h.Token.Drawn(); d < 0 || d > w.now {
			return Verdict{Decision: Invalid}
		}
	}
	if r := w.result(h); r != nil {
		return map[string]Verdict{
			"pending": {Decision: Same, Place: r.at}, "stored": {Decision: Stored, Place: r.at, Result: r.data},
			"lost": {Decision: Lost, Place: r.at}, "fenced": {Decision: Never},
		}[r.what]
	}
	if h.Kind == Command {
		w.results = append(w.results, &twinResult{owner: h.ID, seq: h.Seq, at: at, what: "pending"})
		return Verdict{Decision: Run}
	}
	if d := h.Token.Drawn(); d < w.since || d < w.now-w.limits.TokenTTL {
		return Verdict{Decision: Forgotten}
	}
	r, v := &twinResult{token: h.Token, at: at, what: "pending"}, Verdict{Decision: Run}
	if h.Kind == Fence {
		r.what, v = "fenced", Verdict{Decision: Never}
	}
	w.results = append(w.results, r)
	for oldest, n := w.oldestToken(); n > w.limits.MaxTokens; oldest, n = w.oldestToken() {
		w.forget(oldest)
	}
	return v
}

func (w *twin) register(h *Header, _ Place) Verdict {
	i := slices.IndexFunc(w.sessions, func(s *twinSession) bool { return s.name == h.Token })
	var s *twinSession
	if i >= 0 {
		s = w.sessions[i]
		w.sessions = slices.Delete(w.sessions, i, i+1)
	} else {
		for len(w.sessions) >= w.limits.MaxSessions {
			w.drop(w.sessions[0].id)
		}
		w.next++
		s = &twinSession{id: w.next, name: h.Token, low: 1}
	}
	s.used = w.now
	w.sessions = append(w.sessions, s)
	return Verdict{Decision: Registered, ID: s.id}
}

func (w *twin) record(at Place, data []byte) {
	for _, r := range w.results {
		if r.at == at && r.what == "pending" {
			r.what = "lost"
			if len(data) <= w.limits.MaxResultBytes/16 {
				r.what, r.data = "stored", data
			}
		}
	}
}

func (w *twin) end() {
	bytes := 0
	for _, r := range w.results {
		bytes += len(r.data)
	}
	for _, r := range w.results {
		if bytes > w.limits.MaxResultBytes && r.what == "stored" {
			bytes -= len(r.data)
			r.what, r.data = "lost", nil
		}
	}
}

// drawHeader draws what clients of few sessions and tokens say, right and wrong.
func drawHeader(rt *rapid.T, now Time, given ID) Header {
	token := Draw(now-Time(rapid.IntRange(-1, 40).Draw(rt, "age")), uint64(rapid.IntRange(0, 1).Draw(rt, "random")))
	id := ID(max(int(given)+rapid.IntRange(-4, 1).Draw(rt, "session"), 0))
	switch kind := Kind(rapid.SampledFrom([]int{1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 4, 4, 4, 5}).Draw(rt, "kind")); kind {
	case Register:
		return Header{Kind: kind, Token: Token{15: byte(rapid.IntRange(0, 5).Draw(rt, "name"))}}
	case Command:
		low := uint64(rapid.SampledFrom([]int{0, 1, 1, 1, 1, 2, 3, 5}).Draw(rt, "low"))
		return Header{
			Kind: kind, ID: id,
			Low: low, Seq: low + uint64(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 5, 63, 64}).Draw(rt, "ahead")),
		}
	case Close:
		return Header{Kind: kind, ID: id}
	default:
		return Header{Kind: kind, Token: token}
	}
}

// drawResult draws what a machine may give, as it is kept.
func drawResult(rt *rapid.T, at Place) []byte {
	return bytes.Repeat([]byte{byte(at.Index)}, rapid.SampledFrom([]int{1, 2, 4, 11, 41}).Draw(rt, "length"))
}

// TestTableDecidesAsItsTwinBug79 compares every verdict with the twin's, beside a table that is saved and
// loaded between entries, and holds both to their limits.
func TestTableDecidesAsItsTwinBug79(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var table, again Table
		var w twin
		limits := Limits{MaxSessions: 3, SessionTTL: 30, MaxTokens: 4, TokenTTL: 20, MaxResultBytes: 320}
		now, index := Time(0), Index(0)
		for range rapid.IntRange(1, 40).Draw(rt, "entries") {
			index++
			now += Time(rapid.SampledFrom([]int{0, 1, 1, 3, 15}).Draw(rt, "later"))
			if rapid.IntRange(0, 15).Draw(rt, "change") == 0 {
				limits.MaxSessions = rapid.IntRange(1, 4).Draw(rt, "sessions")
				limits.MaxTokens = rapid.IntRange(1, 5).Draw(rt, "tokens")
				limits.MaxResultBytes = rapid.IntRange(16, 700).Draw(rt, "bytes")
			}
			w.begin(now, limits)
			table.Begin(now, limits)
			again.Begin(now, limits)
			playEntry(rt, now, index, &w, &table, &again)
			w.end()
			table.End()
			again.End()
			checkBounds(rt, &table, &w)
			p, err := table.AppendBinary(nil)
			if err != nil {
				rt.Fatal(err)
			}
			again = Table{}
			if err := again.UnmarshalBinary(p); err != nil {
				rt.Fatal(err)
			}
			if q, _ := again.AppendBinary(nil); !bytes.Equal(p, q) || again.Digest() != table.Digest() {
				rt.Fatalf("loaded, the table is %x with digest %x; saved it was %x with %x", q, again.Digest(), p, table.Digest())
			}
		}
	})
}

func playEntry(rt *rapid.T, now Time, index Index, w *twin, table, again *Table) {
	type running struct {
		h  Header
		at Place
	}
	var runs []running
	for ordinal := range rapid.IntRange(0, 6).Draw(rt, "commands") {
		h, at := drawHeader(rt, now, w.next), Place{index, uint32(ordinal)}
		want := w.decide(&h, at)
		for _, have := range []Verdict{table.Decide(&h, at), again.Decide(&h, at)} {
			if have.Decision != want.Decision || have.Place != want.Place || have.ID != want.ID || !bytes.Equal(have.Result, want.Result) {
				rt.Fatalf("%v: %+v at %v: %+v, the twin says %+v", now, h, at, have, want)
			}
		}
		if want.Decision == Run {
			runs = append(runs, running{h, at})
		}
	}
	for _, r := range runs {
		data := drawResult(rt, r.at)
		w.record(r.at, data)
		table.Record(&r.h, r.at, data)
		again.Record(&r.h, r.at, data)
	}
}

func checkBounds(rt *rapid.T, table *Table, w *twin) {
	l := table.limits
	kept := 0
	for _, s := range table.sessions {
		if len(s.results) > Window {
			rt.Fatalf("S4: session %d has %d results", s.id, len(s.results))
		}
		for _, r := range s.results {
			kept += len(r.data)
		}
	}
	for _, r := range table.tokens {
		kept += len(r.data)
	}
	if table.Len() != len(w.sessions) || table.Len() > l.MaxSessions || len(table.tokens) > l.MaxTokens || kept != table.bytes || kept > l.MaxResultBytes {
		rt.Fatalf("S4: %d sessions (twin: %d), %d tokens, %d bytes, counted as %d; at most %+v", table.Len(), len(w.sessions), len(table.tokens), kept, table.bytes, l)
	}
}
