package host

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/internal/snapshot"
	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// lane is one group's machine and the work that waits for it. The fields behind mu are shared with
// the turn; the rest is of whichever task runs the lane's turn, one at a time (A11).
type lane struct {
	bytes   atomic.Int64  // of payloads that wait here
	applied atomic.Uint64 // index the machine has executed
	most    atomic.Uint64 // the highest that any machine of this process has
	time    atomic.Int64  // log time of that entry
	open    atomic.Int64  // sessions in the table there

	mu        sync.Mutex
	entries   []raft.Entry
	pending   *raft.SnapshotMeta // to restore before the entries
	readers   []*readCall
	waiters   []laneWaiter
	scheduled bool
	busy      bool // a turn runs
	stopped   bool
	life      uint64 // counts the machines: what a former one had sealed, or pinned, is nothing
	held      *pin   // of the newest mark, while holds; nil: none

	answered  bool // calls of this host, in this turn
	machine   machine.StateMachine
	sessions  session.Table
	conf      raft.Configuration // as of applied
	chain     raft.Digest        // over all results, and the table of sessions
	secret    [2]uint64
	last      raft.Identity // of the entry at applied
	lastSum   raft.Digest
	deadline  machine.Time // that the turn was told, if wantsTick
	wantsTick bool
	ticked    bool                    // a Tick was executed since
	wantPin   atomic.Bool             // a snapshot waits for the next mark
	holds     atomic.Bool             // the log presses: the view of the newest mark is kept
	singly    atomic.Bool             // the machine is given one command at a time: a batch of it failed
	skips     atomic.Pointer[[]place] // commands that are passed over; nil: none
	cmds      []machine.Command
	spans     []span
	results   machine.Results
	serving   []*readCall
	replies   []byte // the open piece of memory for short replies
	scratch   []byte
}

// laneWaiter is somebody who waits until more than after is applied.
type laneWaiter struct {
	after raft.Index
	w     env.Waiter
}

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

func (l *lane) apply(g *group, entries []raft.Entry) {
	l.mu.Lock()
	for i := range entries {
		e := entries[i]
		// What waits beyond the budget waits on disk: everything here is saved.
		if l.bytes.Add(int64(e.Length)) > g.h.opts.MaxApplyBytes && e.Length > 0 {
			e.Data = nil
		}
		l.entries = append(l.entries, e)
	}
	l.unlockAndSchedule(g)
}

// install gives the lane a snapshot to restore, in place of all that waits. It comes before the save
// that makes it the log's beginning: it is of an index beyond all that raft has handed out (R4), so that
// it holds the entries that wait here; and the log, where their payloads may have to be read from, holds
// them no more once it is saved. The file of a snapshot that waits may go, too, for two newer ones. Whoever
// waits for one of these entries is told that nobody knows (H5).
func (l *lane) install(g *group, meta *raft.SnapshotMeta) {
	l.mu.Lock()
	l.release(l.entries)
	l.entries, l.pending = nil, meta
	l.unlockAndSchedule(g)
}

// overtaken says whether a snapshot waits to be restored: it holds all that was taken before it.
func (l *lane) overtaken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending != nil
}

// release gives back what entries took of the budget of payloads that wait.
func (l *lane) release(entries []raft.Entry) {
	for i := range entries {
		l.bytes.Add(-int64(entries[i].Length))
	}
}

func (l *lane) addReaders(g *group, reads ...*readCall) {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		for _, r := range reads {
			r.fail(ErrQuarantined)
		}
		return
	}
	l.readers = append(l.readers, reads...)
	l.unlockAndSchedule(g)
}

func (l *lane) unlockAndSchedule(g *group) {
	schedule := !l.scheduled && !l.stopped
	if schedule {
		l.scheduled = true
	}
	l.mu.Unlock()
	if schedule {
		g.h.lanes.schedule(g)
	}
}

func (l *lane) stop() {
	l.mu.Lock()
	l.stopped = true
	l.entries, l.pending = nil, nil
	l.mu.Unlock()
	l.wakeWaiters(1<<63 - 1)
}

