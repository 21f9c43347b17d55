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

func TestResultsKeepTheOrderAndTellRepliesFromRefusals(t *testing.T) {
	var r machine.Results
	for round := range 3 { // the room is used again
		r.Reply([]byte("first"))
		r.Reply(nil)
		r.Refuse(100, "no")
		r.Reply(binary.AppendUvarint(r.AvailableBuffer(), 300))
		r.Refuse(0, "")
		long := bytes.Repeat([]byte("x"), 1000)
		r.Reply(append(r.AvailableBuffer(), long...)) // outgrows the room
		for i, want := range []string{"first", "", "!100 no", "\xac\x02", "!0 ", string(long)} {
			if got := text(r.At(i)); got != want {
				t.Errorf("round %d, result %d is %.20q, want %.20q", round, i, got, want)
			}
			data, no, err := machine.DecodeResult(r.AppendResult(nil, i))
			if got := text(data, no); err != nil || got != want {
				t.Errorf("result %d is %.20q, %v, when stored, want %.20q", i, got, err, want)
			}
		}
		if r.Len() != 6 {
			t.Errorf("%d results, want 6", r.Len())
		}
		r.Reset()
		if r.Len() != 0 {
			t.Errorf("%d results after Reset", r.Len())
		}
	}
}

func text(data []byte, no *machine.Refusal) string {
	if no != nil {
		return fmt.Sprintf("!%d %s", no.Code, no.Text)
	}
	return string(data)
}

func TestReplyToTheAvailableBufferCopiesAndAllocatesNothing(t *testing.T) {
	var r machine.Results
	batch := func() {
		r.Reset()
		for i := range 256 {
			r.Reply(binary.AppendUvarint(r.AvailableBuffer(), uint64(i)))
		}
	}
	batch()
	if n := testing.AllocsPerRun(10, batch); n != 0 {
		t.Errorf("256 replies allocate %v times", n)
	}
}

func TestReplyKeepsNoSlice(t *testing.T) {
	var r machine.Results
	data := []byte("abc")
	r.Reply(data)
	data[0] = 'x'
	if got, _ := r.At(0); string(got) != "abc" {
		t.Errorf("the reply became %q", got)
	}
	got, _ := r.At(0)
	r.Reply([]byte("def"))
	_ = append(got, 'x')
	if got, _ := r.At(1); string(got) != "def" {
		t.Errorf("appending to a reply changed the next one to %q", got)
	}
}

func TestBindPutsTheRecordsOfTheEngine(t *testing.T) {
	var r machine.Results
	r.Bind(func(_, _ []byte) { t.Error("there are no records") })
	if !r.Bound() {
		t.Error("Bound is false after Bind")
	}
	r.Reset()
	if r.Bound() {
		t.Error("Bound is true after Reset")
	}
	r.OnBind(func(put func(key, value []byte)) { put([]byte("position"), []byte("7")) })
	got := ""
	r.Bind(func(key, value []byte) { got += string(key) + "=" + string(value) })
	if got != "position=7" {
		t.Errorf("Bind put %q", got)
	}
}

func TestRefusalsCompareByCodeOrElseByText(t *testing.T) {
	no := func(code int32, text string) *machine.Refusal { return &machine.Refusal{Code: code, Text: text} }
	for _, c := range []struct {
		a, b *machine.Refusal
		want bool
	}{
		{no(100, "a"), no(100, "b"), true},
		{no(100, "a"), no(101, "a"), false},
		{no(0, "a"), no(0, "a"), true},
		{no(0, "a"), no(0, "b"), false},
		{no(0, "a"), no(100, "a"), false},
	} {
		if got := errors.Is(fmt.Errorf("wrapped: %w", c.a), c.b); got != c.want {
			t.Errorf("%+v is %+v: %t, want %t", c.a, c.b, got, c.want)
		}
	}
	if got := no(7, "").Error(); got != "refused with code 7" {
		t.Errorf("the error without a text is %q", got)
	}
}

func TestRefusalTextIsBounded(t *testing.T) {
	var r machine.Results
	r.Refuse(1, strings.Repeat("x", 1<<20))
	if _, no := r.At(0); len(no.Text) != machine.MaxRefusalBytes {
		t.Errorf("the text has %d bytes, want %d", len(no.Text), machine.MaxRefusalBytes)
	}
	if err := new(machine.Refusal).UnmarshalBinary(make([]byte, machine.MaxRefusalBytes+5)); err == nil {
		t.Error("a longer text is decoded")
	}
}

func FuzzDecodeResult(f *testing.F) {
	f.Add([]byte{0, 1, 2})
	f.Add([]byte{1, 100, 0, 0, 0, 'n', 'o'})
	f.Fuzz(func(t *testing.T, b []byte) {
		data, no, err := machine.DecodeResult(b)
		if err != nil {
			return
		}
		var r machine.Results
		if no != nil {
			r.Refuse(no.Code, no.Text)
		} else {
			r.Reply(data)
		}
		if again := r.AppendResult(nil, 0); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func ExampleResults_AvailableBuffer() {
	var out machine.Results
	out.Reply(binary.AppendUvarint(out.AvailableBuffer(), 300))
	data, _ := out.At(0)
	fmt.Printf("%x", data)
	// Output: ac02
}
