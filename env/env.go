package env

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// Env is the world of one host as the engine sees it: every file, connection, clock reading,
// random number and task passes through one. OS returns the real one; the simulator is another.
// All methods are safe for concurrent use.
type Env interface {
	FS() FS
	Net() Net
	Clock() Clock
	Rand() Rand
	Facts() Facts

	// Run starts f as a task: a goroutine in production, a coroutine of the scheduler in the
	// simulator. name appears in traces. A task may park in a Waiter, a file or a connection.
	Run(name string, f func())
	// NewWaiter returns a place where one task at a time parks until it is woken.
	NewWaiter() Waiter
	// Yield lets tasks run that are ready to, before the calling one goes on. It may park.
	Yield()
	// Enter and Leave bracket a turn: between them nothing may park, sync or block (A11). The
	// simulator asserts it; in production they cost nothing.
	Enter()
	Leave()
}

// A Waiter is a place where one task parks until another wakes it. A Wake that finds nobody is
// remembered, once. Wait is called by one task at a time; Wake by anybody, also on a turn.
type Waiter interface {
	// Wait parks the calling task until Wake (nil), until the end of ctx (ctx.Err()), or until
	// the clock reaches until, where until is above zero (ErrTimeout). ctx may be nil. In the
	// simulator a context that can end but is not the simulator's own gives ErrContext.
	Wait(ctx context.Context, until time.Duration) error
	// Wake ends the present Wait, or else the next one at once. It never blocks.
	Wake()
}

// Errors of a Waiter.
var (
	// ErrTimeout says that the clock reached the bound of a Wait before anybody woke it.
	ErrTimeout = errors.New("wait timed out")
	// ErrContext says that, in a simulation, a context can end on the real clock.
	ErrContext = errors.New("context does not belong to the simulated world: make it with the simulator's WithTimeout or WithCancel")
)

// Clock is the host's sense of time.
type Clock interface {
	// Now is monotonic time since an arbitrary origin of this process. It never goes back.
	Now() time.Duration
	// Wall is the calendar, as the host believes it. It may jump.
	Wall() time.Time
	// AfterFunc calls f once after d on a turn of its own. f must not park.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is one pending AfterFunc.
type Timer interface {
	// Stop prevents the call, and says whether it did.
	Stop() bool
	// Reset makes the call come d from now, whether or not it has come before.
	Reset(d time.Duration)
}

// Rand is the host's randomness: unpredictable in production, drawn from the seed in the simulator.
type Rand interface {
	Uint64() uint64
	// Fill overwrites p with random bytes.
	Fill(p []byte)
}

// Facts are what the host knows about itself.
type Facts struct {
	BootID string // changes when the operating system starts anew: power loss tells from process kill
	PID    int
}

// Mode says how FS.Open opens a file.
type Mode uint8

// The modes. Create makes a new file and refuses an existing one (fs.ErrExist).
const (
	Read Mode = 1 << iota
	Write
	Create
	Direct // bypass the page cache where the file system can; see File.WriteSync
)

// FS is the host's disk. Names are slash-separated paths. Errors satisfy errors.Is with fs.ErrExist,
// fs.ErrNotExist, syscall.ENOSPC and syscall.EIO. A new or renamed file survives a power loss
// only after SyncDir of its directory.
type FS interface {
	Open(name string, mode Mode) (File, error)
	Stat(name string) (FileInfo, error)
	ReadDir(dir string) ([]FileInfo, error) // sorted by name
	MkdirAll(dir string) error              // durable on return
	Rename(from, to string) error           // replaces to
	Remove(name string) error
	RemoveAll(name string) error
	SyncDir(dir string) error
	// Lock takes the exclusive lock of the file name, making the file if need be. A lock held by
	// another process is a *LockedError. Closing gives it back; so does the end of the process.
	Lock(name string) (io.Closer, error)
	// Locked is a *LockedError if another process, or another Lock of this one, holds the lock of the file name. It
	// takes no lock and writes nothing; nobody holds the lock of a file that is not there.
	Locked(name string) error
	// Free is the space that a write could still take, in bytes.
	Free(dir string) (int64, error)
}

// FileInfo describes one file of a directory.
type FileInfo struct {
	Name string // without its directory
	Size int64
	Dir  bool
}

// A LockedError names who holds a lock, as far as the holder wrote it down.
type LockedError struct {
	Name  string // the lock file
	Owner string // such as "pid 4711"; empty if unknown
}

// Error implements error.
func (e *LockedError) Error() string {
	if e.Owner == "" {
		return e.Name + " is locked by another process"
	}
	return e.Name + " is locked by " + e.Owner
}

// File is an open file. ReadAt and WriteAt may run at once on several tasks.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// WriteSync writes p at off and returns when p is durable: pwrite and fdatasync, or one
	// synchronous write where the file was opened Direct. For Direct, off, len(p) and the
	// address of p are multiples of BlockSize: see Aligned.
	WriteSync(p []byte, off int64) error
	// Sync makes everything written so far durable (fdatasync). After an error the file's
	// unsynced contents are unknown for ever: do not try again.
	Sync() error
	Size() (int64, error)
	Truncate(size int64) error
	// Allocate makes the file size bytes long: it reserves them on disk and writes zeroes behind its end.
	Allocate(size int64) error
	// Reserve is Allocate that writes nothing, where the file system can: zeroes are read there all the
	// same, but the first sync over each block costs a change of metadata.
	Reserve(size int64) error
	// DropCache makes later reads come from the medium, not from the page cache. Call Sync first.
	DropCache() error
}

// BlockSize is the unit of Direct writes, in bytes.
const BlockSize = 4096

// Net is the host's network: streams, as in TCP. In the simulator, one Write call is lost,
// doubled or reordered as a whole, so writers hand over whole frames per Write.
type Net interface {
	// Dial connects to addr. errors.Is(err, syscall.ECONNREFUSED): the host is up and nobody listens.
	Dial(ctx context.Context, addr string) (Conn, error)
	Listen(addr string) (net.Listener, error)
}

// Conn is a connection that a turn can write to, too.
type Conn interface {
	net.Conn
	// TryWrite writes as much of p as goes without waiting, mostly all of it, perhaps nothing, and says
	// how much that is. It never parks. It runs beside no other TryWrite or Write of the same
	// connection. What it has not taken goes next, before anything else. After an error, Write
	// fails, too.
	TryWrite(p []byte) (int, error)
}

// Unwinding is what a task's stack unwinds with when the life of its host ends in a simulation.
// Code that recovers from panics lets it pass: see Dead.
type Unwinding interface{ EnvUnwinding() }

// Dead says whether a recovered panic is the end of the host's life, to be panicked on with.
func Dead(p any) bool {
	_, ok := p.(Unwinding)
	return ok
}
