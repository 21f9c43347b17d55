package host

import (
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// span is one entry's commands within a batch.
type span struct {
	entry    *raft.Entry
	commands int // in the entry
	first    int // of those that the machine is given
	count    int // of these
	origins  []wire.Origin
	decided  []decided // by ordinal; nil: the machine is given all
}

const (
	maxLaneCommands = 8192
	maxLaneBytes    = 1 << 20
)

// execution is what a task needs to run a lane's turn: memory that serves one group after the other, so that there
// is as much of it as there are tasks, not groups. Between turns it holds nothing of any group.
type execution struct {
	taken    []raft.Entry // that the turn executes
	cmds     []machine.Command
	spans    []span
	results  machine.Results
	skipsNow []place // commands that are passed over, for the batch that is executed
	answered bool    // calls of this host, in this turn
	serving  []*readCall
	replies  []byte // the open piece of memory for short replies
	scratch  []byte
}

// reset ends a turn, whatever it came to.
func (x *execution) reset() {
	clear(x.taken)
	clear(x.cmds)
	clear(x.spans)
	x.taken, x.cmds, x.spans, x.skipsNow, x.answered = x.taken[:0], x.cmds[:0], x.spans[:0], nil, false
	x.results.Reset()
}

// execute runs entries in order (H10), cutting batches at marks and configurations, and behind entries
// with commands of sessions: what is decided next depends on the bytes of their results (S3).
func (l *lane) execute(g *group, entries []raft.Entry) error {
	if err := l.load(g, entries); err != nil {
		l.release(entries)
		return err
	}
	for i := range entries {
		e := &entries[i]
		l.release(entries[i : i+1])
		if err := l.collect(e); err != nil {
			return err
		}
		if e.Flags&raft.FlagMark != 0 || e.Kind == raft.KindConfiguration || l.spans[len(l.spans)-1].decided != nil || len(l.cmds) >= maxLaneCommands || i == len(entries)-1 {
			if err := l.run(g); err != nil {
				return err
			}
		}
		if e.Kind == raft.KindConfiguration {
			if err := l.configure(g, e); err != nil {
				return err
			}
		}
		if e.Flags&raft.FlagMark != 0 {
			if err := l.guard("Digest or View", func() { l.mark(g, e) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// load reads payloads that have left memory from the log.
func (l *lane) load(g *group, entries []raft.Entry) error {
	for i := range entries {
		if !entries[i].Loaded() {
			if err := g.h.wal.Read(g.id, entries[i:]); err != nil {
				return err
			}
			g.loaded("for the machine", entries[i:])
			return nil
		}
	}
	return nil
}

// collect adds one entry's commands to the batch.
func (l *lane) collect(e *raft.Entry) error {
	s := span{entry: e, first: len(l.cmds)}
	l.sessions.Begin(session.Time(e.Time), sessionLimits(&l.conf.Settings))
	switch e.Kind {
	case raft.KindCommands:
		it := wire.DecodePayload(e.Data)
		for it.Next() {
			if l.runs(&s, &it) {
				c := machine.Command{Data: it.Data(), Index: machine.Index(e.Index), Ordinal: it.Ordinal(), Time: machine.Time(e.Time)}
				c.SetSecret(l.secret[0]^uint64(e.Sum), l.secret[1]^uint64(e.Index))
				l.cmds = append(l.cmds, c)
				s.count++
			}
			if o := it.Origin(); o.Host != 0 || s.origins != nil {
				for len(s.origins) < s.commands {
					s.origins = append(s.origins, wire.Origin{})
				}
				s.origins = append(s.origins, o)
			}
			s.commands++
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("decode entry %d: %w", e.Index, err)
		}
	case raft.KindTick:
		c := machine.Command{Index: machine.Index(e.Index), Tick: true, Time: machine.Time(e.Time)}
		c.SetSecret(l.secret[0]^uint64(e.Sum), l.secret[1]^uint64(e.Index))
		l.cmds = append(l.cmds, c)
		s.count = 1
		l.ticked = true
	}
	l.spans = append(l.spans, s)
	return nil
}

// run executes the batch on the machine, links the results into the chain, and answers.
func (l *lane) run(g *group) error {
	l.results.Reset()
	var took time.Duration
	if len(l.cmds) > 0 {
		began := g.h.env.Clock().Now()
		if err := l.callMachine(); err != nil {
			return err
		}
		took = g.h.env.Clock().Now() - began
		if l.watches.Load() {
			if err := l.noteOvercome(g); err != nil {
				return err
			}
		}
	}
	for i := range l.spans {
		l.record(g, &l.spans[i])
		l.link(&l.spans[i])
	}
	last := l.spans[len(l.spans)-1].entry
	l.last, l.lastSum = last.Identity, last.Sum
	l.time.Store(int64(last.Time))
	l.open.Store(int64(l.sessions.Len()))
	l.reached(last.Index)
	if err := l.ranSkipped(l.skipsNow, l.skipped()); err != nil && len(l.cmds) > 0 {
		return err // nobody is answered; what is learned from here on, the turn looks at
	}
	g.h.observe(env.Event{
		Kind: env.EntriesApplied, Group: uint64(g.id), Replica: uint64(g.self.Replica), Term: uint64(last.Term),
		Index: uint64(last.Index), Digest: uint64(l.chain), Count: uint64(len(l.cmds)), Took: took,
	})
	l.show(g, len(l.cmds) > 0) // before anybody is answered, who may ask this host for what he has changed (H22)
	for i := range l.spans {
		l.answer(g, &l.spans[i])
	}
	clear(l.spans)
	clear(l.cmds)
	l.spans, l.cmds = l.spans[:0], l.cmds[:0]
	return nil
}

// show tells the host what the engine's own machine has come to. One that was made anew shows nothing until it is as far as
// the former one was: the host would take what was so once for what is.
func (l *lane) show(g *group, news bool) {
	c, ok := l.machine.(changed)
	if !ok {
		return
	}
	l.unshown = l.unshown || news
	if l.unshown && l.applied.Load() >= l.most.Load() {
		l.unshown = false
		c.changed(g.h)
	}
}

// reached notes through which index the machine has executed.
func (l *lane) reached(index raft.Index) {
	l.applied.Store(uint64(index))
	if uint64(index) > l.most.Load() {
		l.most.Store(uint64(index))
	}
}

// callMachine applies the batch, in one piece unless a command of it is passed over, or the machine is given
// one at a time. A panic or an error of the machine is its own: it quarantines this replica of this group,
// and nothing else (H18).
func (l *lane) callMachine() error {
	singly := l.singly.Load()
	l.skipsNow = l.skipped()
	for from := 0; from < len(l.cmds); {
		if l.passesOver(&l.cmds[from]) {
			l.results.Refuse(machine.Skipped.Code, machine.Skipped.Text)
			from++
			continue
		}
		to := from + 1
		for !singly && to < len(l.cmds) && !l.passesOver(&l.cmds[to]) {
			to++
		}
		if err := l.callPart(from, to); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// callPart applies commands [from, to) of the batch.
func (l *lane) callPart(from, to int) (err error) {
	name := l.conf.Settings.Machine
	defer func() {
		if p := recover(); p != nil {
			if env.Dead(p) {
				panic(p)
			}
			err = l.failedAt(from, to, panicked(fmt.Sprintf("machine %s at %s", name, l.blame(from, to)), p))
		}
	}()
	if err := l.machine.Apply(l.cmds[from:to], &l.results); err != nil {
		return l.failedAt(from, to, &machineError{err: fmt.Errorf("machine %s at %s: %w", name, l.blame(from, to), err)})
	}
	if n := l.results.Len() - from; n != to-from {
		return l.failedAt(from, to, &machineError{err: fmt.Errorf("machine %s gave %d results for %d commands", name, n, to-from)})
	}
	return nil
}

// link extends the chain by one entry: its identity and all its results, however batches were cut, and the
// table of sessions, where it spoke to that.
func (l *lane) link(s *span) {
	p := l.scratch[:0]
	for i := s.first; i < s.first+s.count; i++ {
		p = l.results.AppendResult(p, i)
		p = digest.PutUint32(p, uint32(len(p)))
	}
	l.scratch = p
	l.chain = raft.Digest(digest.Mix(digest.Mix(uint64(l.chain), uint64(s.entry.Sum)), digest.Sum(p)))
	if s.decided != nil {
		l.chain = raft.Digest(digest.Mix(uint64(l.chain), l.sessions.Digest()))
	}
}

// configure takes up the configuration of an entry: mostly that in force, which is of the committed entry there if
// it is of one with its index.
func (l *lane) configure(g *group, e *raft.Entry) error {
	conf := g.conf.Load()
	if conf == nil || conf.Index != e.Index {
		c, err := wire.DecodeConfiguration(e.Data)
		if err != nil {
			return fmt.Errorf("decode configuration %d: %w", e.Index, err)
		}
		c.Index = e.Index
		conf = &c
	}
	l.conf = conf
	g.lookAt(conf)
	return l.becomes(g, conf)
}
