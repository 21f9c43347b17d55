package wal

import (
	"bytes"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

const (
	// maxBatchBytes is where a batch stops taking more requests; the first one may be longer.
	maxBatchBytes = 4 << 20
	// promiseDelay is how long an unpromised batch may be the log's last while nothing is queued.
	// At once would put a second sync in front of the next write of a client that waits for each.
	promiseDelay = 2 * time.Millisecond
)

// Log is an open log. All methods are safe for concurrent use.
type Log struct {
	o    Options
	life uint64
	boot string

	wake    env.Waiter // the writer's
	prepare env.Waiter // the preparer's
	ended   env.Waiter // Close's

	// What follows is the writer's alone.
	batch     *wire.Batch
	scratch   []byte
	repeat    repeat // of the batch before
	next      repeat // of the one being built
	taken     []*request
	waiting   []*request // written or refused, not yet reported; in order
	written   uint64     // batches of this life
	promised  bool       // nothing but a promise was written since the last promise
	second    bool       // a two-batch save waits for the next batch
	idleAt    time.Duration
	carry     carrying
	requests  uint64
	strangers map[raft.GroupID]*group
	commands  int // in the batch being built
	zeroes    []byte

	// Appends take only this lock, so that they never wait for a batch being built.
	queueing sync.Mutex
	queue    []*request
	usable   []*request // memory for the next ones
	queued   int64
	shut     bool // no appends any more

	mu       sync.Mutex // guards what follows; nothing parks under it
	groups   map[raft.GroupID]*group
	chain    []*segment // oldest first; the last is written to
	ids      uint32     // of the newest segment
	spares   []file
	trash    []file // to be removed
	total    int64  // bytes of all files
	number   uint64 // of the newest file
	wanted   uint32 // blocks that a batch needs and no segment has; 0: none
	rolling  bool   // the writer waits for another spare, however little of its segment is used
	trouble  error  // why the newest preparation failed
	full     bool   // entries were refused and the cause lasts
	failed   error
	closing  bool
	tasks    int
	started  time.Duration // of the running write
	syncs    uint64
	batches  uint64
	retryAt  time.Duration
	carried  uint64
	live     int64
	damaged  bool
	timings  [256]time.Duration
	timing   uint64
	lastSync time.Duration
}

// repeat is what a batch held, as the next one repeats it: its second place.
type repeat struct {
	position uint64
	count    uint32
	records  []byte
}

// clone is a repeat with records of its own.
func (r *repeat) clone() repeat {
	return repeat{r.position, r.count, bytes.Clone(r.records)}
}

// request is one Append on its way.
type request struct {
	saves []GroupSave
	held  []raft.Entry // of all saves
	done  func(error)
	size  int   // of its records, at most
	claim claim // on the space that is left
	two   bool
	need  uint64 // batches that must be durable
	err   error
}

// Append queues saves, which become durable together, in their order. It never blocks. It
// copies what it needs of the slices; payloads are shared and must not change any more. done is
// called on the writer's task, in the order of the calls, when all of it is durable, a TwoBatch
// save twice; or with ErrFull, ErrGap (nothing of it is saved), ErrFailed or ErrClosed. done may
// call Append.
func (l *Log) Append(saves []GroupSave, done func(err error)) {
	r := l.newRequest()
	r.saves, r.done = append(r.saves, saves...), done
	count := 0
	for i := range saves {
		count += len(saves[i].Save.Entries)
	}
	r.held = slices.Grow(r.held, count)
	for i := range r.saves {
		s := &r.saves[i]
		from := len(r.held)
		r.held = append(r.held, s.Save.Entries...)
		s.Save.Entries = r.held[from:len(r.held):len(r.held)]
		r.two = r.two || s.Save.TwoBatch && !s.Destroy
		if !s.Destroy {
			r.claim = max(r.claim, claimOf(s.Save.Entries))
		}
		r.size += saveSize(s)
	}
	l.queueing.Lock()
	gone := l.shut
	if !gone {
		l.queue = append(l.queue, r)
		l.queued += int64(r.size)
	}
	l.queueing.Unlock()
	if gone {
		l.o.Env.Run("wal refuse", func() { done(ErrClosed) })
		return
	}
	l.wake.Wake()
}

// Of requests that are done, so many are kept for the next ones, with memory for so many saves and entries each.
const (
	maxSpareRequests = 4
	maxSpareSaves    = 64
)

// newRequest gives an empty request: one that is done, or a new one.
func (l *Log) newRequest() *request {
	l.queueing.Lock()
	defer l.queueing.Unlock()
	n := len(l.usable)
	if n == 0 {
		return &request{}
	}
	r := l.usable[n-1]
	l.usable[n-1], l.usable = nil, l.usable[:n-1]
	return r
}

// reuse keeps a request that was reported. Nobody knows it any more.
func (l *Log) reuse(r *request) {
	if cap(r.saves) > maxSpareSaves || cap(r.held) > maxSpareSaves {
		return
	}
	clear(r.saves)
	clear(r.held)
	*r = request{saves: r.saves[:0], held: r.held[:0]}
	l.queueing.Lock()
	defer l.queueing.Unlock()
	if len(l.usable) < maxSpareRequests {
		l.usable = append(l.usable, r)
	}
}

// saveSize bounds the bytes of a save's records.
func saveSize(s *GroupSave) int {
	n := 2*(wire.RecordHeaderSize+16+wire.HardStateSize) + wire.FloorRecordSize
	for i := range s.Save.Entries {
		n += wire.EntryRecordSize(len(s.Save.Entries[i].Data))
	}
	if b := s.Save.Base; b != nil {
		n += wire.EntryRecordSize(0) + 32 + len(wire.AppendConfiguration(nil, &b.Configuration))
	}
	return n
}

// write is the writer's task: it alone writes to segments.
func (l *Log) write() {
	for {
		l.take()
		switch {
		case l.err() != nil:
			l.refuseAll(ErrFailed)
			if l.isClosing() {
				l.end()
				return
			}
			l.park(0)
		case l.carryRolls():
			l.rollToCarry()
		case len(l.taken) > 0 || l.second || l.carryDue():
			l.turn()
		case l.isClosing():
			if !l.promised {
				l.turn() // a clean end: what a later scan finds is promised
				continue
			}
			l.end()
			return
		case !l.promised && l.now() >= l.idleAt:
			l.turn()
		case !l.promised:
			l.park(l.idleAt)
		default:
			l.park(0)
		}
	}
}

func (l *Log) park(until time.Duration) { _ = l.wake.Wait(nil, until) }

func (l *Log) now() time.Duration { return l.o.Env.Clock().Now() }

// Err is what made the log fail, an ErrFailed; nil: it has not.
func (l *Log) Err() error { return l.err() }

func (l *Log) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// isClosing says that Close was called and all that was queued before is taken.
func (l *Log) isClosing() bool {
	l.queueing.Lock()
	defer l.queueing.Unlock()
	return l.shut && len(l.queue) == 0
}

// take moves the queue to the writer.
func (l *Log) take() {
	l.queueing.Lock()
	if len(l.taken) == 0 {
		l.taken, l.queue = l.queue, l.taken[:0]
	}
	l.queueing.Unlock()
}

// end says that one of the log's tasks is over.
func (l *Log) end() {
	l.mu.Lock()
	l.tasks--
	l.mu.Unlock()
	l.prepare.Wake()
	l.ended.Wake()
}

// Close writes what is queued, ends the log's tasks and closes the files. Appends that come later
// are refused. It blocks: not to be called from done. It returns ErrFailed if the log has failed.
func (l *Log) Close() error {
	l.queueing.Lock()
	was := l.shut
	l.shut = true
	l.queueing.Unlock()
	if was {
		return ErrClosed
	}
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.wake.Wake()
	l.prepare.Wake()
	for l.running() {
		_ = l.ended.Wait(nil, 0)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.chain {
		if s.f != nil { // nil: it was missing when the log was opened
			_ = s.f.Close() // everything in it is synced, or the log has failed
		}
	}
	for _, s := range append(l.spares, l.trash...) {
		_ = s.f.Close()
	}
	return l.failed
}

func (l *Log) running() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tasks > 0
}

// fail latches: nothing is written any more.
func (l *Log) fail(err error) {
	l.mu.Lock()
	if l.failed == nil {
		l.failed = &FailedError{Cause: err}
	}
	l.mu.Unlock()
	l.o.Logger.Error("log has failed", slog.Any("err", err))
}

// FailedError is ErrFailed with its cause.
type FailedError struct{ Cause error }

// Error implements error.
func (e *FailedError) Error() string { return ErrFailed.Error() + ": " + e.Cause.Error() }

// Is makes it an ErrFailed.
func (e *FailedError) Is(target error) bool { return target == ErrFailed }

// Unwrap returns what the disk said.
func (e *FailedError) Unwrap() error { return e.Cause }

// refuseAll answers everything that is queued or waits.
func (l *Log) refuseAll(err error) {
	if failed := l.err(); failed != nil {
		err = failed
	}
	for len(l.waiting)+len(l.taken) > 0 {
		all := append(l.waiting, l.taken...)
		l.waiting, l.taken = nil, nil
		for _, r := range all {
			if r.err == nil {
				r.err = err
			}
			l.report(r)
		}
		l.take()
	}
	l.second = false
}

func (l *Log) report(r *request) {
	l.queueing.Lock()
	l.queued -= int64(r.size)
	l.queueing.Unlock()
	if r.done != nil {
		r.done(r.err)
	}
	l.reuse(r)
}
