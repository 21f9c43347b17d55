package kv

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/lockstep-rsm/lockstep/machine"
)

// A snapshot is
//
//	"lskv", format 1
//	revision, compacted, edge, due            varints
//	first change of the log: revision, sub    varints; both −1 if there is none
//	sum of all versions                       8 bytes, little endian
//	per key, ascending: length of the key (above 0), key, number of its versions, and these, newest first:
//	    1 (a deletion), revision, sub
//	    0, revision, sub, create revision, version, lease, length of the value, value
//	0, number of all versions                 uvarints
//
// All of it is a function of the state, so that equal states give equal bytes. The log is not written:
// it consists of the versions from its first change on, by time.
var snapshotMagic = []byte("lskv\x01")

// MaxBytes bounds a key or a value in a snapshot: no entry of a log is longer.
const MaxBytes = 64 << 20

func (s *state) save(out io.Writer) error {
	w := bufio.NewWriter(out) // a small one: who takes the bytes gathers them, and most states are small
	first, sub := int64(-1), int64(-1)
	if s.log.len() > 0 {
		first, sub = s.log.at(0).ModRevision, int64(s.log.at(0).sub)
	}
	b := append([]byte(nil), snapshotMagic...)
	b = appendInts(b, s.revision, s.compacted, int64(s.edge), int64(s.due), first, sub)
	b = binary.LittleEndian.AppendUint64(b, s.sum)
	if _, err := w.Write(b); err != nil {
		return err
	}
	total := 0
	if err := s.keys(func(versions []*version) error {
		total += len(versions)
		b = appendBytes(b[:0], versions[0].Key)
		b = binary.AppendUvarint(b, uint64(len(versions)))
		for _, v := range versions {
			b = append(b, flags(v.gone))
			b = appendInts(b, v.ModRevision, int64(v.sub))
			if !v.gone {
				b = appendInts(b, v.CreateRevision, v.Version, v.Lease)
				b = appendBytes(b, v.Value)
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		return nil
	}); err != nil {
		return err
	}
	if _, err := w.Write(binary.AppendUvarint([]byte{0}, uint64(total))); err != nil {
		return err
	}
	return w.Flush()
}

// keys goes through all keys, ascending, with all their versions, newest first.
func (s *state) keys(each func([]*version) error) error {
	live, past := s.live.Iter(), s.past.Iter()
	defer live.Release()
	defer past.Release()
	isLive, isPast := live.First(), past.First()
	var versions []*version
	for isLive || isPast {
		versions = versions[:0]
		if isLive && (!isPast || bytes.Compare(live.Item().Key, past.Item().Key) <= 0) {
			versions = append(versions, live.Item())
			isLive = live.Next()
		}
		for isPast && (len(versions) == 0 || bytes.Equal(past.Item().Key, versions[0].Key)) {
			versions = append(versions, past.Item())
			isPast = past.Next()
		}
		if err := each(versions); err != nil {
			return err
		}
	}
	return nil
}

// Load replaces the store by a saved one; see machine.StateMachine. What it reads is checked: order,
// bounds and the sum over all versions.
func (s *store) Load(version machine.Version, r *machine.Reader) error {
	if version != 1 {
		return fmt.Errorf("load kv snapshot of version %d: only version 1 is known", version)
	}
	l := loader{in: bufio.NewReader(r), state: newState()}
	if err := l.load(); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("load kv snapshot: %w", err)
	}
	s.state = l.state
	return nil
}

type loader struct {
	state
	in         *bufio.Reader
	err        error
	first, sub int64
	changes    []*version // of the log
	versions   uint64
	last       *version // read before, for the order
}

func (l *loader) load() error {
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(l.in, magic); err != nil {
		return err
	}
	if !bytes.Equal(magic, snapshotMagic) {
		return fmt.Errorf("it begins with %x, want %x", magic, snapshotMagic)
	}
	l.revision, l.compacted = l.int(), l.int()
	edge, due := l.int(), l.int()
	l.first, l.sub = l.int(), l.int()
	var want [8]byte
	if _, err := io.ReadFull(l.in, want[:]); err != nil {
		return err
	}
	for l.err == nil {
		key := l.bytes()
		if len(key) == 0 {
			break
		}
		l.key(key)
	}
	if n := l.uint(); l.err == nil && n != l.versions {
		return fmt.Errorf("it has %d versions, and says %d", l.versions, n)
	}
	if l.err != nil {
		return l.err
	}
	if _, err := l.in.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.New("something follows its end")
	}
	slices.SortFunc(l.changes, func(a, b *version) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	for _, v := range l.changes {
		l.log.push(v)
	}
	l.edge, l.due = int(edge), machine.Time(due)
	l.recentAt = l.revision + 1
	if l.first >= 0 {
		l.recentAt = l.first + 1 // a part of that revision may have left the log before
	}
	return l.check(edge, binary.LittleEndian.Uint64(want[:]))
}

// check finds what cannot be.
func (l *loader) check(edge int64, want uint64) error {
	switch {
	case l.revision < 1 || l.compacted < -1 || l.compacted > l.revision:
		return fmt.Errorf("revision %d and compact revision %d cannot be", l.revision, l.compacted)
	case edge < 0 || edge > int64(l.log.len()):
		return fmt.Errorf("%d of %d changes cannot be done", edge, l.log.len())
	case l.sum != want:
		return fmt.Errorf("the sum of its versions is %016x, and it says %016x", l.sum, want)
	}
	return nil
}

// key reads the versions of one key.
func (l *loader) key(key []byte) {
	n := l.uint()
	switch {
	case l.err == nil && n == 0:
		l.fail(fmt.Errorf("key %q has no version", key))
	case l.err == nil && l.last != nil && bytes.Compare(l.last.Key, key) >= 0:
		l.fail(fmt.Errorf("key %q is out of order", key))
	}
	for i := uint64(0); i < n && l.err == nil; i++ {
		v := &version{KeyValue: KeyValue{Key: key}}
		v.gone = l.int8() == 1
		v.ModRevision = l.int()
		sub := l.int()
		if !v.gone {
			v.CreateRevision, v.Version, v.Lease = l.int(), l.int(), l.int()
			v.Value = l.bytes()
		}
		switch {
		case l.err != nil:
			return
		case sub < 0 || sub > 1<<32-1 || v.ModRevision < 1 || v.ModRevision > l.revision:
			l.fail(fmt.Errorf("key %q has a version %d.%d, the revision is %d", key, v.ModRevision, sub, l.revision))
			return
		}
		v.sub = uint32(sub)
		if l.last != nil && !byAge(l.last, v) {
			l.fail(fmt.Errorf("key %q, version %d.%d, is out of order", key, v.ModRevision, sub))
			return
		}
		l.last = v
		l.take(v, i == 0)
	}
}

func (l *loader) take(v *version, newest bool) {
	v.seal()
	l.versions++
	l.sum += v.sum
	l.held += v.held()
	if newest && !v.gone {
		l.live.Load(v)
		l.logical += v.logical()
	} else {
		l.past.Load(v)
	}
	if l.first >= 0 && (v.ModRevision > l.first || v.ModRevision == l.first && int64(v.sub) >= l.sub) {
		l.changes = append(l.changes, v)
	}
}

func (l *loader) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

func (l *loader) int8() byte {
	b, err := l.in.ReadByte()
	if err == nil && b > 1 {
		err = fmt.Errorf("a version is of kind %d", b)
	}
	if err != nil {
		l.fail(err)
	}
	return b
}

func (l *loader) int() int64 {
	n, err := binary.ReadVarint(l.in)
	if err != nil {
		l.fail(err)
	}
	return n
}

func (l *loader) uint() uint64 {
	n, err := binary.ReadUvarint(l.in)
	if err != nil {
		l.fail(err)
	}
	return n
}

// bytes reads a length and as many bytes. Beyond a first piece it allocates only what has arrived.
func (l *loader) bytes() []byte {
	n := l.uint()
	if l.err != nil || n == 0 {
		return nil
	}
	if n > MaxBytes {
		l.fail(fmt.Errorf("a length is %d, at most %d is possible", n, MaxBytes))
		return nil
	}
	const piece = 64 << 10
	b := make([]byte, min(n, piece))
	for read := uint64(0); ; {
		got, err := io.ReadFull(l.in, b[read:])
		if err != nil {
			l.fail(err)
			return nil
		}
		if read += uint64(got); read == n {
			return b
		}
		b = append(b, make([]byte, min(n-read, read))...)
	}
}
