package host

import (
	"bytes"
	"fmt"
	"log/slog"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/snapshot"
	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Bisect looks for the first command after which two replicas of a group have different states, in the
// directories that their hosts have left behind. It executes both logs side by side, by the lane's own way
// (A10), each from the oldest state that both can be brought to, one command at a time. It writes nothing.

// Left is the directory of a host that does not run, and the machines to execute its groups with.
type Left struct {
	Env      env.Env
	Dir      string
	Machines map[string]machine.Kind
}

// Difference is what Bisect has found.
type Difference struct {
	From, Through raft.Index // what was compared: the states behind these entries, and behind all between them
	Found         bool
	Log           bool // the logs hold different entries at At.Index: of two terms, or of none that may be
	Before        bool // the states differ behind From already, where the comparison begins
	Index         raft.Index
	Ordinal       uint32
	Term          [2]raft.Term   // of the entries
	Digest        [2]raft.Digest // of the entries where the logs differ, else of the states
	Command       [2][]byte      // the payload of the entries where the logs differ, else the command, twice
	Tick          bool           // it is none: log time reached the machine's deadline
	Result        [2][]byte      // as machine.Results.AppendResult has them; nil where the machine failed
	Failed        [2]error
}

// Bisect compares the replicas of a group in two directories. An error: they cannot be compared.
func Bisect(group raft.GroupID, a, b *Left) (*Difference, error) {
	var sides [2]*side
	for i, left := range []*Left{a, b} {
		s, err := openSide(group, left)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", left.Dir, err)
		}
		sides[i] = s
	}
	if x, y := sides[0].g.birth, sides[1].g.birth; x != y {
		return nil, fmt.Errorf("%w: group %d is of birth %016x in %s, and %016x in %s: they are different groups", ErrDir, group, uint64(x), a.Dir, uint64(y), b.Dir)
	}
	d := &Difference{}
	if compareLogs(d, sides); d.Found {
		return d, nil
	}
	return d, compareStates(d, sides)
}

// side is one of the two replicas.
type side struct {
	g     *group
	state *wal.GroupState
	steps *stepper
	at    raft.Index // executed through here
}

func openSide(id raft.GroupID, left *Left) (*side, error) {
	e := env.ReadOnly(left.Env)
	h := &Host{env: e, log: slog.New(slog.DiscardHandler)}
	h.opts.Dir, h.opts.Machines = left.Dir, left.Machines
	if _, err := e.FS().Stat(left.Dir + "/HOST"); err != nil {
		return nil, fmt.Errorf("%w: it is no directory of a host: %w", ErrDir, err)
	}
	if err := e.FS().Locked(left.Dir + "/LOCK"); err != nil { // its host writes on, and what is read here need not fit together
		return nil, fmt.Errorf("%w: %w. Stop that host, or compare a copy of its directory", ErrDir, err)
	}
	if err := h.identity.load(e, left.Dir); err != nil {
		return nil, err
	}
	is := &h.identity.is
	var err error
	if h.snaps, err = snapshot.Open(snapshot.Options{Env: e, Dir: left.Dir + "/snapshots", Cluster: is.Mint.Cluster}); err != nil {
		return nil, err
	}
	found, err := wal.Inspect(wal.Options{Env: e, Dir: left.Dir + "/wal", Cluster: is.Mint.Cluster, Host: is.Host})
	if err != nil {
		return nil, err
	}
	state := found.Groups[id]
	if state == nil || state.Destroyed {
		return nil, fmt.Errorf("%w: group %d", ErrNoReplica, id)
	}
	s := &side{g: &group{h: h, id: id, birth: state.Birth}, state: state}
	s.g.lane.singly.Store(true)
	s.g.lane.execution = &execution{}
	return s, nil
}

func (s *side) base() raft.Index { return s.state.BaseIdentity.Index }
func (s *side) last() raft.Index { return s.base() + raft.Index(len(s.state.Entries)) }

// entry at an index of the log.
func (s *side) entry(i raft.Index) *raft.Entry { return &s.state.Entries[i-s.base()-1] }

// compareLogs looks for the first index at which both have an entry, and not the same. Identities cover all before
// them: where one is the same, everything before it is.
func compareLogs(d *Difference, s [2]*side) {
	lo, hi := max(s[0].base(), s[1].base())+1, min(s[0].last(), s[1].last())
	for lo <= hi {
		mid := lo + (hi-lo)/2
		if s[0].entry(mid).Sum == s[1].entry(mid).Sum {
			lo = mid + 1
			continue
		}
		hi = mid - 1
		d.Found, d.Log, d.Index = true, true, mid
	}
	for i := range s {
		if d.Found {
			e := s[i].entry(d.Index)
			d.Term[i], d.Digest[i], d.Command[i] = e.Term, e.Sum, e.Data
		}
	}
	d.Through = d.Index
}

// compareStates executes both from the oldest state that they can be brought to alike.
func compareStates(d *Difference, s [2]*side) error {
	for i := range s {
		if err := s[i].begin(); err != nil {
			return err
		}
	}
	d.From, d.Through = max(s[0].at, s[1].at), min(s[0].last(), s[1].last())
	if d.From > d.Through {
		return fmt.Errorf("%w: what they hold does not meet: entries through %d, and a state at %d", ErrDir, d.Through, d.From)
	}
	for i := range s {
		for s[i].at < d.From {
			if err := s[i].step(); err != nil {
				return fmt.Errorf("execute %s: %w", s[i].g.h.opts.Dir, err)
			}
		}
	}
	if x, y := s[0].digest(), s[1].digest(); x != y {
		d.Found, d.Before, d.Index, d.Digest = true, true, d.From, [2]raft.Digest{x, y}
		return nil
	}
	for at := d.From + 1; at <= d.Through && !d.Found; at++ {
		for i := range s {
			s[i].steps.steps = s[i].steps.steps[:0]
			d.Failed[i] = s[i].step()
		}
		d.compareSteps(at, s)
	}
	return nil
}

