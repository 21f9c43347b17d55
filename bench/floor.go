package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
)

// floorEngine is a probe, not an engine: the least work that three replicas with a durable log can do
// on this machine. Its leader is fixed; it has no terms, elections, recovery or flow control. One
// frame is in flight while the next one fills; frames begin on fresh blocks of 4 KiB, as batches of
// Lockstep's log do, in a file whose blocks are written, which is overwritten in a circle. What a real
// engine takes more is the price of being one.
type floorEngine struct{ direct bool } // O_DIRECT and O_DSYNC instead of write and fdatasync

const (
	floorBlock    = 4096
	floorLogBytes = 64 << 20
	floorHead     = 24 // of a frame: length, checksum, last index, commit
)

// floorReplica is the leader if its number is 1.
type floorReplica struct {
	table
	number int
	log    *floorLog

	listeners []net.Listener
	conns     []net.Conn

	submit  sync.Mutex // guards what clients touch, held for some tens of nanoseconds
	filling []byte     // commands that no frame has yet, behind room for a head
	waiting []*floorWaiter
	last    uint64

	mu     sync.Mutex // guards what follows
	moved  *sync.Cond // a frame is there, or room for one
	flight *floorFrame
	taken  [3]bool // by the disk and the links to both followers
	synced [3]uint64
	closed bool

	done   chan *floorFrame // committed, to be executed
	commit atomic.Uint64
	reads  floorReads
}

// floorFrame is a batch of commands on its way.
type floorFrame struct {
	bytes   []byte
	last    uint64
	waiting []*floorWaiter
}

type floorWaiter struct{ done chan struct{} }

var floorWaiters = sync.Pool{New: func() any { return &floorWaiter{make(chan struct{}, 1)} }}

func (w *floorWaiter) wait() error {
	<-w.done
	floorWaiters.Put(w)
	return nil
}

func (e floorEngine) open(p place) (replica, error) {
	if p.groupCount() > 1 {
		return nil, oneGroup
	}
	log, err := createFloorLog(filepath.Join(p.dir, "log"), e.direct)
	if err != nil {
		return nil, err
	}
	r := &floorReplica{number: p.number, log: log, done: make(chan *floorFrame, 16)}
	r.moved = sync.NewCond(&r.mu)
	r.reads.kick = make(chan struct{}, 1)
	if p.number == 1 {
		return r, r.lead(p.addrs[1:])
	}
	l, err := net.Listen("tcp", p.addr())
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	r.listeners = append(r.listeners, l)
	go r.follow(l)
	return r, nil
}

func (r *floorReplica) start(_ int, cmd []byte) (waiter, error) {
	w := floorWaiters.Get().(*floorWaiter)
	r.submit.Lock()
	first := r.filling == nil
	if first {
		r.filling = make([]byte, floorHead, 64<<10)
	}
	r.filling = binary.LittleEndian.AppendUint32(r.filling, uint32(len(cmd)))
	r.filling = append(r.filling, cmd...)
	r.last++
	r.waiting = append(r.waiting, w)
	r.submit.Unlock()
	if first {
		r.mu.Lock() // whoever found nothing waits by now
		r.moved.Broadcast()
		r.mu.Unlock()
	}
	return w, nil
}

func (r *floorReplica) put(group int, cmd []byte) error {
	w, err := r.start(group, cmd)
	if err != nil {
		return err
	}
	return w.wait()
}

func (r *floorReplica) leads(int) bool { return r.number == 1 }

func (r *floorReplica) applied(int) uint64 { return r.table.last() }

func (r *floorReplica) close() {
	r.mu.Lock()
	r.closed = true
	r.moved.Broadcast()
	r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	for _, l := range r.listeners {
		l.Close()
	}
	r.log.file.Close()
}

// floorLog is one file of written blocks.
type floorLog struct {
	file   *os.File
	direct bool
	stage  []byte // aligned
	at     int64
}

func createFloorLog(path string, direct bool) (*floorLog, error) {
	l := &floorLog{direct: direct}
	var err error
	if l.stage, err = syscall.Mmap(-1, 0, 16<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE); err != nil {
		return nil, fmt.Errorf("map memory: %w", err)
	}
	if l.file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	zeroes := make([]byte, 4<<20)
	for at := int64(0); at < floorLogBytes; at += int64(len(zeroes)) {
		if _, err := l.file.WriteAt(zeroes, at); err != nil {
			return nil, fmt.Errorf("fill log: %w", err)
		}
	}
	if err := l.file.Sync(); err != nil {
		return nil, fmt.Errorf("sync log: %w", err)
	}
	if !direct {
		return l, nil
	}
	l.file.Close()
	if l.file, err = os.OpenFile(path, os.O_RDWR|syscall.O_DIRECT|syscall.O_DSYNC, 0); err != nil {
		return nil, fmt.Errorf("open log directly: %w", err)
	}
	return l, nil
}

// write makes frames durable, each on fresh blocks.
func (l *floorLog) write(frames ...[]byte) error {
	n := 0
	for _, f := range frames {
		end := (n + len(f) + floorBlock - 1) / floorBlock * floorBlock
		if end > len(l.stage) {
			return fmt.Errorf("write frame: more than %d bytes at once", len(l.stage))
		}
		n += copy(l.stage[n:], f)
		clear(l.stage[n:end])
		n = end
	}
	if l.at+int64(n) > floorLogBytes {
		l.at = 0
	}
	if _, err := l.file.WriteAt(l.stage[:n], l.at); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	l.at += int64(n)
	if l.direct {
		return nil
	}
	return syscall.Fdatasync(int(l.file.Fd()))
}
