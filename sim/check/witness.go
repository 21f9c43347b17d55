package check

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/lockstep-rsm/lockstep/machine"
)

// A Witness executes the committed log once, in order, one command after the other, on a fresh
// machine, and keeps what each command was answered. Every replica's machine reports to it.
type Witness struct {
	fail    Fail
	machine machine.StateMachine
	version machine.Version // as which it runs
	log     []executed
	views   []machine.View // after log[i]; kept to the end: a View costs O(1)
	empty   machine.View
	out     machine.Results
	one     [1]machine.Command // that the replay executes
	result  []byte             // that a replica gave
	counts  map[string]int     // how often a command's bytes were executed
	ticks   uint64
	closely bool             // Watch was called
	digests []machine.Digest // after log[i], if closely
	differs *Difference
}

// A Difference is the first place at which a replica's machine was seen to do something else than the replay.
type Difference struct {
	Host           int
	Index          machine.Index // of the command
	Ordinal        uint32
	Since          machine.Index // first of the batch that it stands in: only the state differs, and one of them did it. Zero: the results differ
	Data           []byte
	Result, Replay []byte        // as Results.AppendResult has them
	Loaded         machine.Index // newest snapshot that the replica had begun from. Zero: none
}

// Watch makes the witness compare states after every batch, where the machine has a digest: dear, and
// meant for a run that is known to fail.
func (w *Witness) Watch() { w.closely = true }

// Differs is the first difference that was seen; nil: none was.
func (w *Witness) Differs() *Difference { return w.differs }

// executed is one command of the log with its result, as Results.AppendResult encodes it, or the entry between two that
// raised the version.
type executed struct {
	index   machine.Index
	ordinal uint32
	time    machine.Time
	tick    bool
	data    []byte
	result  []byte
	version machine.Version // as which it was executed
	upgrade bool            // no command: version runs from here on
}

// NewWitness makes the fresh machine, as version begins, which the group begins as.
func NewWitness(kind machine.Kind, begins machine.Version, fail Fail) (*Witness, error) {
	m, err := kind.New(&machine.Place{Dir: "witness", Version: begins})
	if err != nil {
		return nil, fmt.Errorf("make the witness's machine: %w", err)
	}
	return &Witness{fail: fail, machine: m, version: begins, empty: m.View(), counts: map[string]int{}}, nil
}

// Commands is how many commands were executed, ticks included.
func (w *Witness) Commands() int { return len(w.log) }

// Ticks is how many of them were ticks.
func (w *Witness) Ticks() uint64 { return w.ticks }

// Kind is kind, with every machine reporting to the witness as the replica on host.
func (w *Witness) Kind(kind machine.Kind, host int) machine.Kind {
	inner := kind.New
	kind.New = func(p *machine.Place) (machine.StateMachine, error) {
		m, err := inner(p)
		if err != nil {
			return nil, err
		}
		return &reporter{StateMachine: m, w: w, host: host, version: p.Version}, nil
	}
	return kind
}

// reporter is a replica's machine that the witness looks at.
type reporter struct {
	machine.StateMachine
	w    *Witness
	host int
	next int  // place in the witness's log of the next command
	lost bool // a snapshot was loaded: the next command's place is to be found

	version machine.Version // as which it runs, as far as it was told

	loaded machine.Index // of the newest snapshot
}

// Apply executes the batch and shows it to the witness.
func (r *reporter) Apply(batch []machine.Command, out *machine.Results) error {
	first := out.Len()
	if err := r.StateMachine.Apply(batch, out); err != nil {
		return err
	}
	if out.Len() == first+len(batch) {
		for i := range batch {
			r.see(&batch[i], out, first+i)
		}
		if r.w.closely && len(batch) > 0 {
			r.compare(&batch[0])
		}
	}
	return nil
}

// compare looks whether the state after a batch is the replay's.
func (r *reporter) compare(first *machine.Command) {
	w := r.w
	have, ok := r.Digest()
	if !ok || w.differs != nil || r.next == 0 || r.next > len(w.digests) || have == w.digests[r.next-1] {
		return
	}
	e := &w.log[r.next-1]
	w.differs = &Difference{Host: r.host, Index: e.index, Ordinal: e.ordinal, Since: first.Index, Data: e.data, Result: e.result, Replay: e.result, Loaded: r.loaded}
}

// Load replaces the state, so that the next command's place is unknown.
func (r *reporter) Load(v machine.Version, from *machine.Reader) error {
	err := r.StateMachine.Load(v, from)
	if err == nil {
		r.lost, r.version = true, v
	}
	return err
}

// Upgrade notes as what the machine runs from here on.
func (r *reporter) Upgrade(v machine.Version) error {
	if v != r.version+1 {
		r.w.fail("H32: host %d's machine is told of version %v while it runs as %v", r.host, v, r.version)
	}
	r.version = v
	return r.StateMachine.Upgrade(v)
}

