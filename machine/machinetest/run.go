package machinetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
)

// Run draws logs of commands, executes each of them in many ways on machines of the kind, and fails t
// at the first difference. Both functions draw from r alone; a command may be refused, and nil is a
// command too. Of a machine whose state grows with its commands, commands should make it grow, so that
// the cost of its Views is judged.
//
// Of a kind with several versions every other log begins as an older one, and raises it on the way. That a build serves as
// the one before it did, as long as hosts have both, is RunUpgrade's.
//
// With -short it plays fewer seeds. With -race it also finds what a View shares with its machine.
func Run(t testing.TB, kind machine.Kind, command, query func(r *rand.Rand) []byte) {
	t.Helper()
	seeds := uint64(6)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		s := &suite{t: t, kind: kind, command: command, query: query, seed: seed + 1}
		s.r = rand.New(rand.NewPCG(s.seed, 0x6c6f636b73746570))
		s.begins = s.newest()
		if oldest := max(kind.Oldest, 1); s.seed%2 == 0 && oldest < s.begins {
			s.begins = oldest + machine.Version(s.r.IntN(int(s.begins-oldest)))
		}
		s.draw()
		for _, rule := range rules {
			s.rule = rule.name
			rule.run(s)
		}
	}
	s := &suite{t: t, kind: kind, command: command, query: query, seed: 1, rule: "View costs O(1)"}
	s.begins = s.newest()
	s.viewCost()
	warnOfFloats(t, s.machine())
}

// Two rules that one mistake may seem to break: see snapshots.
const (
	snapshotRule = "a snapshot is the whole state"
	viewRule     = "a View never changes"
)

var rules = []struct {
	name string
	run  func(*suite)
}{
	{"equal commands give equal results", (*suite).again},
	{"batches may be cut anywhere", (*suite).batches},
	{snapshotRule, (*suite).snapshots},
	{viewRule, (*suite).views},
	{"a View is used beside Apply", (*suite).beside},
	{"a failed Load leaves the old state", (*suite).failedLoads},
	{"an error of the writer is returned by Save", (*suite).failedSaves},
}

// suite plays one seed.
type suite struct {
	t              testing.TB
	kind           machine.Kind
	command, query func(r *rand.Rand) []byte
	seed           uint64
	begins         machine.Version // as which the script does
	rule           string
	r              *rand.Rand
	script         []step
}

// step is one command of the script, or an upgrade between two of them, and what the reference did.
type step struct {
	command machine.Command
	upgrade machine.Version // zero: a command
	after   outcome
}

// outcome is what can be seen of a machine after a command.
type outcome struct {
	result   []byte // as Results.AppendResult gives it
	digest   machine.Digest
	hasSum   bool
	deadline machine.Time
	waits    bool
}

func (o outcome) String() string {
	what := "replied"
	data, no, err := machine.DecodeResult(o.result)
	if no != nil {
		what, data = "refused", []byte(no.Error())
	}
	if err != nil {
		what = "nothing"
	}
	text := fmt.Sprintf("%s %q", what, data)
	if o.hasSum {
		text += fmt.Sprintf(", digest %v", o.digest)
	}
	if o.waits {
		text += fmt.Sprintf(", deadline %v", o.deadline)
	}
	return text
}

func (s *suite) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("seed %d, rule %q: %s", s.seed, s.rule, fmt.Sprintf(format, args...))
}

// machine makes a new one, as what the script begins as.
func (s *suite) machine() machine.StateMachine {
	s.t.Helper()
	return s.machineAs(s.begins)
}

func (s *suite) machineAs(v machine.Version) machine.StateMachine {
	s.t.Helper()
	m, err := s.kind.New(&machine.Place{Dir: s.t.TempDir(), Version: v})
	if err != nil {
		s.fatalf("New: %v", err)
	}
	return m
}

func (s *suite) newest() machine.Version { return max(s.kind.Newest, s.kind.Oldest, 1) }

// version is what runs after so many steps of the script.
func (s *suite) version(at int) machine.Version {
	v := s.begins
	for i := range s.script[:at] {
		v = max(v, s.script[i].upgrade)
	}
	return v
}

// draw makes the script, with every version up to the newest.
func (s *suite) draw() {
	s.t.Helper()
	s.drawOf(int(s.newest() - s.begins))
}

// drawOf makes the script, and executes it on the reference, which also tells when a Tick is due. It raises the version so
// many times.
func (s *suite) drawOf(raises int) {
	s.t.Helper()
	s.rule = "drawing the log"
	const entries = 120
	m := s.machine()
	raised := map[int]int{} // how many versions on, before an entry
	for range raises {
		raised[s.r.IntN(entries)]++
	}
	v := s.begins
	var at machine.Command
	for entry := range entries {
		for range raised[entry] {
			v++
			at.Index++ // of the configuration that says so
			st := step{upgrade: v, command: at}
			st.after = s.upgrade(m, &st)
			s.script = append(s.script, st)
		}
		at.Index++
		at.Ordinal = 0
		at.Time += machine.Time(s.r.Int64N(int64(20e6)))
		at.SetSecret(s.r.Uint64(), s.r.Uint64())
		// The leader asks for a Tick when it is due; one that has meanwhile become needless is in the
		// log all the same.
		due, waits := m.Deadline()
		if at.Tick = waits && due <= at.Time || s.r.IntN(40) == 0; at.Tick {
			at.Data = nil
			s.add(m, at)
			continue
		}
		for range 1 + s.r.IntN(5) {
			at.Data = s.drawCommand()
			s.add(m, at)
			at.Ordinal++
		}
	}
}

