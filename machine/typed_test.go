package machine_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
)

// num is a number with a binary form.
type num struct{ n uint64 }

func (n num) AppendBinary(b []byte) ([]byte, error) {
	if n.n == 13 {
		return nil, errors.New("13 has no form")
	}
	return binary.AppendUvarint(b, n.n), nil
}

func (n *num) UnmarshalBinary(b []byte) error {
	v, size := binary.Uvarint(b)
	if size <= 0 || size != len(b) {
		return errors.New("no number")
	}
	n.n = v
	return nil
}

func sum() *machine.Typed[num, num, num, num, num] {
	return machine.Define(
		func(s *num, c num, _ *machine.Command) (num, error) {
			switch c.n {
			case 7:
				return num{}, errors.New("no sevens")
			case 8:
				return num{}, fmt.Errorf("no eights: %w", &machine.Refusal{Code: 108, Text: "eight"})
			case 9:
				panic("nine")
			}
			s.n += c.n
			return *s, nil
		},
		func(s *num, q num) (num, error) {
			if q.n > s.n {
				return num{}, &machine.Refusal{Code: 101, Text: "not that many"}
			}
			return num{s.n - q.n}, nil
		},
	)
}

func open(t testing.TB, k machine.Kind) machine.StateMachine {
	t.Helper()
	m, err := k.New(&machine.Place{Version: k.Newest})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// one applies one command.
func one(t testing.TB, m machine.StateMachine, data []byte) ([]byte, *machine.Refusal) {
	t.Helper()
	var out machine.Results
	if err := m.Apply([]machine.Command{{Data: data}}, &out); err != nil {
		t.Fatal(err)
	}
	if out.Len() != 1 {
		t.Fatalf("%d results for one command", out.Len())
	}
	return out.At(0)
}

func TestEveryErrorOfATypedFunctionIsARefusal(t *testing.T) {
	typed := sum()
	m := open(t, typed.Kind())
	for _, c := range []struct {
		n    uint64
		want *machine.Refusal
		text string
	}{
		{7, &machine.Refusal{Text: "no sevens"}, "no sevens"},
		{8, &machine.Refusal{Code: 108}, "no eights: eight"},
		{13, &machine.Refusal{Code: machine.CodeUnencodable}, "13 has no form"},
	} {
		data := binary.AppendUvarint(nil, c.n)
		_, no := one(t, m, data)
		if !errors.Is(no, c.want) || no.Text != c.text {
			t.Errorf("%d gives %+v, want code %d, text %q", c.n, no, c.want.Code, c.text)
		}
	}
	for _, bad := range [][]byte{nil, {1, 2}, {0xff}} {
		if _, no := one(t, m, bad); no == nil || no.Code != machine.CodeMalformed {
			t.Errorf("%x gives %+v, want code 1", bad, no)
		}
	}
	defer func() {
		if p := recover(); p != "nine" {
			t.Errorf("a panic of the function became %v", p)
		}
	}()
	one(t, m, []byte{9})
}

func TestTypedViewAnswersRefusesAndStays(t *testing.T) {
	typed := sum()
	m := open(t, typed.Kind())
	one(t, m, []byte{5})
	v := m.View()
	one(t, m, []byte{50})
	var b bytes.Buffer
	q, err := typed.EncodeQuery(num{2})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Query(q, &b); err != nil {
		t.Fatal(err)
	}
	if a, err := typed.DecodeAnswer(b.Bytes()); err != nil || a.n != 3 {
		t.Errorf("the View answers %v, %v, want 3", a, err)
	}
	if err := v.Query([]byte{6}, &b); !errors.Is(err, &machine.Refusal{Code: 101}) {
		t.Errorf("a refused query gives %v", err)
	}
	if err := v.Query(nil, &b); !errors.Is(err, &machine.Refusal{Code: machine.CodeMalformed}) {
		t.Errorf("a query that is none gives %v", err)
	}
}

func TestTypedWithBinaryFormsAllocatesNothing(t *testing.T) {
	m := open(t, sum().Kind())
	batch := make([]machine.Command, 64)
	for i := range batch {
		batch[i].Data = []byte{1}
	}
	var out machine.Results
	apply := func() {
		out.Reset()
		if err := m.Apply(batch, &out); err != nil {
			t.Fatal(err)
		}
	}
	apply()
	if n := testing.AllocsPerRun(10, apply); n != 0 {
		t.Errorf("64 commands allocate %v times", n)
	}
}

func TestBytesAndStringsGoAsTheyAre(t *testing.T) {
	type name string
	type raw []byte
	typed := machine.Define(
		func(s *name, c raw, _ *machine.Command) (name, error) { *s += name(c); return *s, nil },
		func(s *name, q string) ([]byte, error) { return []byte(string(*s) + q), nil },
	)
	m := open(t, typed.Kind())
	data, err := typed.EncodeCommand(raw("\x00a"))
	if err != nil || string(data) != "\x00a" {
		t.Fatalf("the command is %q, %v", data, err)
	}
	one(t, m, data)
	reply, no := one(t, m, nil)
	if got, err := typed.DecodeReply(reply); no != nil || err != nil || got != "\x00a" {
		t.Errorf("the reply is %q, %v, %v", got, no, err)
	}
	var b bytes.Buffer
	if err := m.View().Save(&machine.Writer{Writer: &b}); err != nil || b.String() != "\x00a" {
		t.Errorf("the snapshot is %q, %v", b.String(), err)
	}
}

func TestAllElseIsJSON(t *testing.T) {
	type command struct{ Name string }
	typed := machine.Define(
		func(s *[2]int, c command, _ *machine.Command) (map[string]int, error) {
			s[1]++
			return map[string]int{c.Name: s[1]}, nil
		},
		func(s *[2]int, _ struct{}) (int, error) { return s[1], nil },
	)
	m := open(t, typed.Kind())
	data, err := typed.EncodeCommand(command{"x"})
	if err != nil || string(data) != `{"Name":"x"}` {
		t.Fatalf("the command is %s, %v", data, err)
	}
	if reply, no := one(t, m, data); string(reply) != `{"x":1}` {
		t.Errorf("the reply is %s, %v", reply, no)
	}
	if reply, no := one(t, m, []byte(`{}`)); string(reply) != `{"":2}` {
		t.Errorf("after a command with a name, one without has the reply %s, %v", reply, no)
	}
	if _, no := one(t, m, []byte(`{"Name":3}`)); no == nil || no.Code != machine.CodeMalformed {
		t.Errorf("JSON of another shape gives %v, want code 1", no)
	}
}

func TestFailedLoadOfATypedLeavesTheOldState(t *testing.T) {
	m := open(t, sum().Kind())
	one(t, m, []byte{5})
	before, _ := m.Digest()
	if err := m.Load(1, &machine.Reader{Reader: bytes.NewReader([]byte{0xff})}); err == nil {
		t.Error("garbage is loaded")
	}
	if after, ok := m.Digest(); !ok || after != before {
		t.Errorf("the digest is %v after a failed Load, %v before", after, before)
	}
}

func define[S any]() *machine.Typed[S, string, string, string, string] {
	return machine.Define(
		func(*S, string, *machine.Command) (string, error) { return "", nil },
		func(*S, string) (string, error) { return "", nil },
	)
}

type inner struct{ M map[string]int }

type sharing struct {
	A int
	B [2]inner
}

type hiding struct {
	A int
	n int
}

type leaving struct {
	A int `json:"-"`
}

func TestKindPanicsNamingTheFieldThatACopyWouldShareOrASnapshotMiss(t *testing.T) {
	_ = hiding{n: 1}
	clone := define[sharing]()
	clone.Clone = func(s *sharing) *sharing { return s }
	for name, c := range map[string]struct {
		kind func() machine.Kind
		want string
	}{
		"map deep within":      {define[sharing]().Kind, "machine_test.sharing.B[].M"},
		"a slice":              {define[[]int]().Kind, "[]int"},
		"a pointer":            {define[*int]().Kind, "*int"},
		"map, but cloned":      {clone.Kind, ""},
		"a field not exported": {define[hiding]().Kind, "machine_test.hiding.n"},
		"a field left out":     {define[leaving]().Kind, "machine_test.leaving.A"},
		"plain":                {define[struct{ N [3]int64 }]().Kind, ""},
		"own form":             {define[num]().Kind, ""},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				p := recover()
				if text := fmt.Sprint(p); c.want != "" && !strings.HasPrefix(text, c.want+" ") || c.want == "" && p != nil {
					t.Errorf("Kind panics with %v, want it to name %q", p, c.want)
				}
			}()
			c.kind()
		})
	}
}

