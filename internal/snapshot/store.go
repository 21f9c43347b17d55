package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Header is what a snapshot says of itself.
type Header = wire.SnapshotHeader

// Errors of a Store.
var (
	ErrNotFound  = errors.New("no such snapshot here")
	ErrBusy      = errors.New("snapshot is being written")
	ErrNotAgreed = errors.New("snapshot is not agreed by a majority")
	ErrExists    = errors.New("snapshot is here already, and agreed")
)

// Options of a Store.
type Options struct {
	Env                 env.Env // required
	Dir                 string  // made if need be; nobody else's
	Cluster             [16]byte
	WriteBytesPerSecond int64 // to disk, all writers together; zero: not throttled
	SendBytesPerSecond  int64 // read by Send, all together; zero: not throttled
	Keep                int   // agreed snapshots of a group that stay; zero: 2
}

// A Store is a directory of snapshots. Its methods are safe for concurrent use. Those that touch
// files park; List, Agreed and Size do not.
type Store struct {
	o       Options
	fs      env.FS
	writing *Throttle
	sending *Throttle

	mu      sync.Mutex // never held while parking
	files   map[key]*file
	busy    map[key]bool // being written, received or renamed
	damaged []error
}

// key names a snapshot.
type key struct {
	group raft.GroupID
	birth raft.Birth
	index raft.Index
}

func keyOf(h *Header) key {
	return key{h.Meta.Identity.Group, h.Meta.Identity.Birth, h.Meta.Identity.Index}
}

func (k key) String() string {
	return fmt.Sprintf("snapshot %d of group %d/%016x", k.index, k.group, uint64(k.birth))
}

// Suffixes of files. A snapshot's file changes its name, never its bytes.
const (
	suffixTemporary = ".tmp"    // being written
	suffixPart      = ".part"   // being received: may be taken up again
	suffixSealed    = ".sealed" // whole, not agreed yet
	suffixAgreed    = ".agreed"
)

// file is a sealed snapshot.
type file struct {
	header Header // without Sessions
	agreed bool
	named  bool // as agreed, though that may not be durable yet
	size   int64
	users  int
	doomed bool // remove it when the last user has gone
	rotten bool // found damaged since: it stays for whoever looks into it, until pruned
}

// usable says whether f, which may be nil, is listed. The lock is held.
func (f *file) usable() bool { return f != nil && !f.doomed && !f.rotten }

// name is the path of a snapshot's file.
func (s *Store) name(k key, suffix string) string {
	return fmt.Sprintf("%s/snapshot-%016x-%016x-%016x%s", s.o.Dir, uint64(k.group), uint64(k.birth), uint64(k.index), suffix)
}

func suffixOf(agreed bool) string {
	if agreed {
		return suffixAgreed
	}
	return suffixSealed
}

// parseName is the reverse of name, without the directory.
func parseName(name string) (k key, suffix string, ok bool) {
	var g, b, i uint64
	n, err := fmt.Sscanf(name, "snapshot-%16x-%16x-%16x", &g, &b, &i)
	if err != nil || n != 3 {
		return key{}, "", false
	}
	k = key{raft.GroupID(g), raft.Birth(b), raft.Index(i)}
	_, suffix, _ = strings.Cut(name, ".")
	return k, "." + suffix, true
}

// Open makes the directory if need be, removes temporaries, and reads the head and the footer of
// every sealed file. What is damaged or of another cluster is not listed: see Damaged. It parks.
func Open(o Options) (*Store, error) {
	if o.Keep <= 0 {
		o.Keep = 2
	}
	s := &Store{
		o: o, fs: o.Env.FS(), files: map[key]*file{}, busy: map[key]bool{},
		writing: NewThrottle(o.Env, o.WriteBytesPerSecond), sending: NewThrottle(o.Env, o.SendBytesPerSecond),
	}
	if err := s.fs.MkdirAll(o.Dir); err != nil {
		return nil, fmt.Errorf("make snapshot directory: %w", err)
	}
	// A name that a killed process gave is seen, and a power loss may still take it back.
	if err := s.fs.SyncDir(o.Dir); err != nil {
		return nil, fmt.Errorf("sync snapshot directory: %w", err)
	}
	infos, err := s.fs.ReadDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	for _, info := range infos {
		k, suffix, ok := parseName(info.Name)
		if !ok {
			continue
		}
		path := o.Dir + "/" + info.Name
		switch suffix {
		case suffixTemporary:
			if err := s.fs.Remove(path); err != nil {
				return nil, fmt.Errorf("remove unfinished snapshot: %w", err)
			}
		case suffixSealed, suffixAgreed:
			if err := s.adopt(k, path, suffix == suffixAgreed); err != nil {
				s.damaged = append(s.damaged, err)
			}
		}
	}
	return s, nil
}

