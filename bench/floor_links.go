package main

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"sync"
	"time"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The first byte on a connection says what it carries.
const (
	floorEntries = 'e'
	floorProbes  = 'p'
)

// lead connects to both followers and starts the leader's streams.
func (r *floorReplica) lead(followers []string) error {
	probes := make([]net.Conn, len(followers))
	for i, addr := range followers {
		entries, err := r.dial(addr, floorEntries)
		if err != nil {
			return err
		}
		if probes[i], err = r.dial(addr, floorProbes); err != nil {
			return err
		}
		go r.send(i+1, entries)
		go r.receive(i+1, entries)
	}
	go r.save()
	go r.execute()
	go r.reads.serve(probes)
	return nil
}

func (r *floorReplica) dial(addr string, kind byte) (c net.Conn, err error) {
	err = poll(10*time.Second, func() error {
		c, err = net.Dial("tcp", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.conns = append(r.conns, c)
	_, err = c.Write([]byte{kind})
	return c, err
}

// take waits for a frame that a stream has not had: 0 is the disk, the others are links. Nil: closed.
func (r *floorReplica) take(stream int) *floorFrame {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed {
		if r.flight == nil {
			r.seal()
		}
		if r.flight != nil && !r.taken[stream] {
			r.taken[stream] = true
			return r.flight
		}
		r.moved.Wait()
	}
	return nil
}

// seal makes a frame of what clients submitted, if there is anything.
func (r *floorReplica) seal() {
	r.submit.Lock()
	f := &floorFrame{r.filling, r.last, r.waiting}
	r.filling, r.waiting = nil, nil
	r.submit.Unlock()
	if f.bytes == nil {
		return
	}
	binary.LittleEndian.PutUint32(f.bytes, uint32(len(f.bytes)-floorHead))
	binary.LittleEndian.PutUint32(f.bytes[4:], crc32.Checksum(f.bytes[floorHead:], castagnoli))
	binary.LittleEndian.PutUint64(f.bytes[8:], f.last)
	binary.LittleEndian.PutUint64(f.bytes[16:], r.commit.Load())
	r.flight, r.taken = f, [3]bool{}
	r.moved.Broadcast()
}

func (r *floorReplica) save() {
	for {
		f := r.take(0)
		if f == nil || r.log.write(f.bytes) != nil {
			return
		}
		r.acknowledge(0, f.last)
	}
}

func (r *floorReplica) send(stream int, c net.Conn) {
	for {
		f := r.take(stream)
		if f == nil {
			return
		}
		if _, err := c.Write(f.bytes); err != nil {
			return
		}
	}
}

func (r *floorReplica) receive(stream int, c net.Conn) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return
		}
		r.acknowledge(stream, binary.LittleEndian.Uint64(b[:]))
	}
}

// acknowledge records what is durable, and commits the frame in flight if a majority has it and every
// stream has taken it.
func (r *floorReplica) acknowledge(stream int, index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.synced[stream] = index
	a, b, c := r.synced[0], r.synced[1], r.synced[2]
	majority := max(min(a, b), min(max(a, b), c))
	if f := r.flight; f != nil && f.last <= majority && r.taken == [3]bool{true, true, true} {
		r.commit.Store(f.last)
		r.done <- f
		r.flight = nil
		r.moved.Broadcast()
	}
}

// execute executes what is committed and wakes its clients.
func (r *floorReplica) execute() {
	for f := range r.done {
		r.applyFrame(f.bytes, f.last)
		for _, w := range f.waiting {
			w.done <- struct{}{}
		}
	}
}

func (r *floorReplica) applyFrame(frame []byte, last uint64) {
	r.table.mu.Lock()
	defer r.table.mu.Unlock()
	for b := frame[floorHead:]; len(b) > 0; {
		n := binary.LittleEndian.Uint32(b)
		r.apply(last, b[4:4+n])
		b = b[4+n:]
	}
}

// follow serves the leader's connections.
func (r *floorReplica) follow(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		var kind [1]byte
		if _, err := io.ReadFull(c, kind[:]); err != nil {
			return
		}
		if kind[0] == floorProbes {
			go func() { _, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }()
			continue
		}
		in := make(chan *floorFrame, 16)
		go readFrames(c, in)
		go r.saveFrames(c, in)
	}
}

func readFrames(c net.Conn, in chan<- *floorFrame) {
	defer close(in)
	r := bufio.NewReaderSize(c, 1<<20)
	for {
		var head [floorHead]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		b := make([]byte, floorHead+binary.LittleEndian.Uint32(head[:]))
		copy(b, head[:])
		if _, err := io.ReadFull(r, b[floorHead:]); err != nil {
			return
		}
		if crc32.Checksum(b[floorHead:], castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return
		}
		in <- &floorFrame{bytes: b, last: binary.LittleEndian.Uint64(head[8:])}
	}
}

// saveFrames makes all frames that are there durable at once, acknowledges them, and executes what the
// leader says is committed.
func (r *floorReplica) saveFrames(c net.Conn, in <-chan *floorFrame) {
	var unapplied []*floorFrame
	var bytes [][]byte
	for f := range in {
		bytes = append(bytes[:0], f.bytes)
		unapplied = append(unapplied, f)
		for len(in) > 0 { // nobody else receives
			f = <-in
			bytes, unapplied = append(bytes, f.bytes), append(unapplied, f)
		}
		if r.log.write(bytes...) != nil {
			return
		}
		if _, err := c.Write(binary.LittleEndian.AppendUint64(nil, f.last)); err != nil {
			return
		}
		committed := binary.LittleEndian.Uint64(f.bytes[16:])
		for len(unapplied) > 0 && unapplied[0].last <= committed {
			r.applyFrame(unapplied[0].bytes, unapplied[0].last)
			unapplied = unapplied[1:]
		}
	}
}

// floorReads answers reads: one probe to both followers serves all that wait, and the first answer is
// a majority.
type floorReads struct {
	mu      sync.Mutex
	waiting []*floorWaiter
	kick    chan struct{}
}

func (r *floorReplica) get(_ int, key uint64) error {
	w := floorWaiters.Get().(*floorWaiter)
	r.reads.mu.Lock()
	r.reads.waiting = append(r.reads.waiting, w)
	r.reads.mu.Unlock()
	select {
	case r.reads.kick <- struct{}{}:
	default:
	}
	if err := w.wait(); err != nil {
		return err
	}
	r.table.get(key)
	return nil
}

func (r *floorReads) serve(probes []net.Conn) {
	answers := make(chan uint64, 64)
	for _, c := range probes {
		go func() {
			var b [8]byte
			for {
				if _, err := io.ReadFull(c, b[:]); err != nil {
					return
				}
				answers <- binary.LittleEndian.Uint64(b[:])
			}
		}()
	}
	var b [8]byte
	for probe := uint64(1); ; probe++ {
		<-r.kick
		r.mu.Lock()
		waiting := r.waiting
		r.waiting = nil
		r.mu.Unlock()
		binary.LittleEndian.PutUint64(b[:], probe)
		for _, c := range probes {
			if _, err := c.Write(b[:]); err != nil {
				return
			}
		}
		for <-answers != probe {
			continue
		}
		for _, w := range waiting {
			w.done <- struct{}{}
		}
	}
}