// digest is of the state and of all results so far.
func (s *side) digest() raft.Digest {
	d, _, _ := s.g.lane.digest()
	return d
}

// begin makes the machine of the oldest snapshot that the log reaches, or of nothing, where it goes back so far.
func (s *side) begin() error {
	g := s.g
	base := s.state.Base()
	conf, err := newestConfiguration(&base, s.state.Entries)
	if err != nil {
		return err
	}
	g.learnAll(&base, s.state.Entries)
	metas := g.h.reached(s.state)
	if s.base() == 0 {
		metas = nil
	}
	for i := len(metas) - 1; i >= 0; i-- {
		if err = s.remake(conf); err == nil {
			err = g.lane.loadSnapshot(g, metas[i].Index())
		}
		if err == nil {
			s.at = metas[i].Index()
			return nil
		}
	}
	if s.base() > 0 {
		return fmt.Errorf("%w: %s: the log begins after %d, and no agreed snapshot at or behind it is readable: %w", ErrDir, g.h.opts.Dir, s.base(), err)
	}
	return s.remake(conf)
}

func (s *side) remake(conf *raft.Configuration) error {
	s.g.lane.clear()
	if err := s.g.makeMachine(conf); err != nil {
		return err
	}
	s.watch()
	return nil
}

// watch puts the stepper before the machine, which the founding entry may have brought.
func (s *side) watch() {
	if s.steps == nil || s.g.lane.machine != machine.StateMachine(s.steps) {
		s.steps = &stepper{StateMachine: s.g.lane.machine}
		s.g.lane.machine = s.steps
	}
}

// learnAll reads the commands to be passed over from all configurations of the log: whether the newest of them was
// committed is not known here.
func (g *group) learnAll(base *raft.SnapshotMeta, entries []raft.Entry) {
	confs := []raft.Configuration{base.Configuration}
	for i := range entries {
		if entries[i].Kind == raft.KindConfiguration {
			if c, err := wire.DecodeConfiguration(entries[i].Data); err == nil {
				confs = append(confs, c)
			}
		}
	}
	var skips []place
	for i := range confs {
		if at := (place{confs[i].Settings.SkipIndex, confs[i].Settings.SkipOrdinal}); at.index > 0 {
			skips = append(skips, at)
		}
	}
	g.lane.skips.Store(&skips)
}

// step executes the next entry.
func (s *side) step() error {
	l, e := &s.g.lane, s.entry(s.at+1)
	if !e.Loaded() {
		return fmt.Errorf("payload of entry %d is not readable", e.Index)
	}
	if err := l.collect(e); err != nil {
		return err
	}
	l.results.Reset()
	if err := l.callMachine(); err != nil {
		return err
	}
	for i := range l.spans {
		l.record(s.g, &l.spans[i])
		l.link(&l.spans[i])
	}
	l.last, l.lastSum = e.Identity, e.Sum
	l.spans, l.cmds = l.spans[:0], l.cmds[:0]
	s.at = e.Index
	if e.Kind == raft.KindConfiguration {
		err := l.configure(s.g, e)
		s.watch()
		return err
	}
	return nil
}

// stepper notes what each command came to.
type stepper struct {
	machine.StateMachine
	steps []stepped
}

type stepped struct {
	index   machine.Index
	ordinal uint32
	tick    bool
	data    []byte
	result  []byte // nil: the machine failed
	digest  machine.Digest
}

func (m *stepper) Apply(batch []machine.Command, out *machine.Results) error {
	c, first := &batch[0], out.Len()
	m.steps = append(m.steps, stepped{index: c.Index, ordinal: c.Ordinal, tick: c.Tick, data: bytes.Clone(c.Data)})
	if err := m.StateMachine.Apply(batch, out); err != nil || out.Len() != first+1 {
		return err
	}
	s := &m.steps[len(m.steps)-1]
	s.result = out.AppendResult([]byte{}, first)
	s.digest, _ = m.Digest()
	return nil
}

// compareSteps looks at what both did at one entry.
func (d *Difference) compareSteps(at raft.Index, s [2]*side) {
	x, y := s[0].steps.steps, s[1].steps.steps
	for i := range max(len(x), len(y)) {
		var p, q stepped
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		if p.digest == q.digest && bytes.Equal(p.result, q.result) && p.index == q.index && p.ordinal == q.ordinal && p.result != nil {
			continue
		}
		named := p
		if i >= len(x) {
			named = q
		}
		d.Found, d.Index, d.Ordinal, d.Tick = true, at, named.ordinal, named.tick
		d.Command = [2][]byte{named.data, named.data}
		d.Result, d.Digest = [2][]byte{p.result, q.result}, [2]raft.Digest{raft.Digest(p.digest), raft.Digest(q.digest)}
		d.Term = [2]raft.Term{s[0].entry(at).Term, s[1].entry(at).Term}
		return
	}
	if d.Failed[0] != nil || d.Failed[1] != nil || s[0].digest() != s[1].digest() { // what no command shows
		d.Found, d.Index, d.Digest = true, at, [2]raft.Digest{s[0].digest(), s[1].digest()}
		d.Term = [2]raft.Term{s[0].entry(at).Term, s[1].entry(at).Term}
	}
}