// adopt lists a file that was sealed in an earlier life.
func (s *Store) adopt(k key, path string, agreed bool) error {
	f, err := s.fs.Open(path, env.Read)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer f.Close()
	p := newParser(path, f)
	if err := p.readHead(); err != nil {
		return err
	}
	if err := s.check(k, path, &p.header); err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", path, err)
	}
	if err := checkFooter(path, f, p.off, size); err != nil {
		return err
	}
	if have := s.files[k]; have != nil && have.agreed {
		return nil // a rename was lost halfway: the agreed one counts
	}
	s.files[k] = &file{header: short(p.header), agreed: agreed, size: size}
	return nil
}

// short is h without what may be large.
func short(h Header) Header {
	h.Sessions = nil
	return h
}

// check compares a header with its file's name and this host's cluster.
func (s *Store) check(k key, path string, h *Header) error {
	if got := keyOf(h); got != k {
		return &wire.CorruptError{What: path + ": snapshot header", Offset: wire.SnapshotPrefixSize, Expected: k.String(), Found: got.String()}
	}
	if h.Cluster != s.o.Cluster {
		return &wire.CorruptError{
			What: path + ": snapshot header's cluster", Offset: wire.SnapshotPrefixSize,
			Expected: fmt.Sprintf("%x", s.o.Cluster), Found: fmt.Sprintf("%x", h.Cluster),
		}
	}
	return nil
}

// Damaged tells of every sealed file that Open, or a Reader since, has found damaged: each error
// names file, offset, expected and found. Such a file is not listed.
func (s *Store) Damaged() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.damaged)
}

// List returns the headers of the sealed snapshots of a group, newest first, without Sessions:
// those are in a Reader's header.
func (s *Store) List(group raft.GroupID, birth raft.Birth) []Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := s.keys(group, birth)
	out := make([]Header, len(keys))
	for i, k := range keys {
		out[i] = s.files[k].header
	}
	return out
}

// keys lists the sealed snapshots of a group, newest first. The lock is held.
func (s *Store) keys(group raft.GroupID, birth raft.Birth) []key {
	var keys []key
	for k, f := range s.files {
		if k.group == group && k.birth == birth && f.usable() {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.index > b.index {
			return -1
		}
		return 1
	})
	return keys
}

// Agreed says whether a snapshot is here and a majority of voters has reported its digest.
func (s *Store) Agreed(group raft.GroupID, birth raft.Birth, index raft.Index) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[key{group, birth, index}]
	return f.usable() && f.agreed
}

// Size is the length of a sealed file, in bytes; 0: not here.
func (s *Store) Size(group raft.GroupID, birth raft.Birth, index raft.Index) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[key{group, birth, index}]; f != nil {
		return f.size
	}
	return 0
}

// Bytes is what all sealed files take on disk.
func (s *Store) Bytes() (total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		total += f.size
	}
	return total
}

// take claims k for one writer.
func (s *Store) take(k key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[k] {
		return fmt.Errorf("%v: %w", k, ErrBusy)
	}
	s.busy[k] = true
	return nil
}

func (s *Store) release(k key) {
	s.mu.Lock()
	delete(s.busy, k)
	s.mu.Unlock()
}

// MarkAgreed notes durably that a majority of voters has reported the snapshot's digest. Then
// agreed ones beyond Keep, and sealed ones before the newest agreed, are removed.
func (s *Store) MarkAgreed(group raft.GroupID, birth raft.Birth, index raft.Index) error {
	k := key{group, birth, index}
	if err := s.take(k); err != nil {
		return err
	}
	defer s.release(k)
	s.mu.Lock()
	f := s.files[k]
	there := f.usable()
	already, named := there && f.agreed, there && f.named
	s.mu.Unlock()
	if !there {
		return fmt.Errorf("mark %v as agreed: %w", k, ErrNotFound)
	}
	if already {
		return nil
	}
	if !named {
		if err := s.fs.Rename(s.name(k, suffixSealed), s.name(k, suffixAgreed)); err != nil {
			return fmt.Errorf("mark %v as agreed: %w", k, err)
		}
		s.mu.Lock()
		f.named = true
		s.mu.Unlock()
	}
	if err := s.fs.SyncDir(s.o.Dir); err != nil {
		return fmt.Errorf("mark %v as agreed: %w", k, err)
	}
	s.mu.Lock()
	f.agreed = true
	s.mu.Unlock()
	return s.trim(group, birth)
}

