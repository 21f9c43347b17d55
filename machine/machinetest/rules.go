package machinetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing/iotest"

	"github.com/lockstep-rsm/lockstep/machine"
)

// again executes the script twice more: order of maps, pointers and clocks differ between runs.
func (s *suite) again() {
	s.t.Helper()
	for range 2 {
		s.play(s.machine(), 0, len(s.script), singles)
	}
}

func (s *suite) batches() {
	s.t.Helper()
	for range 3 {
		s.play(s.machine(), 0, len(s.script), s.anyCut)
	}
	s.play(s.machine(), 0, len(s.script), func() int { return len(s.script) })
}

// snapshots saves at some places, from a View that has been overtaken, and goes on from the snapshot
// in a new machine and in one with another past. What the View gave before it was overtaken goes first:
// if that is right, and what it gives afterwards is not, the View is to blame, and not Save.
func (s *suite) snapshots() {
	s.t.Helper()
	for range 3 {
		at := s.r.IntN(len(s.script) + 1)
		m := s.machine()
		s.play(m, 0, at, s.anyCut)
		view := s.view(m)
		early := s.save(view)
		s.play(m, at, len(s.script), s.anyCut)
		saved := s.save(view)
		s.close(view)
		if !bytes.Equal(early, saved) {
			before := s.machine()
			s.load(before, early, at)
			s.play(before, at, len(s.script), s.anyCut)
			s.rule = viewRule + ", as when Clone shares what Apply changes"
		}

		fresh := s.machineAs(s.newest()) // as the engine does: what it runs as is the snapshot's
		s.load(fresh, saved, at)
		if again := s.view(fresh); !bytes.Equal(s.save(again), saved) {
			s.t.Logf("seed %d: equal states do not give equal bytes, so a broken transfer resumes from the same replica only", s.seed)
		}
		s.play(fresh, at, len(s.script), s.anyCut)

		used := s.machine()
		s.play(used, 0, s.r.IntN(len(s.script)+1), s.anyCut)
		s.load(used, saved, at)
		s.play(used, at, len(s.script), s.anyCut)
		s.equal(fresh, used, "loaded into a machine that was not empty, the state")
		s.rule = snapshotRule
	}
}

// equal asks two machines the same. The second is the one that what tells of.
func (s *suite) equal(a, b machine.StateMachine, what string) {
	s.t.Helper()
	x, y := s.view(a), s.view(b)
	for range 12 {
		q := s.query(s.r)
		if got, want := s.ask(y, q), s.ask(x, q); got != want {
			s.fatalf("%s answers %q with %s, else with %s", what, q, got, want)
		}
	}
	s.close(x)
	s.close(y)
}

// views asks Views the same before and after they are overtaken, and asks a loaded machine too.
func (s *suite) views() {
	s.t.Helper()
	type open struct {
		at      int
		view    machine.View
		asked   [][]byte
		answers []string
	}
	m := s.machine()
	var views []open
	for at := 0; at < len(s.script); {
		v := open{at: at, view: s.view(m)}
		for range 12 {
			q := s.query(s.r)
			v.asked = append(v.asked, q)
			v.answers = append(v.answers, s.ask(v.view, q))
		}
		views = append(views, v)
		next := min(at+s.anyCut()+8, len(s.script))
		s.play(m, at, next, s.anyCut)
		at = next
	}
	for _, v := range views {
		loaded := s.machine()
		s.load(loaded, s.save(v.view), v.at)
		other := s.view(loaded)
		for i, q := range v.asked {
			if got := s.ask(v.view, q); got != v.answers[i] {
				s.fatalf("the View at %d answered %q with %s, and after later commands with %s", v.at, q, v.answers[i], got)
			}
			if got := s.ask(other, q); got != v.answers[i] {
				s.fatalf("the View at %d answered %q with %s, and one of its snapshot with %s", v.at, q, v.answers[i], got)
			}
		}
		s.ask(v.view, s.drawCommand()) // garbage, as likely as not: an answer, a refusal, but no panic
		s.close(other)
		s.close(v.view)
	}
}

var errCut = errors.New("the link broke")

