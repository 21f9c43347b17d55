package session

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"testing"
)

var (
	rewrite = flag.Bool("rewrite", false, "write the golden files of versions that have none yet")
	wide    = Limits{MaxSessions: 4, SessionTTL: 1000, MaxTokens: 4, TokenTTL: 100, MaxResultBytes: 1600}
)

// play decides one command in an entry of its own, and runs it if that is the decision.
func play(t *Table, now Time, index Index, h Header, reply string) Verdict {
	t.Begin(now, wide)
	v := t.Decide(&h, Place{Index: index})
	if v.Decision == Run {
		t.Record(&h, Place{Index: index}, append([]byte{0}, reply...))
	}
	t.End()
	return v
}

func want(t *testing.T, v Verdict, d Decision, at Index, reply string) {
	t.Helper()
	if v.Decision != d || v.Place.Index != at || d == Stored && string(v.Result) != "\x00"+reply {
		t.Errorf("verdict %+v, want decision %d, place %d, reply %q", v, d, at, reply)
	}
}

func TestCommandRunsOnceAndItsResultIsAnsweredAgain(t *testing.T) {
	var table Table
	v := play(&table, 1, 1, Header{Kind: Register, Token: Token{1}}, "")
	if v.Decision != Registered || v.ID != 1 {
		t.Fatalf("register: %+v", v)
	}
	if v := play(&table, 1, 2, Header{Kind: Register, Token: Token{1}}, ""); v.ID != 1 {
		t.Errorf("registered again: %+v", v)
	}
	want(t, play(&table, 2, 3, Header{Kind: Command, ID: 1, Seq: 1, Low: 1}, "one"), Run, 0, "")
	want(t, play(&table, 2, 4, Header{Kind: Command, ID: 1, Seq: 1, Low: 1}, ""), Stored, 3, "one")
	want(t, play(&table, 2, 5, Header{Kind: Command, ID: 1, Seq: 2, Low: 2}, "two"), Run, 0, "")
	want(t, play(&table, 2, 6, Header{Kind: Command, ID: 1, Seq: 1, Low: 1}, ""), Passed, 0, "")
	want(t, play(&table, 2, 7, Header{Kind: Close, ID: 1}, ""), Closed, 0, "")
	want(t, play(&table, 2, 8, Header{Kind: Command, ID: 1, Seq: 2, Low: 2}, ""), Evicted, 0, "")
	if v := play(&table, 2, 9, Header{Kind: Register, Token: Token{1}}, ""); v.ID != 2 {
		t.Errorf("an id is given twice: %+v", v)
	}
}

func TestUnusedSessionExpiresByLogTimeBug78(t *testing.T) {
	var table Table
	play(&table, 0, 1, Header{Kind: Register, Token: Token{1}}, "")
	play(&table, 999, 2, Header{Kind: Command, ID: 1, Seq: 1, Low: 1}, "")
	want(t, play(&table, 1998, 3, Header{Kind: Command, ID: 1, Seq: 1, Low: 1}, ""), Stored, 2, "")
	want(t, play(&table, 2998, 4, Header{Kind: Command, ID: 1, Seq: 1, Low: 1}, ""), Evicted, 0, "")
}

func TestLongestUnusedSessionIsEvicted(t *testing.T) {
	var table Table
	for i := range 4 {
		play(&table, 0, Index(i+1), Header{Kind: Register, Token: Token{byte(i)}}, "")
	}
	play(&table, 0, 5, Header{Kind: Command, ID: 1, Seq: 1, Low: 1}, "")
	play(&table, 0, 6, Header{Kind: Register, Token: Token{9}}, "")
	want(t, play(&table, 0, 7, Header{Kind: Command, ID: 2, Seq: 1, Low: 1}, ""), Evicted, 0, "")
	want(t, play(&table, 0, 8, Header{Kind: Command, ID: 1, Seq: 1, Low: 1}, ""), Stored, 5, "")
}