// trim removes what Keep does not keep.
func (s *Store) trim(group raft.GroupID, birth raft.Birth) error {
	s.mu.Lock()
	agreed := 0
	var gone []key
	for _, k := range s.keys(group, birth) { // newest first
		f := s.files[k]
		if f.agreed {
			agreed++
		}
		if agreed > s.o.Keep || agreed > 0 && !f.agreed {
			gone = append(gone, k)
		}
	}
	s.mu.Unlock()
	return s.removeAll(gone)
}

// Prune removes a group's snapshots before keepFrom, and what was received of them.
func (s *Store) Prune(group raft.GroupID, birth raft.Birth, keepFrom raft.Index) error {
	return s.removeWhere(func(k key) bool { return k.group == group && k.birth == birth && k.index < keepFrom })
}

// Remove removes one snapshot. One that is not here is no error.
func (s *Store) Remove(group raft.GroupID, birth raft.Birth, index raft.Index) error {
	return s.removeWhere(func(k key) bool { return k == key{group, birth, index} })
}

// RemoveUnagreed removes one snapshot that no majority has agreed with: in one step, since another of the same
// index may be sealed and agreed at any moment. One that is agreed, named so, being written or not here is no error,
// and is left as it is.
func (s *Store) RemoveUnagreed(group raft.GroupID, birth raft.Birth, index raft.Index) error {
	k := key{group, birth, index}
	s.mu.Lock()
	f := s.files[k]
	if f == nil || f.agreed || f.named || s.busy[k] {
		s.mu.Unlock()
		return nil
	}
	if f.users > 0 {
		f.doomed = true
		s.mu.Unlock()
		return nil
	}
	delete(s.files, k)
	s.busy[k] = true // or the name would be another's by the time it is removed
	s.mu.Unlock()
	defer s.release(k)
	return s.unlink(s.name(k, suffixSealed))
}

// RemoveGroup removes all that is here of a group, damaged files too. No power loss brings it back: nobody
// would know that it may go.
func (s *Store) RemoveGroup(group raft.GroupID, birth raft.Birth) error {
	if err := s.removeWhere(func(k key) bool { return k.group == group && k.birth == birth }); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.o.Dir); err != nil {
		return fmt.Errorf("sync snapshot directory: %w", err)
	}
	return nil
}

// removeWhere removes the files that which names, listed or not, but for those being written.
func (s *Store) removeWhere(which func(k key) bool) error {
	infos, err := s.fs.ReadDir(s.o.Dir)
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	var listed []key
	var errs []error
	for _, info := range infos {
		k, suffix, ok := parseName(info.Name)
		if !ok || !which(k) {
			continue
		}
		s.mu.Lock()
		f, busy := s.files[k], s.busy[k]
		s.mu.Unlock()
		switch {
		case busy:
		case f != nil && suffix == suffixOf(f.agreed || f.named):
			listed = append(listed, k)
		default:
			errs = append(errs, s.unlink(s.o.Dir+"/"+info.Name))
		}
	}
	return errors.Join(append(errs, s.removeAll(listed))...)
}

// removeAll removes sealed files; those that somebody reads, when the last reader closes.
func (s *Store) removeAll(keys []key) error {
	var errs []error
	for _, k := range keys {
		s.mu.Lock()
		f := s.files[k]
		if f == nil || f.users > 0 || s.busy[k] {
			if f != nil {
				f.doomed = true
			}
			s.mu.Unlock()
			continue
		}
		delete(s.files, k)
		name := s.name(k, suffixOf(f.agreed || f.named))
		s.mu.Unlock()
		errs = append(errs, s.unlink(name))
	}
	return errors.Join(errs...)
}

func (s *Store) unlink(name string) error {
	if err := s.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove snapshot: %w", err)
	}
	return nil
}
