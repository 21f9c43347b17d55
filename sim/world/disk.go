package world

import (
	"math/rand/v2"
	"syscall"
	"time"
)

// Op is a kind of disk operation, as counters and faults name it.
type Op uint8

// The operations. MkdirAll, Stat, ReadDir, Size and Free are OpLook.
const (
	OpOpen Op = iota
	OpCreate
	OpRead
	OpWrite     // File.WriteAt
	OpWriteSync // File.WriteSync
	OpSync      // File.Sync
	OpSyncDir
	OpRename
	OpRemove
	OpTruncate
	OpAllocate
	OpDropCache
	OpLook
	ops
)

var opNames = [ops]string{
	"open", "create", "read", "write", "write-sync", "sync", "sync-dir", "rename",
	"remove", "truncate", "allocate", "drop-cache", "look",
}

// String names the operation as the trace does.
func (o Op) String() string { return opNames[o] }

// A Disk is one host's. It survives the host's processes; what of it survives PowerOff is this:
// of what was not synced each 512-byte sector keeps the old content, gets the new, or holds
// garbage; file sizes likewise; names made, moved or removed since the last SyncDir of their
// directory come or stay away one by one. Kill loses nothing that reached the cache, but cuts a
// write under way at a block.
//
// The fields are faults, to be set at any moment: they concern operations that end after that.
type Disk struct {
	Stuck    bool    // operations begin and do not end
	Slow     float64 // factor on latencies. Zero: 1
	Capacity int64   // bytes. Zero: 1 TiB
	HoldBack int64   // bytes of it that somebody else took
	// Hook is asked once for every operation as it begins, on the caller's task; an error is the
	// operation's result, and a failed Sync loses what it was for. name is the file's at open. nil: none.
	Hook func(op Op, name string) error

	w        *World
	h        *host
	rng      *rand.Rand
	root     *inode
	used     int64
	inodes   uint64
	buffers  buffers
	flight   []*diskOp // begun and not ended, in order
	counts   [ops]uint64
	failures []failure
}

type failure struct {
	op  Op
	nth uint64 // in counts
	err error
}

// stuckPoll is how often an operation on a stuck disk looks whether it may end.
const stuckPoll = int64(5 * time.Millisecond)

func newDisk(w *World, h *host, r *rand.Rand) *Disk {
	d := &Disk{w: w, h: h, rng: r}
	d.root = d.inode(true)
	return d
}

// Disk returns host h's disk: its counters and its faults.
func (w *World) Disk(h int) *Disk { return w.host(h).disk }

// Count is how many operations of a kind have begun since the world did.
func (d *Disk) Count(op Op) uint64 { return d.counts[op] }

// Syncs is how often the disk was asked to make something durable: Sync, WriteSync and SyncDir.
func (d *Disk) Syncs() uint64 { return d.counts[OpSync] + d.counts[OpWriteSync] + d.counts[OpSyncDir] }

// Writes counts WriteAt and WriteSync.
func (d *Disk) Writes() uint64 { return d.counts[OpWrite] + d.counts[OpWriteSync] }

// FailNth makes the k-th operation of a kind from now on fail with err, such as syscall.EIO. The
// first is 1.
func (d *Disk) FailNth(op Op, k uint64, err error) {
	d.failures = append(d.failures, failure{op, d.counts[op] + k, err})
}

// Names are the files in a folder as the cache shows them, in order; none, if there is no such folder.
func (d *Disk) Names(dir string) []string {
	f := d.find(dir)
	if f == nil || !f.dir {
		return nil
	}
	return sorted(f.names)
}

// Used is the space taken by files, in bytes.
func (d *Disk) Used() int64 { return d.used }

func (d *Disk) free() int64 {
	c := d.Capacity
	if c == 0 {
		c = 1 << 40
	}
	return max(c-d.HoldBack-d.used, 0)
}

