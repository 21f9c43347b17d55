package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Send writes the sealed file of an agreed snapshot to w, from offset on. It verifies what it
// reads, also before offset, so that damage is found here and not at every receiver. It parks.
func (s *Store) Send(w io.Writer, group raft.GroupID, birth raft.Birth, index raft.Index, offset int64) error {
	k := key{group, birth, index}
	if !s.Agreed(group, birth, index) {
		return fmt.Errorf("send %v: %w", k, ErrNotAgreed)
	}
	r, err := s.Open(group, birth, index)
	if err != nil {
		return err
	}
	defer r.Close()
	if size := s.Size(group, birth, index); offset < 0 || offset > size {
		return fmt.Errorf("send %v from offset %d of %d", k, offset, size)
	}
	wait := s.o.Env.NewWaiter()
	at := int64(0) // of the part in r.p.buf
	for {
		if part := r.p.buf; offset < at+int64(len(part)) {
			part = part[max(0, offset-at):]
			s.sending.Wait(wait, len(part))
			if _, err := w.Write(part); err != nil {
				return fmt.Errorf("send %v: %w", k, err)
			}
		}
		at = r.p.off
		if r.err != nil {
			return nil
		}
		if _, r.err = r.p.next(); r.err != nil && r.err != io.EOF { // next's own
			s.spoil(k, r.err)
			return fmt.Errorf("send %v: %w", k, r.err)
		}
	}
}

// Offset says how many bytes of a snapshot's file are here from a stream that broke off, found
// whole. A Receive from there goes on. It parks.
func (s *Store) Offset(group raft.GroupID, birth raft.Birth, index raft.Index) int64 {
	k := key{group, birth, index}
	if s.take(k) != nil {
		return 0
	}
	defer s.release(k)
	name := s.name(k, suffixPart)
	f, err := s.fs.Open(name, env.Read)
	if err != nil {
		return 0
	}
	defer f.Close()
	p := newParser(name, f)
	if p.readHead() != nil || s.check(k, name, &p.header) != nil {
		return 0
	}
	for {
		off := p.off
		if _, err := p.next(); err != nil {
			return off // before the footer, if that is here: the sender's says whether all fits
		}
	}
}

// Receive reads the file of a snapshot from offset on, which is 0 or what Offset has said, and
// verifies all of it. Then it is sealed as agreed: only such are sent. What came before a broken
// stream stays for the next try; anything that is not as it should be, or a full disk, leaves
// nothing. It parks.
func (s *Store) Receive(r io.Reader, group raft.GroupID, birth raft.Birth, index raft.Index, offset int64) (Header, error) {
	k := key{group, birth, index}
	if err := s.take(k); err != nil {
		return Header{}, err
	}
	defer s.release(k)
	h, err := s.receive(r, k, offset)
	if err != nil {
		return Header{}, fmt.Errorf("receive %v: %w", k, err)
	}
	return h, s.trim(group, birth)
}

func (s *Store) receive(r io.Reader, k key, offset int64) (Header, error) {
	if err := s.dropParts(k, offset); err != nil {
		return Header{}, err
	}
	name := s.name(k, suffixPart)
	mode := env.Read | env.Write
	if offset == 0 {
		mode |= env.Create
	}
	f, err := s.fs.Open(name, mode)
	if err != nil {
		return Header{}, err
	}
	in := &source{r: io.MultiReader(io.NewSectionReader(f, 0, offset), r)}
	p := &parser{name: "stream into " + name, r: in}
	o := &output{s: s, f: f, name: name, wait: s.o.Env.NewWaiter(), off: offset}
	if err := s.copyParts(p, o, k); err != nil {
		err = errors.Join(err, f.Close())
		if in.broken {
			return Header{}, err // the part stays: it is taken up again
		}
		return Header{}, errors.Join(err, s.unlink(name))
	}
	if err := s.seal(o, k, p.header, true); err != nil {
		return Header{}, err
	}
	return p.header, nil
}

// source notes when it was the stream that failed, and not the disk or the bytes.
type source struct {
	r      io.Reader
	broken bool
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF { // a bare end is the stream's proper one
		s.broken = true
	}
	return n, err
}

// copyParts verifies part by part and writes those that are not here yet.
func (s *Store) copyParts(p *parser, o *output, k key) error {
	put := func(at int64) error {
		if at+int64(len(p.buf)) <= o.off {
			return nil
		}
		return o.write(p.buf[o.off-at:])
	}
	if err := p.readHead(); err != nil {
		return err
	}
	if err := s.check(k, p.name, &p.header); err != nil {
		return err
	}
	at := int64(0)
	for err := error(nil); ; {
		if e := put(at); e != nil {
			return e
		}
		if err == io.EOF { // next's own
			break
		}
		at = p.off
		if _, err = p.next(); err != nil && err != io.EOF { // next's own
			return err
		}
	}
	// What a crash has left behind the part that was whole is not the file's.
	if err := o.f.Truncate(o.off); err != nil {
		return fmt.Errorf("truncate %s: %w", o.name, err)
	}
	return o.sync()
}

// dropParts removes what was received of the group's other snapshots, and of this one unless it
// is taken up at offset.
func (s *Store) dropParts(k key, offset int64) error {
	infos, err := s.fs.ReadDir(s.o.Dir)
	if err != nil {
		return err
	}
	for _, info := range infos {
		other, suffix, ok := parseName(info.Name)
		if !ok || suffix != suffixPart || other.group != k.group || other.birth != k.birth || other == k && offset > 0 {
			continue
		}
		s.mu.Lock()
		busy := other != k && s.busy[other]
		s.mu.Unlock()
		if busy {
			continue
		}
		if err := s.unlink(s.o.Dir + "/" + info.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
