package wal

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"path"
	"sort"
	"syscall"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// world is a small deterministic env: tasks are coroutines that the test's goroutine steps, the
// disk keeps what a power loss would leave apart from what a process sees.
type world struct {
	disk    *disk
	rng     *rand.Rand
	now     time.Duration
	tasks   []*task
	current *task
	dead    bool
	boot    string
}

type task struct {
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	wait  *waiter
	until time.Duration
	ended bool
}

// killed unwinds a task, or the test's own call, when the process dies.
type killed struct{}

func newWorld(d *disk, seed uint64) *world {
	w := &world{disk: d, rng: rand.New(rand.NewPCG(seed, 1)), boot: d.boot, now: 1}
	d.hook = nil
	return w
}

func (w *world) FS() env.FS       { return &diskFS{w} }
func (w *world) Net() env.Net     { return nil }
func (w *world) Clock() env.Clock { return worldClock{w} }
func (w *world) Rand() env.Rand   { return worldRand{w} }
func (w *world) Facts() env.Facts { return env.Facts{BootID: w.boot, PID: 1} }
func (w *world) Yield()           {}
func (w *world) Enter()           {}
func (w *world) Leave()           {}

func (w *world) Run(_ string, f func()) {
	t := &task{}
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		defer func() {
			t.ended = true
			if r := recover(); r != nil {
				if _, ok := r.(killed); !ok {
					panic(r)
				}
			}
		}()
		f()
	})
	w.tasks = append(w.tasks, t)
}

func (w *world) NewWaiter() env.Waiter { return &waiter{w: w} }

type waiter struct {
	w     *world
	woken bool
}

func (x *waiter) Wake() { x.woken = true }

func (x *waiter) Wait(_ context.Context, until time.Duration) error {
	w := x.w
	if t := w.current; t != nil {
		for !x.woken {
			if until > 0 && w.now >= until {
				return env.ErrTimeout
			}
			t.wait, t.until = x, until
			if !t.yield(struct{}{}) {
				panic(killed{})
			}
		}
		x.woken = false
		return nil
	}
	for !x.woken && !w.dead {
		if !w.step() && !w.tick() {
			panic("every task is parked, and nothing will wake one")
		}
	}
	if w.dead {
		panic(killed{})
	}
	x.woken = false
	return nil
}

// step resumes one task that can run; false: there is none.
func (w *world) step() bool {
	if w.dead {
		return false
	}
	var ready []*task
	for _, t := range w.tasks {
		if !t.ended && (t.wait == nil || t.wait.woken || t.until > 0 && w.now >= t.until) {
			ready = append(ready, t)
		}
	}
	if len(ready) == 0 {
		return false
	}
	t := ready[w.rng.IntN(len(ready))]
	t.wait, t.until = nil, 0
	w.current = t
	t.next()
	w.current = nil
	if w.dead {
		w.bury()
	}
	return true
}

// tick moves the clock to the next deadline; false: there is none.
func (w *world) tick() bool {
	next := time.Duration(0)
	for _, t := range w.tasks {
		if !t.ended && t.until > 0 && (next == 0 || t.until < next) {
			next = t.until
		}
	}
	if next == 0 || w.dead {
		return false
	}
	w.now = max(w.now, next)
	return true
}

// settle runs until nothing can, without moving the clock.
func (w *world) settle() {
	for w.step() {
	}
}

// idle runs until nothing can, also of what is timed within d.
func (w *world) idle(d time.Duration) {
	end := w.now + d
	for w.settle(); w.tick(); w.settle() {
		if w.now > end {
			return
		}
	}
}

// kill ends the process.
func (w *world) kill() {
	w.dead = true
	w.bury()
}

func (w *world) bury() {
	for _, t := range w.tasks {
		if !t.ended && t != w.current {
			t.stop()
		}
	}
}

// alive runs f, which a kill may end.
func (w *world) alive(f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, is := r.(killed); !is {
				panic(r)
			}
			w.current = nil
			w.kill()
			ok = false
		}
	}()
	f()
	return !w.dead
}

type worldClock struct{ w *world }

func (c worldClock) Now() time.Duration { return c.w.now }
func (c worldClock) Wall() time.Time    { return time.Unix(0, int64(c.w.now)) }
func (c worldClock) AfterFunc(time.Duration, func()) env.Timer {
	panic("not used by the log")
}

type worldRand struct{ w *world }

func (r worldRand) Uint64() uint64 { return r.w.rng.Uint64() }
func (r worldRand) Fill(p []byte) {
	for i := range p {
		p[i] = byte(r.w.rng.Uint32())
	}
}

const sector = 512