// drawCommand draws what a client might send: sometimes garbage.
func (s *suite) drawCommand() []byte {
	data := s.command(s.r)
	if s.r.IntN(20) > 0 {
		return data
	}
	data = bytes.Clone(data)
	if len(data) == 0 || s.r.IntN(2) == 0 {
		return fmt.Appendf(data, "%x", s.r.Uint64())
	}
	data[s.r.IntN(len(data))] ^= byte(1 + s.r.IntN(255))
	return data[:1+s.r.IntN(len(data))]
}

func (s *suite) add(m machine.StateMachine, c machine.Command) {
	s.t.Helper()
	st := step{command: c}
	st.after = s.apply(m, []step{st})[0]
	s.script = append(s.script, st)
}

// upgrade tells the machine of a version.
func (s *suite) upgrade(m machine.StateMachine, st *step) (after outcome) {
	s.t.Helper()
	if err := guard(func() error { return m.Upgrade(st.upgrade) }); err != nil {
		s.fatalf("Upgrade to version %v before entry %v: %v", st.upgrade, st.command.Index+1, err)
	}
	after.digest, after.hasSum = m.Digest()
	after.deadline, after.waits = m.Deadline()
	return after
}

// apply hands a batch to the machine, in memory that is spoiled afterwards, and gives the results;
// digest and deadline stand in the last one alone.
func (s *suite) apply(m machine.StateMachine, batch []step) []outcome {
	s.t.Helper()
	commands := make([]machine.Command, len(batch))
	for i := range batch {
		commands[i] = batch[i].command
		commands[i].Data = bytes.Clone(batch[i].command.Data)
	}
	var out machine.Results
	if err := guard(func() error { return m.Apply(commands, &out) }); err != nil {
		s.fatalf("Apply of %s: %v", name(batch), err)
	}
	if out.Len() != len(batch) {
		s.fatalf("Apply of %s gave %d results for %d commands", name(batch), out.Len(), len(batch))
	}
	after := make([]outcome, len(batch))
	for i := range batch {
		after[i].result = out.AppendResult(nil, i)
		if data, no := out.At(i); batch[i].command.Tick && (no != nil || len(data) > 0) {
			s.fatalf("Apply of the Tick %s gave %v, want an empty reply", name(batch[i:i+1]), after[i])
		}
		for j := range commands[i].Data {
			commands[i].Data[j] = 0xa5 // a machine that kept it, and may not, shows it from now on
		}
	}
	last := &after[len(after)-1]
	last.digest, last.hasSum = m.Digest()
	last.deadline, last.waits = m.Deadline()
	return after
}

// play executes the script from one place to another in batches as cut gives their lengths, and
// compares each with the reference.
func (s *suite) play(m machine.StateMachine, from, to int, cut func() int) {
	s.t.Helper()
	for from < to {
		if st := &s.script[from]; st.upgrade != 0 {
			if got := s.upgrade(m, st); !got.equal(st.after) {
				s.fatalf("upgrade to version %v before entry %v:\n\tgot  %v\n\twant %v (as the first machine)", st.upgrade, st.command.Index+1, got, st.after)
			}
			from++
			continue
		}
		n := min(cut(), to-from)
		for i := range n {
			if s.script[from+i].upgrade != 0 {
				n = i
				break
			}
		}
		batch := s.script[from : from+n]
		for i, got := range s.apply(m, batch) {
			want := batch[i].after
			if i < n-1 {
				want = outcome{result: want.result}
			}
			if !got.equal(want) {
				s.fatalf("command %s:\n\tgot  %v\n\twant %v (as the first machine, one command at a time)", name(batch[i:i+1]), got, want)
			}
		}
		from += n
	}
}

func (o outcome) equal(p outcome) bool {
	return bytes.Equal(o.result, p.result) && o.digest == p.digest && o.hasSum == p.hasSum && o.deadline == p.deadline && o.waits == p.waits
}

func singles() int { return 1 }

func (s *suite) anyCut() int { return 1 + s.r.IntN(1+s.r.IntN(64)) }

// name tells which commands a batch has.
func name(batch []step) string {
	first := batch[0].command
	text := fmt.Sprintf("%v.%d", first.Index, first.Ordinal)
	if len(batch) > 1 {
		last := batch[len(batch)-1].command
		return fmt.Sprintf("%s to %v.%d", text, last.Index, last.Ordinal)
	}
	return fmt.Sprintf("%s %q", text, first.Data)
}

// guard makes a panic an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v [%s]", p, machine.PanicFrames())
		}
	}()
	return f()
}
