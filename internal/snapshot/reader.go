package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A Reader gives back the machine's bytes of one snapshot. Use it on one task. It stays valid when
// the snapshot is removed meanwhile.
type Reader struct {
	s      *Store
	k      key
	f      env.File
	p      *parser
	rest   []byte
	err    error
	closed bool
}

// Open opens a sealed snapshot and verifies its header.
func (s *Store) Open(group raft.GroupID, birth raft.Birth, index raft.Index) (*Reader, error) {
	k := key{group, birth, index}
	s.mu.Lock()
	file := s.files[k]
	if !file.usable() {
		s.mu.Unlock()
		return nil, fmt.Errorf("open %v: %w", k, ErrNotFound)
	}
	file.users++
	name := s.name(k, suffixOf(file.agreed))
	s.mu.Unlock()
	f, err := s.fs.Open(name, env.Read)
	if err != nil {
		// MarkAgreed may have renamed it between the look and the open.
		f, err = s.fs.Open(s.name(k, suffixAgreed), env.Read)
	}
	if err != nil {
		s.spoil(k, err)
		s.leave(k)
		return nil, fmt.Errorf("open %v: %w", k, err)
	}
	r := &Reader{s: s, k: k, f: f, p: newParser(name, f)}
	if err := r.p.readHead(); err != nil {
		s.spoil(k, err)
		return nil, errors.Join(fmt.Errorf("open %v: %w", k, err), r.Close())
	}
	return r, nil
}

// leave counts a user less, and removes the file if it was the last of a doomed one.
func (s *Store) leave(k key) {
	s.mu.Lock()
	f := s.files[k]
	last := false
	if f != nil {
		f.users--
		last = f.doomed && f.users == 0
	}
	s.mu.Unlock()
	if last {
		// If it stays, the next Prune or Open deals with it.
		_ = s.removeAll([]key{k})
	}
}

// spoil remembers that a snapshot is damaged, unreadable or gone, and lists it no more.
func (s *Store) spoil(k key, err error) {
	if !errors.Is(err, wire.ErrCorrupt) && !errors.Is(err, syscall.EIO) && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[k]; f != nil && !f.rotten {
		f.rotten = true
		s.damaged = append(s.damaged, err)
	}
}

// Header is the snapshot's, Sessions included.
func (r *Reader) Header() Header { return r.p.header }

// Read implements io.Reader over the machine's bytes. Each chunk is verified before any of it is
// given; io.EOF comes only when the footer agrees with all that was read. Damage is a
// *wire.CorruptError with file and offset.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil {
		r.rest, r.err = r.p.next()
		if r.err != nil && r.err != io.EOF { // next's own
			r.err = fmt.Errorf("read %v: %w", r.k, r.err)
			r.s.spoil(r.k, r.err)
		}
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close closes the file. Only the first call does something.
func (r *Reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.err = errors.New("snapshot reader is closed")
	r.rest = nil
	err := r.f.Close()
	r.s.leave(r.k)
	if err != nil {
		return fmt.Errorf("close %v: %w", r.k, err)
	}
	return nil
}