// disk outlives processes. Names and contents each have a durable and a visible form.
type disk struct {
	boot    string
	boots   int
	files   map[string]*inode // as seen
	names   map[string]*inode // durable
	free    int64             // below zero: no bound
	ops     int
	syncs   int
	read    int64 // bytes
	hook    func(op, name string) fault
	written map[*inode]map[int64]int // per block: writes, for W2; nil: not counted
}

// fault is what the hook makes of one operation.
type fault struct {
	err   error
	short int  // of a write: so many bytes arrive, then the process is killed (with kill)
	kill  bool // before the operation, or in the middle of a write
}

type inode struct {
	seen, safe []byte
	dirty      map[int64]bool // sectors seen and not safe
}

func newDisk() *disk {
	return &disk{boot: "boot 0", files: map[string]*inode{}, names: map[string]*inode{}, free: -1}
}

// powerLoss keeps, of each unsynced sector, the old or the new content or garbage; unsynced names
// may be there or not.
func (d *disk) powerLoss(rng *rand.Rand) {
	d.boots++
	d.boot = fmt.Sprint("boot ", d.boots)
	for _, name := range sortedNames(d.files, d.names) {
		if d.files[name] != d.names[name] && rng.IntN(2) == 0 {
			if f := d.files[name]; f != nil {
				d.names[name] = f
			} else {
				delete(d.names, name)
			}
		}
	}
	d.files = map[string]*inode{}
	for _, name := range sortedNames(d.names) {
		f := d.names[name]
		d.files[name] = f
		if len(f.seen) > len(f.safe) {
			size := len(f.safe) + rng.IntN(len(f.seen)-len(f.safe)+1)
			f.safe = append(f.safe, make([]byte, size-len(f.safe))...)
		}
		for _, s := range sortedSectors(f.dirty) {
			if s*sector >= int64(len(f.safe)) {
				continue
			}
			at := f.safe[s*sector : min((s+1)*sector, int64(len(f.safe)))]
			switch rng.IntN(3) {
			case 0:
				copy(at, f.seen[s*sector:])
			case 1:
				for i := range at {
					at[i] = byte(rng.Uint32())
				}
			}
		}
		f.seen, f.dirty = append([]byte(nil), f.safe...), map[int64]bool{}
	}
}

func sortedNames(ms ...map[string]*inode) (names []string) {
	set := map[string]bool{}
	for _, m := range ms {
		for name := range m {
			if !set[name] {
				names = append(names, name)
			}
			set[name] = true
		}
	}
	sort.Strings(names)
	return names
}