func TestKindHasVersion1UnlessToldOtherwise(t *testing.T) {
	typed := sum()
	if k := typed.Kind(); k.Oldest != 1 || k.Newest != 1 {
		t.Errorf("versions %d to %d, want 1 to 1", k.Oldest, k.Newest)
	}
	typed.Oldest = 3
	if k := typed.Kind(); k.Oldest != 3 || k.Newest != 3 {
		t.Errorf("versions %d to %d, want 3 to 3", k.Oldest, k.Newest)
	}
	var upgraded machine.Version
	typed.Upgrade = func(_ *num, v machine.Version) error { upgraded = v; return nil }
	if err := open(t, typed.Kind()).Upgrade(4); err != nil || upgraded != 4 {
		t.Errorf("Upgrade(4) told the function %d, %v", upgraded, err)
	}
}

func TestPlaceKeepsWhatItIsTold(t *testing.T) {
	var p machine.Place
	if _, ok := p.Kept(); ok {
		t.Error("Kept is true before Keep")
	}
	called := false
	p.Keep(machine.Store{Sync: func() error { called = true; return nil }})
	s, ok := p.Kept()
	if !ok || s.Sync() != nil || !called {
		t.Error("Kept does not give the store")
	}
}

func BenchmarkTypedBinary(b *testing.B) {
	m := open(b, sum().Kind())
	batch := make([]machine.Command, 256)
	for i := range batch {
		batch[i].Data = []byte{1}
	}
	var out machine.Results
	b.ReportAllocs()
	for done := 0; done < b.N; done += len(batch) {
		out.Reset()
		if err := m.Apply(batch, &out); err != nil {
			b.Fatal(err)
		}
	}
}
