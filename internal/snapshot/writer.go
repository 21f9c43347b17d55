package snapshot

import (
	"errors"
	"fmt"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// syncEveryBytes is how much is written between two syncs. One sync of a whole snapshot at its end
// would keep the disk's queue full for seconds, and a sync of the log waits for what is on its way:
// it is as late as a piece is long.
const syncEveryBytes = 256 << 10

// A Writer writes one snapshot. Use it on one task: it parks in the disk and the throttle. End it
// by Seal or Abort.
type Writer struct {
	s     *Store
	k     key
	out   output
	buf   []byte // the chunk being filled, behind room for its header
	index uint32
	total uint64
	chain raft.Digest
	head  Header
	err   error // of a write: the temporary is gone
	ended bool
}

// output is a file that grows: throttled, and synced as it grows.
type output struct {
	s        *Store
	f        env.File
	name     string
	wait     env.Waiter
	off      int64
	unsynced int64
}

// write takes p in pieces that the throttle spreads, each synced.
func (o *output) write(p []byte) error {
	for len(p) > syncEveryBytes {
		if err := o.piece(p[:syncEveryBytes]); err != nil {
			return err
		}
		p = p[syncEveryBytes:]
	}
	return o.piece(p)
}

func (o *output) piece(p []byte) error {
	o.s.writing.Wait(o.wait, len(p))
	if _, err := o.f.WriteAt(p, o.off); err != nil {
		return fmt.Errorf("write %s at offset %d: %w", o.name, o.off, err)
	}
	o.off += int64(len(p))
	o.unsynced += int64(len(p))
	if o.unsynced >= syncEveryBytes {
		return o.sync()
	}
	return nil
}

func (o *output) sync() error {
	o.unsynced = 0
	if err := o.f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", o.name, err)
	}
	return nil
}

// Create begins the snapshot that h describes; h.Format is filled in. One that is here and agreed
// is ErrExists, one being written ErrBusy. A sealed one that is not agreed is replaced by Seal.
func (s *Store) Create(h Header) (*Writer, error) {
	h.Format = wire.SnapshotFormat
	k := keyOf(&h)
	if h.Cluster != s.o.Cluster {
		panic(fmt.Sprintf("A7: %v of cluster %x in the store of cluster %x", k, h.Cluster, s.o.Cluster))
	}
	if s.Agreed(k.group, k.birth, k.index) {
		return nil, fmt.Errorf("create %v: %w", k, ErrExists)
	}
	if err := s.take(k); err != nil {
		return nil, err
	}
	name := s.name(k, suffixTemporary)
	f, err := s.fs.Open(name, env.Write|env.Create)
	if err != nil {
		s.release(k)
		return nil, fmt.Errorf("create %v: %w", k, err)
	}
	w := &Writer{
		s: s, k: k, head: short(h), out: output{s: s, f: f, name: name, wait: s.o.Env.NewWaiter()},
		buf: make([]byte, wire.ChunkHeaderSize, firstBuffer),
	}
	head := wire.AppendSnapshotHeader(nil, &h)
	w.chain = wire.ChainStart(head)
	if err := w.out.write(head); err != nil {
		return nil, w.fail(err)
	}
	return w, nil
}

// A chunk is gathered in a buffer that begins small: most groups' snapshots are.
const (
	firstBuffer = 4 << 10
	wholeChunk  = wire.ChunkHeaderSize + wire.SnapshotChunkBytes
)

// Write implements io.Writer over the machine's bytes. After an error nothing is left on disk, and
// Seal returns it again.
func (w *Writer) Write(p []byte) (n int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	for len(p) > 0 {
		k := min(wholeChunk-len(w.buf), len(p))
		w.buf = append(w.buf, p[:k]...)
		p, n = p[k:], n+k
		if len(w.buf) == wholeChunk {
			if err := w.flush(); err != nil {
				return n, w.fail(err)
			}
		}
	}
	return n, nil
}

// flush writes the chunk.
func (w *Writer) flush() error {
	data := w.buf[wire.ChunkHeaderSize:]
	if len(data) == 0 {
		return nil
	}
	wire.PutChunkHeader(w.buf, uint64(w.index), data)
	w.index++
	w.total += uint64(len(data))
	w.chain = wire.ChainNext(w.chain, data)
	if err := w.out.write(w.buf); err != nil {
		return err
	}
	w.buf = w.buf[:wire.ChunkHeaderSize]
	return nil
}

// fail removes the temporary and keeps err.
func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("write %v: %w", w.k, err)
	w.Abort()
	return w.err
}

// Abort removes what was written. After Seal, or a second time, it does nothing.
func (w *Writer) Abort() {
	if w.ended {
		return
	}
	w.ended = true
	_ = w.out.f.Close()        // the file goes
	_ = w.s.unlink(w.out.name) // if it stays, the next Open removes it
	if w.err == nil {
		w.err = errors.New("snapshot writer is closed")
	}
	w.s.release(w.k)
}

// Seal makes the snapshot durable: write, sync, rename, sync of the directory; then all of it is
// read back and verified. After an error nothing of it is left, and what was here before still is.
func (w *Writer) Seal() error {
	if w.err != nil || w.ended {
		return w.err
	}
	if err := w.flush(); err != nil {
		return w.fail(err)
	}
	foot := wire.Footer{Chunks: w.index, Total: w.total, Digest: w.chain}
	if err := w.out.write(wire.AppendFooter(nil, &foot)); err != nil {
		return w.fail(err)
	}
	if err := w.out.sync(); err != nil {
		return w.fail(err)
	}
	w.ended = true
	w.err = errors.New("snapshot writer is closed")
	defer w.s.release(w.k)
	if err := w.s.seal(&w.out, w.k, w.head, false); err != nil {
		return fmt.Errorf("seal %v: %w", w.k, err)
	}
	return nil
}

// seal renames the synced file of o, reads it back and lists it. It closes the file.
func (s *Store) seal(o *output, k key, h Header, agreed bool) error {
	if err := o.f.Close(); err != nil {
		return errors.Join(err, s.unlink(o.name))
	}
	name := s.name(k, suffixOf(agreed))
	if err := s.fs.Rename(o.name, name); err != nil {
		return errors.Join(err, s.unlink(o.name))
	}
	if err := s.fs.SyncDir(s.o.Dir); err != nil {
		return errors.Join(err, s.unlink(name))
	}
	size, err := s.verify(name)
	if err != nil {
		return errors.Join(err, s.unlink(name))
	}
	s.mu.Lock()
	old := s.files[k]
	f := &file{header: short(h), agreed: agreed, size: size}
	if old != nil {
		f.users = old.users // they count down on the new one; the old one's bytes live until they close
	}
	s.files[k] = f
	s.mu.Unlock()
	if old != nil && (old.agreed || old.named) != agreed {
		return s.unlink(s.name(k, suffixOf(!agreed)))
	}
	return nil
}
