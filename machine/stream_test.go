package machine_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/lockstep-rsm/lockstep/machine"
)

func save(t testing.TB, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := &machine.Writer{Writer: &b}
	for _, text := range parts {
		if have, err := w.Part("part "+text, 7); have || err != nil {
			t.Fatal(have, err)
		}
		for i := range len(text) {
			if n, err := io.WriteString(w, text[i:i+1]); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	return b.Bytes()
}

func TestPartsComeBackInOrder(t *testing.T) {
	saved := save(t, "one", "", "three")
	for _, skip := range []bool{false, true} {
		r := &machine.Reader{Reader: iotest.OneByteReader(bytes.NewReader(saved))}
		for _, want := range []string{"one", "", "three"} {
			name, err := r.Next()
			if err != nil || name != "part "+want {
				t.Fatalf("Next gives %q, %v, want %q", name, err, "part "+want)
			}
			if skip {
				continue // Next passes over what was not read
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != want {
				t.Errorf("the part is %q, %v, want %q", got, err, want)
			}
		}
		if name, err := r.Next(); err != io.EOF {
			t.Errorf("after the last part Next gives %q, %v, want io.EOF", name, err)
		}
	}
}

func TestSnapshotWithoutPartsIsThePlainStream(t *testing.T) {
	var b bytes.Buffer
	w := &machine.Writer{Writer: &b}
	if _, err := io.WriteString(w, "plain"); err != nil {
		t.Fatal(err)
	}
	if b.String() != "plain" {
		t.Errorf("it was written as %q", b.String())
	}
	if _, err := w.Part("late", 0); err == nil {
		t.Error("a part begins within a plain stream")
	}
	r := &machine.Reader{Reader: &b}
	if got, err := io.ReadAll(r); err != nil || string(got) != "plain" {
		t.Errorf("it was read as %q, %v", got, err)
	}
	empty := &machine.Reader{Reader: bytes.NewReader(nil)}
	if _, err := empty.Next(); err != io.EOF {
		t.Errorf("Next of an empty snapshot gives %v, want io.EOF", err)
	}
	other := &machine.Reader{Reader: bytes.NewReader([]byte("plain"))}
	if _, err := other.Next(); err == nil || err == io.EOF {
		t.Errorf("Next of a plain stream gives %v, want an error", err)
	}
}

func TestCutWithinAPartIsAnError(t *testing.T) {
	saved := save(t, "one", "two")
	whole := 0
	for n := range len(saved) + 1 {
		r := &machine.Reader{Reader: bytes.NewReader(saved[:n])}
		err := drain(r)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v, want io.ErrUnexpectedEOF", n, err)
		}
		if err == nil {
			whole++
		}
	}
	// Between chunks a cut cannot be seen here; the engine's chunk list sees it.
	if want := 1 + 1 + 3 + 1 + 3; whole != want {
		t.Errorf("%d cuts pass, want the %d between chunks", whole, want)
	}
}

func TestNameOfAPartIsBounded(t *testing.T) {
	w := &machine.Writer{Writer: io.Discard}
	if _, err := w.Part(string(make([]byte, machine.MaxPartNameBytes+1)), 0); err == nil {
		t.Error("a longer name is written")
	}
	r := &machine.Reader{Reader: bytes.NewReader([]byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f})}
	if _, err := r.Next(); err == nil || err == io.EOF {
		t.Errorf("a name of 4 GiB gives %v", err)
	}
}

// drain reads all parts.
func drain(r *machine.Reader) error {
	for {
		switch _, err := r.Next(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
			return err
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(save(f, "one", "two"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = drain(&machine.Reader{Reader: bytes.NewReader(b)})
	})
}