// Rot flips one bit in each 512-byte sector of [off, off+n) of the named file, on the medium. The
// page cache hides it until DropCache, a reboot, or forever if the sector is written first. It
// says whether there is such a file.
func (d *Disk) Rot(name string, off, n int64) bool {
	f := d.find(name)
	if f == nil || f.dir {
		return false
	}
	f.rot(d.rng, off, n)
	d.w.mix(f.id)
	d.w.tracef(d.h, "rot", "file=%s off=%d n=%d", name, off, n)
	return true
}

// Spoil makes the sectors of [off, off+n) of the named file unreadable (EIO) until they are written
// again. It says whether there is such a file.
func (d *Disk) Spoil(name string, off, n int64) bool {
	f := d.find(name)
	if f == nil || f.dir {
		return false
	}
	f.spoil(off, n)
	d.w.mix(f.id)
	d.w.tracef(d.h, "spoil", "file=%s off=%d n=%d", name, off, n)
	return true
}

// Medium returns what the medium would hold of the named file if the power failed now and all
// unsynced sectors kept their old content. nil: no such file, also if its name is not durable.
func (d *Disk) Medium(name string) []byte {
	f := d.root
	for _, part := range split(name) {
		if f == nil || !f.dir {
			return nil
		}
		f = f.durableNames[part]
	}
	if f == nil || f.dir {
		return nil
	}
	b := make([]byte, f.durable)
	f.readMedium(b, 0)
	return b
}

// diskOp is an operation under way. A task has one at most.
type diskOp struct {
	op     Op
	direct bool
	l      *life
	d      *Disk
	f      *inode
	p      []byte
	off    int64
	name   string
	size   int64
	losses uint64 // of f, when a Sync began
	fault  error
	err    error
	n      int
	do     func(*diskOp) error
	done   event
}

// run parks the calling task until the operation that set up describes has happened. what is for
// error texts.
func (d *Disk) run(l *life, op Op, set diskOp) *diskOp {
	t := l.parks(opNames[op])
	o := &t.disk
	set.done = o.done
	*o = set
	o.op, o.l, o.d = op, l, d
	d.counts[op]++
	o.fault = d.verdict(op, o.name)
	span := d.w.opts.Access
	switch op {
	case OpSync, OpWriteSync, OpSyncDir:
		span = d.w.opts.Sync
	}
	took := draw(d.rng, span) + int64(len(o.p))/2 // 2 GB/s
	if d.Slow > 0 {
		took = int64(float64(took) * d.Slow)
	}
	at := d.w.now + took
	if op == OpSync || op == OpWriteSync && !o.direct {
		if op == OpWriteSync {
			o.n, o.err = d.store(o.f, o.p, o.off)
		}
		if o.err == nil {
			o.f.launch()
		}
		o.losses, o.size = o.f.losses, o.f.size
	}
	d.flight = append(d.flight, o)
	d.w.schedule(&o.done, at)
	_ = t.park(opNames[op], nil)
	o.p = nil
	return o
}

func (d *Disk) verdict(op Op, name string) error {
	if d.Hook != nil {
		if err := d.Hook(op, name); err != nil {
			return err
		}
	}
	for i, f := range d.failures {
		if f.op == op && f.nth == d.counts[op] {
			d.failures = append(d.failures[:i:i], d.failures[i+1:]...)
			return f.err
		}
	}
	return nil
}

// finish is the end of the operation's latency.
func (o *diskOp) finish(t *task) {
	d := o.d
	if d.Stuck {
		d.w.schedule(&o.done, d.w.now+stuckPoll)
		return
	}
	d.flight = remove(d.flight, o)
	if o.err == nil {
		o.err = o.apply()
	}
	d.w.mix(uint64(o.op)<<56 ^ uint64(o.off))
	if o.op != OpRead {
		d.w.mixBytes(o.p)
	}
	if d.w.tracing() && o.op < OpLook {
		d.w.tracef(d.h, o.op.String(), "file=%s off=%d n=%d err=%v", o.name, o.off, len(o.p), o.err)
	}
	t.wake(nil)
}