// A client that sends again is there: its session is used, as by a command that comes first.
func TestRepeatedCommandKeepsItsSession(t *testing.T) {
	var table Table
	for i := range 4 {
		play(&table, 0, Index(i+1), Header{Kind: Register, Token: Token{byte(i)}}, "")
		play(&table, 0, Index(i+5), Header{Kind: Command, ID: ID(i + 1), Seq: 1, Low: 1}, "")
	}
	want(t, play(&table, 600, 9, Header{Kind: Command, ID: 1, Seq: 1, Low: 1}, ""), Stored, 5, "")
	play(&table, 600, 10, Header{Kind: Register, Token: Token{9}}, "")
	want(t, play(&table, 1200, 11, Header{Kind: Command, ID: 1, Seq: 1, Low: 1}, ""), Stored, 5, "")
}

func TestTokenRunsOnceIsFencedOrForgotten(t *testing.T) {
	var table Table
	token := Draw(10, 1)
	want(t, play(&table, 9, 1, Header{Kind: Once, Token: token}, ""), Invalid, 0, "") // not drawn yet
	want(t, play(&table, 10, 2, Header{Kind: Once, Token: token}, "ran"), Run, 0, "")
	want(t, play(&table, 11, 3, Header{Kind: Once, Token: token}, ""), Stored, 2, "ran")
	want(t, play(&table, 11, 4, Header{Kind: Fence, Token: token}, ""), Stored, 2, "ran")
	other := Draw(11, 2)
	want(t, play(&table, 12, 5, Header{Kind: Fence, Token: other}, ""), Never, 0, "")
	want(t, play(&table, 13, 6, Header{Kind: Once, Token: other}, "not"), Never, 0, "")
	want(t, play(&table, 111, 7, Header{Kind: Fence, Token: token}, ""), Forgotten, 0, "")
	want(t, play(&table, 111, 8, Header{Kind: Once, Token: Draw(10, 3)}, "not"), Forgotten, 0, "")
}

// The oldest makes way for a new one, and takes with it what was drawn at the same moment: it is not known
// any more which of them have run.
func TestTokensBeyondTheLimitAreForgottenByTheirMoment(t *testing.T) {
	var table Table
	for i := range 5 {
		play(&table, 10, Index(i+1), Header{Kind: Once, Token: Draw(Time(1+i/2), uint64(i))}, "")
	}
	for i, d := range []Decision{Forgotten, Forgotten, Stored, Stored, Stored} {
		if v := play(&table, 10, 9, Header{Kind: Once, Token: Draw(Time(1+i/2), uint64(i))}, ""); v.Decision != d {
			t.Errorf("token %d: %+v, want decision %d", i, v, d)
		}
	}
	want(t, play(&table, 10, 10, Header{Kind: Once, Token: Draw(1, 99)}, ""), Forgotten, 0, "")
}

func TestResultsBeyondTheLimitAreLostTheOldestFirst(t *testing.T) {
	var table Table
	play(&table, 0, 1, Header{Kind: Register, Token: Token{1}}, "")
	long := string(make([]byte, 99))
	for i := range 18 {
		play(&table, 0, Index(2+i), Header{Kind: Command, ID: 1, Seq: uint64(1 + i), Low: 1}, long)
	}
	want(t, play(&table, 0, 50, Header{Kind: Command, ID: 1, Seq: 2, Low: 1}, ""), Lost, 3, "")
	want(t, play(&table, 0, 51, Header{Kind: Command, ID: 1, Seq: 3, Low: 1}, ""), Stored, 4, long)
	want(t, play(&table, 0, 52, Header{Kind: Command, ID: 1, Seq: 20, Low: 1}, long+"and one"), Run, 0, "")
	want(t, play(&table, 0, 53, Header{Kind: Command, ID: 1, Seq: 20, Low: 1}, ""), Lost, 52, "")
}

