package host

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/internal/snapshot"
	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// lane is one group's machine and the work that waits for it. The fields behind mu are shared with
// the turn; the rest is of whichever task runs the lane's turn, one at a time (A11).
type lane struct {
	*execution // of the task that runs the lane's turn; nil between turns

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
	life      uint64     // counts the machines: what a former one had sealed, or pinned, is nothing
	waitsAt   raft.Index // entries from it on wait until it is known what is passed over (H28); 0: none
	held      *pin       // of the newest mark, while holds; nil: none

	machine   machine.StateMachine
	sessions  session.Table
	conf      *raft.Configuration // as of applied; nobody ever writes to it
	chain     raft.Digest         // over all results, and the table of sessions
	secret    [2]uint64
	last      raft.Identity // of the entry at applied
	lastSum   raft.Digest
	deadline  machine.Time // that the turn was told, if wantsTick
	wantsTick bool
	ticked    bool                    // a Tick was executed since
	unshown   bool                    // the machine has changed since it was last shown to the host
	wantPin   atomic.Bool             // a snapshot waits for the next mark
	holds     atomic.Bool             // the log presses: the view of the newest mark is kept
	singly    atomic.Bool             // the machine is given one command at a time: a batch of it failed
	skips     atomic.Pointer[[]place] // commands that are passed over; nil: none
	base      atomic.Uint64           // index of the state that the machine was made of
	version   machine.Version         // that the machine runs as
	watches   atomic.Bool             // machines here failed at commands of this group: Host.overcome
}

// laneWaiter is somebody who waits until more than after is applied.
type laneWaiter struct {
	after raft.Index
	w     env.Waiter
}

// apply gives the lane entries to execute. Nobody writes to them: where nothing waits, they wait where they are.
func (l *lane) apply(g *group, entries []raft.Entry) {
	l.mu.Lock()
	var bytes int64
	for i := range entries {
		bytes += int64(entries[i].Length)
	}
	if len(l.entries) == 0 && l.bytes.Load()+bytes <= g.h.opts.MaxApplyBytes {
		l.bytes.Add(bytes)
		l.entries = slices.Clip(entries)
		l.unlockAndSchedule(g)
		return
	}
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
func (l *lane) turn(g *group, x *execution) (told event, answered bool) {
	install, life, ok := l.take(x)
	if !ok {
		return event{}, false
	}
	l.execution = x
	applied, err := l.work(g, install)
	answered = x.answered
	x.reset()
	l.execution = nil
	if err != nil {
		l.end(g, life, err)
		return event{}, false
	}
	if applied > 0 {
		told = event{kind: evApplied, g: g, index: applied, life: life}
	}

	l.mu.Lock() // from here on another task may have the lane
	l.scheduled, l.busy = false, false
	if !l.mayTake(0) && l.pending == nil && !l.servable() {
		l.mu.Unlock()
		return told, answered
	}
	l.unlockAndSchedule(g)
	return told, answered
}

// work restores the snapshot, or executes the entries that were taken, and serves reads. It returns through which
// index the machine has executed, if that is new, else 0.
func (l *lane) work(g *group, install *raft.SnapshotMeta) (applied raft.Index, err error) {
	before := raft.Index(l.applied.Load())
	if install != nil {
		err = l.restore(g, install)
	} else if len(l.taken) > 0 {
		err = l.execute(g, l.taken)
	}
	// What was taken may have left the disk, entries and snapshots both, for a snapshot that came since.
	if (errors.Is(err, wal.ErrNotHeld) || errors.Is(err, snapshot.ErrNotFound)) && l.overtaken() {
		err = nil
	}
	if err != nil {
		return 0, err
	}
	if now := raft.Index(l.applied.Load()); now > before {
		if err := l.guard("Deadline", func() { l.askTick(g) }); err != nil {
			return 0, err
		}
		applied = now
		l.wakeWaiters(now)
	}
	return applied, l.serve(g)
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

// isStopped says whether the machine is out of service.
func (l *lane) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
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

// take removes the snapshot that waits, or else the next entries, up to a bound, which x then holds. They are for the
// machine of this life. false: the lane has stopped.
func (l *lane) take(x *execution) (install *raft.SnapshotMeta, life uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		l.scheduled = false
		return nil, 0, false
	}
	l.busy = true
	if install := l.pending; install != nil {
		l.pending = nil
		return install, l.life, true
	}
	n, bytes := 0, 0
	for l.mayTake(n) && (n == 0 || bytes+int(l.entries[n].Length) <= maxLaneBytes && n < maxLaneCommands) {
		bytes += int(l.entries[n].Length)
		n++
	}
	x.taken = append(x.taken, l.entries[:n]...)
	if l.entries = l.entries[n:]; len(l.entries) == 0 {
		l.entries = nil
	}
	return nil, l.life, true
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