// apply lets the operation happen.
func (o *diskOp) apply() error {
	d := o.d
	if o.fault != nil {
		switch o.op {
		case OpSync, OpWriteSync:
			if o.f != nil && !o.direct {
				o.f.land(false)
				o.f.losses++
			}
		case OpWrite:
			o.n = 0
		}
		return o.fault
	}
	switch o.op {
	case OpWrite:
		o.n, o.err = d.store(o.f, o.p, o.off)
		return o.err
	case OpWriteSync:
		if o.direct {
			o.n = d.room(o.f, o.off, len(o.p))
			d.account(o.f, func() { o.f.through(o.p[:o.n], o.off) })
			if o.n < len(o.p) {
				return syscall.ENOSPC
			}
			return nil
		}
		return o.land()
	case OpSync:
		return o.land()
	default:
		return o.do(o)
	}
}

func (o *diskOp) land() error {
	if o.f.losses != o.losses {
		return syscall.EIO // another Sync of the file has lost some of it
	}
	o.f.land(true)
	o.f.extent.durable = o.size
	return nil
}

// store writes p to the cache as far as there is room.
func (d *Disk) store(f *inode, p []byte, off int64) (int, error) {
	n := d.room(f, off, len(p))
	d.account(f, func() { f.write(p, off, int64(n)) })
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// room is how many of n bytes at off the disk can still take: all that lies in blocks the file
// has, and behind them as many blocks as are free.
func (d *Disk) room(f *inode, off int64, n int) int {
	need := blocks(off+int64(n)) - blocks(f.size)
	if need <= d.free() {
		return n
	}
	return int(min(max(blocks(f.size)+d.free()&^(pageSize-1)-off, 0), int64(n)))
}

func blocks(n int64) int64 { return (n + pageSize - 1) &^ (pageSize - 1) }

// account keeps the space in use right over a change of f's size.
func (d *Disk) account(f *inode, change func()) {
	before := blocks(f.size)
	change()
	if f.linked {
		d.used += blocks(f.size) - before
	}
}

// stop ends the operations of a life where they are: at a kill each has happened, or not, or in
// part; at a power failure what they wrote has reached the cache, where the sectors meet their fate.
func (d *Disk) stop(l *life, how ending) {
	flight := d.flight
	d.flight = nil
	for _, o := range flight {
		if o.l != l {
			d.flight = append(d.flight, o)
			continue
		}
		d.cut(o, how)
	}
	d.unlock(l)
}

func (d *Disk) cut(o *diskOp, how ending) {
	switch o.op {
	case OpSync:
		o.f.ground()
	case OpWrite, OpWriteSync:
		if o.op == OpWriteSync && !o.direct {
			o.f.ground()
			return
		}
		if how == ofPower {
			_, _ = d.store(o.f, o.p, o.off)
			return
		}
		n := d.room(o.f, o.off, d.prefix(o.off, len(o.p)))
		d.account(o.f, func() {
			if o.direct {
				o.f.through(o.p[:n], o.off)
			} else {
				o.f.write(o.p, o.off, int64(n))
			}
		})
	default:
		if d.rng.IntN(2) == 0 && o.fault == nil {
			_ = o.apply()
		}
	}
}

// prefix draws where a write of n bytes at off is cut: at a block, or not at all.
func (d *Disk) prefix(off int64, n int) int {
	last := (off + int64(n) - 1) / pageSize
	first := off / pageSize
	if n == 0 {
		return 0
	}
	k := d.rng.Int64N(last - first + 2) // blocks that were written
	if k == last-first+1 {
		return n
	}
	return int(max((first+k)*pageSize-off, 0))
}

// loseCache is the power failure of this disk: what was only in the cache meets its fate.
func (d *Disk) loseCache() {
	f := fates{old: 45, new: 45}
	switch d.rng.IntN(8) { // whole kinds of outcome, beside the even mixture
	case 0:
		f = fates{old: 100}
	case 1:
		f = fates{new: 100}
	case 2:
		f = fates{old: 90, new: 10}
	}
	d.root.loseNames(d.rng, f)
	d.used = 0
	seen := map[*inode]bool{}
	d.root.walk(func(i *inode) {
		if i.dir || seen[i] {
			return
		}
		seen[i] = true
		i.linked = true
		i.lose(d.rng, f)
		i.losses = 0
		d.used += blocks(i.size)
	})
}