// resume lets a new machine go on, which is in place. None of the former one's turns runs any more.
func (l *lane) resume() {
	l.mu.Lock()
	l.stopped = false
	l.mu.Unlock()
}

func (l *lane) failReads(err error) {
	l.mu.Lock()
	readers := l.readers
	l.readers = nil
	l.mu.Unlock()
	for _, r := range readers {
		r.fail(err)
	}
}

// turn executes a bounded piece of what waits, answers, and comes back for the rest. It returns what the
// host's turn is to be told, if its kind is not 0, and whether calls of this host were answered.
func (l *lane) turn(g *group) (told event, answered bool) {
	install, entries, life, ok := l.take()
	if !ok {
		return event{}, false
	}
	l.answered = false
	applied := raft.Index(l.applied.Load())
	var err error
	if install != nil {
		err = l.restore(g, install)
	} else if len(entries) > 0 {
		err = l.execute(g, entries)
	}
	// What was taken may have left the disk, entries and snapshots both, for a snapshot that came since.
	if (errors.Is(err, wal.ErrNotHeld) || errors.Is(err, snapshot.ErrNotFound)) && l.overtaken() {
		err = nil
	}
	if err != nil {
		l.end(g, life, err)
		return event{}, false
	}
	if now := raft.Index(l.applied.Load()); now > applied {
		if err = l.guard("Deadline", func() { l.askTick(g) }); err == nil {
			told = event{kind: evApplied, g: g, index: now, life: life}
			l.wakeWaiters(now)
		}
	}
	if err == nil {
		err = l.serve(g)
	}
	if err != nil {
		l.end(g, life, err)
		return event{}, false
	}

	answered = l.answered // from here on another lane may have the group
	l.mu.Lock()
	l.scheduled, l.busy = false, false
	if len(l.entries) == 0 && l.pending == nil && !l.servable() {
		l.mu.Unlock()
		return told, answered
	}
	l.unlockAndSchedule(g)
	return told, answered
}

// end is the machine's: it executes no more, whatever comes before the turn hears of it.
func (l *lane) end(g *group, life uint64, err error) {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	g.h.post(event{kind: evStopped, g: g, life: life, err: err})
	l.mu.Lock()
	l.scheduled, l.busy = false, false
	l.mu.Unlock()
}

// isBusy says whether the machine may be at work. Once that is over on a stopped lane, it is for this machine's life.
func (l *lane) isBusy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy
}

// guard keeps a machine's panic from being more than this replica's end (H18).
func (l *lane) guard(where string, f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if env.Dead(p) {
				panic(p)
			}
			err = panicked(fmt.Sprintf("machine %s in %s after entry %d", l.conf.Settings.Machine, where, l.last.Index), p)
		}
	}()
	f()
	return nil
}

// askTick tells the turn when the machine wants a Tick, where that has changed, or where a Tick
// came too early: the leader steers log time, so its Tick may fall short of the deadline.
func (l *lane) askTick(g *group) {
	d, ok := l.machine.Deadline()
	again, changed := l.ticked, ok != l.wantsTick || d != l.deadline
	l.wantsTick, l.deadline, l.ticked = ok, d, false
	if !changed && !again {
		return
	}
	at := l.last.Time
	if !ok || !changed && raft.Time(d) <= at { // the machine has had the Tick it asked for
		g.h.post(event{kind: evDo, fn: func() { g.tickAt = 0 }})
		return
	}
	g.h.post(event{kind: evDo, fn: func() { g.expectTick(raft.Time(d), at) }})
}