// Upgraded hears that a replica's machine runs as another version behind the entry at index. The first to say so has the
// replay do the same.
func (w *Witness) Upgraded(host int, index machine.Index, to machine.Version) {
	place := w.after(index, 0)
	if place < len(w.log) && w.log[place].index == index && w.log[place].upgrade {
		if was := w.log[place].version; was != to {
			w.fail("H32: host %d raises the version to %v at entry %v, others to %v", host, to, index, was)
		}
		return
	}
	if place < len(w.log) || to <= w.version {
		w.fail("H32: host %d raises the version to %v at entry %v, behind which others have executed %v.%d as version %v", host, to, index, w.log[len(w.log)-1].index, w.log[len(w.log)-1].ordinal, w.version)
		return
	}
	for w.version < to {
		if err := w.machine.Upgrade(w.version + 1); err != nil {
			w.fail("H32: the witness's machine at the upgrade to version %v: %v", w.version+1, err)
			return
		}
		w.version++
	}
	w.keep(executed{index: index, version: to, upgrade: true})
}

// keep adds what the replay has done.
func (w *Witness) keep(e executed) {
	w.log = append(w.log, e)
	w.views = append(w.views, w.machine.View())
	if w.closely {
		digest, _ := w.machine.Digest()
		w.digests = append(w.digests, digest)
	}
}

func (r *reporter) see(c *machine.Command, out *machine.Results, i int) {
	w := r.w
	if r.lost {
		r.next, r.lost = w.after(c.Index, c.Ordinal), false
		if r.next > 0 {
			r.loaded = w.log[r.next-1].index
		}
	}
	w.result = out.AppendResult(w.result[:0], i)
	result := w.result
	for r.next < len(w.log) && w.log[r.next].upgrade {
		r.next++
	}
	if r.next == len(w.log) {
		w.execute(r.host, c)
	}
	if r.next >= len(w.log) {
		return
	}
	e := &w.log[r.next]
	r.next++
	switch {
	case e.index != c.Index || e.ordinal != c.Ordinal:
		w.fail("H1: host %d executes command %d.%d where the log has %d.%d", r.host, c.Index, c.Ordinal, e.index, e.ordinal)
	case e.version != r.version:
		w.fail("H32: host %d executes command %d.%d as version %v, the replay of the log as %v", r.host, c.Index, c.Ordinal, r.version, e.version)
	case e.tick != c.Tick || e.time != c.Time || !bytes.Equal(e.data, c.Data):
		w.fail("H1: host %d executes another command %d.%d than others did: %q, not %q", r.host, c.Index, c.Ordinal, c.Data, e.data)
	case !bytes.Equal(e.result, result):
		if w.differs == nil {
			w.differs = &Difference{Host: r.host, Index: c.Index, Ordinal: c.Ordinal, Data: e.data, Result: bytes.Clone(result), Replay: e.result, Loaded: r.loaded}
		}
		w.fail("H1: host %d answers command %d.%d with %q, the sequential replay of the log with %q", r.host, c.Index, c.Ordinal, result, e.result)
	}
}

// execute is the replay's step.
func (w *Witness) execute(host int, c *machine.Command) {
	if n := len(w.log); n > 0 && !before(&w.log[n-1], c.Index, c.Ordinal) {
		w.fail("H1: host %d executes command %d.%d after %d.%d", host, c.Index, c.Ordinal, w.log[n-1].index, w.log[n-1].ordinal)
	}
	one := &w.one[0]
	*one = *c
	one.Data = bytes.Clone(c.Data)
	w.out.Reset()
	if err := w.machine.Apply(w.one[:], &w.out); err != nil || w.out.Len() != 1 {
		w.fail("H1: the witness's machine at command %d.%d: %d results, %v", c.Index, c.Ordinal, w.out.Len(), err)
		return
	}
	w.keep(executed{
		index: c.Index, ordinal: c.Ordinal, time: c.Time, tick: c.Tick, data: one.Data, result: w.out.AppendResult(nil, 0), version: w.version,
	})
	if c.Tick {
		w.ticks++
	} else {
		w.counts[string(c.Data)]++
	}
}

func before(e *executed, index machine.Index, ordinal uint32) bool {
	return e.index < index || e.index == index && e.ordinal < ordinal
}

// after is the place of the first command that is not before (index, ordinal).
func (w *Witness) after(index machine.Index, ordinal uint32) int {
	place, _ := slices.BinarySearchFunc(w.log, struct{}{}, func(e executed, _ struct{}) int {
		if before(&e, index, ordinal) {
			return -1
		}
		return 1
	})
	return place
}

// Behind is how many commands were executed behind the entry at an index.
func (w *Witness) Behind(index machine.Index) (n int) {
	for _, e := range w.log[w.after(index+1, 0):] {
		if !e.upgrade {
			n++
		}
	}
	return n
}

// result is what the command at a place was and was answered; nil: it was not executed.
func (w *Witness) at(index machine.Index, ordinal uint32) *executed {
	if i := w.after(index, ordinal); i < len(w.log) && w.log[i].index == index && w.log[i].ordinal == ordinal && !w.log[i].upgrade {
		return &w.log[i]
	}
	return nil
}

// view is the state after all commands through index.
func (w *Witness) view(index machine.Index) machine.View {
	if i := w.after(index+1, 0); i > 0 {
		return w.views[i-1]
	}
	return w.empty
}

// View is the state after everything that any replica has executed.
func (w *Witness) View() machine.View { return w.view(1<<63 - 1) }