func sortedSectors(m map[int64]bool) (all []int64) {
	for s := range m {
		all = append(all, s)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return all
}

func (f *inode) write(p []byte, off int64) {
	if end := off + int64(len(p)); end > int64(len(f.seen)) {
		f.seen = append(f.seen, make([]byte, end-int64(len(f.seen)))...)
	}
	copy(f.seen[off:], p)
	for s := off / sector; s*sector < off+int64(len(p)); s++ {
		f.dirty[s] = true
	}
}

func (f *inode) sync() {
	if n := len(f.seen) - len(f.safe); n > 0 {
		f.safe = append(f.safe, make([]byte, n)...)
	}
	f.safe = f.safe[:len(f.seen)]
	for s := range f.dirty {
		copy(f.safe[s*sector:min((s+1)*sector, int64(len(f.safe)))], f.seen[s*sector:])
	}
	f.dirty = map[int64]bool{}
}

type diskFS struct{ w *world }

// op counts an operation and asks the hook.
func (s *diskFS) op(op, name string) fault {
	if s.w.dead {
		panic(killed{})
	}
	d := s.w.disk
	d.ops++
	if d.hook == nil {
		return fault{}
	}
	f := d.hook(op, name)
	if f.kill && op != "write" {
		s.die()
	}
	return f
}

func (s *diskFS) die() {
	s.w.dead = true
	panic(killed{})
}

func (s *diskFS) Open(name string, mode env.Mode) (env.File, error) {
	d := s.w.disk
	if mode&env.Create != 0 {
		if f := s.op("create", name); f.err != nil {
			return nil, f.err
		}
		if d.files[name] != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
		}
		d.files[name] = &inode{dirty: map[int64]bool{}}
	}
	f := d.files[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &diskFile{s: s, f: f, name: name}, nil
}

func (s *diskFS) Stat(name string) (env.FileInfo, error) {
	f := s.w.disk.files[name]
	if f == nil {
		return env.FileInfo{}, fs.ErrNotExist
	}
	return env.FileInfo{Name: path.Base(name), Size: int64(len(f.seen))}, nil
}

func (s *diskFS) ReadDir(dir string) (infos []env.FileInfo, err error) {
	for _, name := range sortedNames(s.w.disk.files) {
		if path.Dir(name) == dir {
			infos = append(infos, env.FileInfo{Name: path.Base(name), Size: int64(len(s.w.disk.files[name].seen))})
		}
	}
	return infos, nil
}

func (s *diskFS) MkdirAll(string) error { return nil }

func (s *diskFS) Rename(from, to string) error {
	if f := s.op("rename", from); f.err != nil {
		return f.err
	}
	d := s.w.disk
	d.files[to] = d.files[from]
	delete(d.files, from)
	return nil
}

func (s *diskFS) Remove(name string) error {
	if f := s.op("remove", name); f.err != nil {
		return f.err
	}
	d := s.w.disk
	if f := d.files[name]; f != nil && d.free >= 0 {
		d.free += int64(len(f.seen))
	}
	delete(d.files, name)
	return nil
}

func (s *diskFS) RemoveAll(string) error { panic("not used by the log") }

func (s *diskFS) SyncDir(dir string) error {
	if f := s.op("syncdir", dir); f.err != nil {
		return f.err
	}
	d := s.w.disk
	d.names = map[string]*inode{}
	for name, f := range d.files {
		d.names[name] = f
	}
	return nil
}

func (s *diskFS) Lock(string) (io.Closer, error) { panic("not used by the log") }
func (s *diskFS) Locked(string) error            { panic("not used by the log") }
func (s *diskFS) Free(string) (int64, error)     { return s.w.disk.free, nil }

type diskFile struct {
	s    *diskFS
	f    *inode
	name string
}

func (f *diskFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(f.f.seen)) {
		return 0, io.EOF
	}
	n := copy(p, f.f.seen[off:])
	f.s.w.disk.read += int64(n)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	x := f.s.op("write", f.name)
	if x.kill {
		f.f.write(p[:min(x.short, len(p))], off)
		f.s.die()
	}
	if x.err != nil {
		f.f.write(p[:min(x.short, len(p))], off)
		return min(x.short, len(p)), x.err
	}
	d := f.s.w.disk
	if grown := off + int64(len(p)) - int64(len(f.f.seen)); grown > 0 && d.free >= 0 {
		if d.free < grown {
			return 0, &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
		}
		d.free -= grown
	}
	if d.written != nil {
		if d.written[f.f] == nil {
			d.written[f.f] = map[int64]int{}
		}
		for b := off / env.BlockSize; b*env.BlockSize < off+int64(len(p)); b++ {
			d.written[f.f][b]++
		}
	}
	f.f.write(p, off)
	return len(p), nil
}

func (f *diskFile) WriteSync(p []byte, off int64) error {
	if !env.IsAligned(p, off) {
		panic("write is not aligned")
	}
	if _, err := f.WriteAt(p, off); err != nil {
		return err
	}
	return f.Sync()
}

// Sync, when it fails, leaves the pages visible and clean, though they never reached the disk.
func (f *diskFile) Sync() error {
	if x := f.s.op("sync", f.name); x.err != nil {
		f.f.dirty = map[int64]bool{}
		return x.err
	}
	f.s.w.disk.syncs++
	f.f.sync()
	return nil
}

func (f *diskFile) Size() (int64, error)      { return int64(len(f.f.seen)), nil }
func (f *diskFile) Truncate(size int64) error { f.f.seen = f.f.seen[:size]; return nil }
func (f *diskFile) Close() error              { return nil }

func (f *diskFile) Allocate(size int64) error {
	if x := f.s.op("allocate", f.name); x.err != nil {
		return x.err
	}
	return f.grow(size)
}

// Reserve grows the file by what does not count as written.
func (f *diskFile) Reserve(size int64) error {
	if x := f.s.op("reserve", f.name); x.err != nil {
		return x.err
	}
	d := f.s.w.disk
	written := d.written
	d.written = nil
	defer func() { d.written = written }()
	return f.grow(size)
}

func (f *diskFile) grow(size int64) error {
	if n := size - int64(len(f.f.seen)); n > 0 {
		_, err := f.WriteAt(make([]byte, n), int64(len(f.f.seen)))
		return err
	}
	return nil
}

// DropCache forgets what is clean and never reached the disk.
func (f *diskFile) DropCache() error {
	fresh := append([]byte(nil), f.f.safe...)
	if n := len(f.f.seen); n > len(fresh) {
		fresh = append(fresh, make([]byte, n-len(fresh))...)
	}
	for s := range f.f.dirty {
		copy(fresh[s*sector:], f.f.seen[s*sector:min((s+1)*sector, int64(len(f.f.seen)))])
	}
	f.f.seen = fresh
	return nil
}