// take removes the snapshot that waits, or else the next entries, up to a bound, for the machine of this life.
// false: the lane has stopped.
func (l *lane) take() (install *raft.SnapshotMeta, entries []raft.Entry, life uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		l.scheduled = false
		return nil, nil, 0, false
	}
	l.busy = true
	if install := l.pending; install != nil {
		l.pending = nil
		return install, nil, l.life, true
	}
	n, bytes := 0, 0
	for n < len(l.entries) && (n == 0 || bytes+int(l.entries[n].Length) <= maxLaneBytes && n < maxLaneCommands) {
		bytes += int(l.entries[n].Length)
		n++
	}
	entries = l.entries[:n:n]
	l.entries = l.entries[n:]
	return nil, entries, l.life, true
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
	g.h.observe(env.Event{
		Kind: env.EntriesApplied, Group: uint64(g.id), Replica: uint64(g.self.Replica), Term: uint64(last.Term),
		Index: uint64(last.Index), Digest: uint64(l.chain), Count: uint64(len(l.cmds)), Took: took,
	})
	for i := range l.spans {
		l.answer(g, &l.spans[i])
	}
	if c, ok := l.machine.(changed); ok && len(l.cmds) > 0 {
		c.changed(g.h)
	}
	clear(l.spans)
	clear(l.cmds)
	l.spans, l.cmds = l.spans[:0], l.cmds[:0]
	return nil
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
	for from := 0; from < len(l.cmds); {
		if l.skipped(&l.cmds[from]) {
			l.results.Refuse(machine.Skipped.Code, machine.Skipped.Text)
			from++
			continue
		}
		to := from + 1
		for !singly && to < len(l.cmds) && !l.skipped(&l.cmds[to]) {
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

// answer gives the results of one entry to the calls that wait for them here.
func (l *lane) answer(g *group, s *span) {
	own, dropped := g.waiting.takeEntry(s.entry.Term, s.entry.Index)
	if len(dropped) > 0 {
		failAll(dropped, notCommitted(ErrDropped))
	}
	l.answered = l.answered || len(own) > 0
	for i, c := range own {
		if c != nil {
			l.settle(c, s, i)
		}
	}
	for i, o := range s.origins {
		if o.Host == g.self.Host && o.Life == g.h.life {
			if c := g.waiting.takeForward(o.Seq); c != nil {
				l.settle(c, s, i)
			}
		}
	}
}

// settle gives the result of the i-th command of an entry to its call.
func (l *lane) settle(c *Call, s *span, i int) {
	r := Result{Index: s.entry.Index, Ordinal: uint32(i)}
	ran := s.first + i
	if s.decided != nil {
		if d := &s.decided[i]; d.verdict.Decision != session.Run {
			l.conclude(c, r, d)
			return
		}
		ran = s.decided[i].ran
	}
	l.reply(c, r, ran)
}

// reply gives a call what the machine gave.
func (l *lane) reply(c *Call, r Result, ran int) {
	data, no := l.results.At(ran)
	if no != nil {
		c.settle(r, no)
		return
	}
	r.Data = l.keep(data)
	c.settle(r, nil)
}

// sharedReplies is how much memory short replies share: one allocation for many, and a caller who
// keeps one holds no more.
const sharedReplies = 512

// keep copies a reply for its caller. Empty: nil.
func (l *lane) keep(p []byte) []byte {
	if len(p) > sharedReplies/4 {
		return append([]byte(nil), p...)
	}
	if len(p) == 0 {
		return nil
	}
	if len(p) > cap(l.replies)-len(l.replies) {
		l.replies = make([]byte, 0, sharedReplies)
	}
	n := len(l.replies)
	l.replies = append(l.replies, p...)
	return l.replies[n:len(l.replies):len(l.replies)]
}

func (l *lane) configure(g *group, e *raft.Entry) error {
	conf, err := wire.DecodeConfiguration(e.Data)
	if err != nil {
		return fmt.Errorf("decode configuration %d: %w", e.Index, err)
	}
	conf.Index = e.Index
	l.conf = conf
	g.lookAt(&conf)
	return nil
}

// wakeWaiters wakes those who wait for an index below or at applied.
func (l *lane) wakeWaiters(applied raft.Index) {
	l.mu.Lock()
	kept := l.waiters[:0]
	var wake []env.Waiter
	for _, w := range l.waiters {
		if applied > w.after {
			wake = append(wake, w.w)
		} else {
			kept = append(kept, w)
		}
	}
	clear(l.waiters[len(kept):])
	l.waiters = kept
	l.mu.Unlock()
	for _, w := range wake {
		w.Wake()
	}
}