// failedLoads feeds a machine with snapshots that break off or are damaged.
func (s *suite) failedLoads() {
	s.t.Helper()
	half := len(s.script) / 2
	m, source := s.machine(), s.machine()
	s.play(m, 0, half, s.anyCut)
	s.play(source, 0, len(s.script), s.anyCut)
	saved := s.save(s.view(source))
	for i := range 24 {
		r := io.MultiReader(bytes.NewReader(saved[:s.r.IntN(len(saved)+1)]), iotest.ErrReader(errCut))
		if err := s.tryLoad(m, r, len(s.script)); err == nil {
			s.fatalf("Load of a snapshot that broke off gave no error")
		}
		s.unchanged(m, half)
		if len(saved) == 0 || i%2 == 0 {
			continue
		}
		// A damage may pass unseen here, for the engine has checksums; if it is seen, the old state
		// stands.
		damaged := bytes.Clone(saved)
		damaged[s.r.IntN(len(damaged))] ^= 1 << s.r.IntN(8)
		if i%4 == 1 {
			damaged = damaged[:s.r.IntN(len(damaged))]
		}
		if err := s.tryLoad(m, bytes.NewReader(damaged), len(s.script)); err == nil {
			m = s.machine()
			s.play(m, 0, half, s.anyCut)
		}
		s.unchanged(m, half)
	}
	s.play(m, half, len(s.script), s.anyCut)
}

// failedSaves has the writer fail at some place.
func (s *suite) failedSaves() {
	s.t.Helper()
	m := s.machine()
	s.play(m, 0, len(s.script), s.anyCut)
	v := s.view(m)
	whole := len(s.save(v))
	for range 8 {
		if whole == 0 {
			break
		}
		w := &machine.Writer{Writer: &brittle{room: s.r.IntN(whole)}}
		if err := guard(func() error { return v.Save(w) }); !errors.Is(err, errCut) {
			s.fatalf("Save to a writer that failed gave %v, want the writer's error", err)
		}
	}
	s.close(v)
}

// brittle takes so many bytes and then fails.
type brittle struct{ room int }

func (b *brittle) Write(p []byte) (int, error) {
	if b.room -= len(p); b.room < 0 {
		return 0, errCut
	}
	return len(p), nil
}

// unchanged compares a machine with the reference after the first n commands.
func (s *suite) unchanged(m machine.StateMachine, n int) {
	s.t.Helper()
	if n == 0 {
		return
	}
	got := outcome{result: s.script[n-1].after.result}
	got.digest, got.hasSum = m.Digest()
	got.deadline, got.waits = m.Deadline()
	if !got.equal(s.script[n-1].after) {
		s.fatalf("at command %d:\n\tgot  %v\n\twant %v", n, got, s.script[n-1].after)
	}
}

func (s *suite) view(m machine.StateMachine) machine.View {
	s.t.Helper()
	var v machine.View
	if err := guard(func() error { v = m.View(); return nil }); err != nil || v == nil {
		s.fatalf("View: %v, %v", v, err)
	}
	return v
}

func (s *suite) close(v machine.View) {
	s.t.Helper()
	if err := guard(v.Close); err != nil {
		s.fatalf("Close of a View: %v", err)
	}
}

func (s *suite) save(v machine.View) []byte {
	s.t.Helper()
	var b bytes.Buffer
	if err := guard(func() error { return v.Save(&machine.Writer{Writer: &b}) }); err != nil {
		s.fatalf("Save: %v", err)
	}
	return b.Bytes()
}

// load loads in small pieces, and compares with the reference after so many commands.
func (s *suite) load(m machine.StateMachine, saved []byte, at int) {
	s.t.Helper()
	var r io.Reader = bytes.NewReader(saved)
	if len(saved) < 1<<16 {
		r = iotest.OneByteReader(r)
	}
	if err := s.tryLoad(m, r, at); err != nil {
		s.fatalf("Load of a snapshot at command %d: %v", at, err)
	}
	s.unchanged(m, at)
}

// tryLoad gives the error of Load, of a state after so many steps; a panic fails the test, whatever was read.
func (s *suite) tryLoad(m machine.StateMachine, r io.Reader, at int) (err error) {
	s.t.Helper()
	if p := guard(func() error { err = m.Load(s.version(at), &machine.Reader{Reader: r}); return nil }); p != nil {
		s.fatalf("Load: %v", p)
	}
	return err
}

// ask gives the answer to a query, or the refusal, as text to compare.
func (s *suite) ask(v machine.View, q []byte) string {
	s.t.Helper()
	var b bytes.Buffer
	err := guard(func() error { return v.Query(q, &b) })
	var no *machine.Refusal
	switch {
	case err == nil:
		return fmt.Sprintf("reply %q", b.Bytes())
	case errors.As(err, &no):
		return fmt.Sprintf("refusal %d %q", no.Code, no.Text)
	}
	s.fatalf("Query %q: %v", q, err)
	return ""
}