// A command that comes twice within an entry runs once, and both get its result.
func TestCommandTwiceInOneEntryRunsOnce(t *testing.T) {
	var table Table
	play(&table, 0, 1, Header{Kind: Register, Token: Token{1}}, "")
	h := Header{Kind: Command, ID: 1, Seq: 1, Low: 1}
	table.Begin(0, wide)
	if v := table.Decide(&h, Place{2, 0}); v.Decision != Run {
		t.Errorf("%+v", v)
	}
	if v := table.Decide(&h, Place{2, 1}); v.Decision != Same || v.Place != (Place{2, 0}) {
		t.Errorf("%+v", v)
	}
	table.Record(&h, Place{2, 0}, []byte{0, 'x'})
	table.End()
	want(t, play(&table, 0, 3, h, ""), Stored, 2, "x")
}

// sample has everything that a table can have.
func sample() *Table {
	var t Table
	play(&t, 5, 1, Header{Kind: Register, Token: Draw(1, 0x1122334455667788)}, "")
	play(&t, 300, 2, Header{Kind: Register, Token: Draw(2, 7)}, "")
	play(&t, 300, 3, Header{Kind: Command, ID: 1, Seq: 70, Low: 68}, "seventy")
	play(&t, 301, 4, Header{Kind: Command, ID: 1, Seq: 69, Low: 68}, string(make([]byte, 200)))
	play(&t, 302, 5, Header{Kind: Once, Token: Draw(300, 1)}, "once")
	play(&t, 303, 6, Header{Kind: Fence, Token: Draw(303, 0xffeeddccbbaa9988)}, "")
	play(&t, 304, 7, Header{Kind: Once, Token: Draw(302, 1)}, string(make([]byte, 200)))
	t.since = 290
	return &t
}

func TestGoldenTable(t *testing.T) {
	p, err := sample().AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	const name = "testdata/sessions_v1.hex"
	wanted, err := os.ReadFile(name)
	if os.IsNotExist(err) && *rewrite {
		wanted, err = []byte(hex.Dump(p)), os.WriteFile(name, []byte(hex.Dump(p)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.Dump(p); got != string(wanted) {
		t.Errorf("the bytes changed without a new version:\n%s\nwant:\n%s", got, wanted)
	}
}

// Every part of a table shows in its digest.
func TestDigestIsOfTheWholeTable(t *testing.T) {
	whole := sample().Digest()
	for name, change := range map[string]func(*Table){
		"next":   func(t *Table) { t.next++ },
		"since":  func(t *Table) { t.since++ },
		"use":    func(t *Table) { t.use(t.sessions[1], Place{Index: 99}) },
		"low":    func(t *Table) { t.raise(t.sessions[1], 69) },
		"gone":   func(t *Table) { t.drop(t.sessions[2]) },
		"lost":   func(t *Table) { t.limits.MaxResultBytes = 6; t.End() },
		"tokens": func(t *Table) { t.forgetOldest() },
	} {
		table := sample()
		change(table)
		if table.Digest() == whole {
			t.Errorf("%s: the digest is the same", name)
		}
	}
	if d := new(Table).Digest(); d != 0 {
		t.Errorf("an empty table has digest %x", d)
	}
}

func FuzzTable(f *testing.F) {
	p, _ := sample().AppendBinary(nil)
	f.Add(p)
	f.Add(p[:len(p)/2])
	f.Add([]byte{})
	f.Add([]byte{tableVersion, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		var table Table
		if err := table.UnmarshalBinary(p); err != nil {
			if !errors.Is(err, ErrCorrupt) || table.Digest() != 0 {
				t.Fatalf("error of another kind, or a changed table: %v", err)
			}
			return
		}
		if q, _ := table.AppendBinary(nil); !bytes.Equal(p, q) {
			t.Fatalf("%x\ndecodes and encodes to\n%x", p, q)
		}
		for i := range 8 { // it goes on as any other
			play(&table, mostTime-10, 1<<63, Header{Kind: Kind(1 + i%5), ID: ID(i), Seq: 1, Low: 1, Token: Draw(mostTime-11, 1)}, "")
		}
	})
}
