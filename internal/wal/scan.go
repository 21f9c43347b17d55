package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"sort"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
)

// scan reads the files as Open finds them: the production twin of the checked model (decision
// 0005). It looks at synced files past the page cache, so what it sees is durable.
type scan struct {
	o      *Options
	boot   string
	files  []*scanned // by number
	newest *scanned   // by position of its head; nil: no head at all
	chain  []*scanned // oldest first, newest last
	top    uint64     // the highest position on any valid block
	synced uint64     // the highest promise in the chain

	state  *replay
	repeat repeat // of the last valid batch
	notes  []string
	raw    []byte    // one file's blocks
	blocks []decoded // of raw, decoded once
	joined []byte    // bodies of one batch
	torn   bool      // the log ends before the end of the chain: what follows is cut
}

// scanned is one file as the scan sees it.
type scanned struct {
	file
	size     int64
	head     *wire.SegmentHead // nil: neither copy is whole
	seg      segment
	kept     bool   // part of the recovered chain
	headSize int    // bytes of the head's stream
	lone     string // which copy of the head is not whole while the other is; empty: both are, or neither
}

func (s *scan) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// list opens every segment file, syncs it, and reads its head. Names are made durable before that:
// a file whose maker was killed before it synced the directory looks like any other, and a power
// loss would take it with all that this life writes into it.
func (s *scan) list() error {
	fs := s.o.Env.FS()
	if err := fs.SyncDir(s.o.Dir); err != nil {
		return fmt.Errorf("sync %s: %w", s.o.Dir, err)
	}
	infos, err := fs.ReadDir(s.o.Dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", s.o.Dir, err)
	}
	for _, info := range infos {
		number, ok := fileNumber(info.Name)
		if !ok || info.Dir {
			continue
		}
		mode := env.Read | env.Write
		if s.o.Direct {
			mode |= env.Direct
		}
		f, err := fs.Open(path.Join(s.o.Dir, info.Name), mode)
		if err != nil {
			return fmt.Errorf("open segment %s: %w", info.Name, err)
		}
		x := &scanned{size: info.Size}
		x.file = file{number: number, f: f, blocks: uint32(info.Size / wire.BlockSize)}
		s.files = append(s.files, x)
		if err := s.open(x); err != nil {
			return fmt.Errorf("read segment %s: %w", info.Name, err)
		}
	}
	sort.Slice(s.files, func(i, j int) bool { return s.files[i].number < s.files[j].number })
	return nil
}

// open makes durable whatever a killed process left in the cache, and forgets what a failed sync
// left there without being on the disk (W5). Only then is anything read.
func (s *scan) open(x *scanned) error {
	if err := x.f.Sync(); err != nil {
		return err
	}
	if err := x.f.DropCache(); err != nil {
		return err
	}
	if x.size%wire.BlockSize != 0 {
		x.dirty = true
	}
	return s.readHead(x)
}

// readHead takes the newer of the two copies.
func (s *scan) readHead(x *scanned) error {
	front, frontErr := s.readCopy(x, 0, wire.BlockHead)
	var back *headCopy
	var backErr error
	if x.blocks > 0 {
		back, backErr = s.readCopy(x, x.blocks-1, wire.BlockMirror)
	}
	for _, err := range []error{frontErr, backErr} {
		if err != nil {
			return err
		}
	}
	c := front
	if c == nil || back != nil && back.position > c.position {
		c = back
	}
	if c == nil {
		return nil
	}
	h := c.head
	if h.Cluster != s.o.Cluster || h.Host != s.o.Host {
		return fmt.Errorf("it is of host %d of cluster %x, this is host %d of cluster %x: %w",
			h.Host, h.Cluster, s.o.Host, s.o.Cluster, ErrForeign)
	}
	switch {
	case front == nil || back != nil && front.position < back.position:
		x.lone = "first"
	case back == nil || back.position < front.position:
		x.lone = "second"
	}
	x.head, x.headSize = h, c.size
	n := uint64(c.blocks)
	x.seg = segment{file: x.file, life: c.life, head: c.position, data: c.position + n, mirror: c.position + uint64(h.Blocks) - n}
	return nil
}

type headCopy struct {
	head     *wire.SegmentHead
	life     uint64
	position uint64
	blocks   uint16
	size     int // of the stream, in bytes
}

// readCopy reads the head of which block n is the first (front) or last (mirror) block; nil: it is
// not whole. Only what a newer version wrote, or a failing disk, is an error.
func (s *scan) readCopy(x *scanned, n uint32, kind wire.BlockKind) (*headCopy, error) {
	b, err := s.blockAt(x, n)
	if b == nil || b.Kind != kind {
		return nil, err
	}
	first := uint64(n) - uint64(b.Part)
	if first > uint64(n) || uint64(first)+uint64(b.Count) > uint64(x.blocks) {
		return nil, nil
	}
	position := b.Position - uint64(b.Part)
	var stream []byte
	for i := range b.Count {
		p, err := s.blockAt(x, uint32(first)+uint32(i))
		if p == nil || err != nil || p.Kind != kind || p.Life != b.Life || p.Position != position+uint64(i) || p.Part != i || p.Count != b.Count {
			return nil, err
		}
		stream = append(stream, p.Body...)
	}
	h, err := wire.DecodeSegmentHead(stream)
	if err != nil {
		return nil, fmt.Errorf("decode head at block %d: %w: %w", first, ErrDamaged, err)
	}
	if kind == wire.BlockMirror {
		position -= first
	}
	return &headCopy{&h, b.Life, position, b.Count, len(stream)}, nil
}

// blockAt reads one block; nil: it is not whole.
func (s *scan) blockAt(x *scanned, n uint32) (*wire.Block, error) {
	raw := make([]byte, wire.BlockSize)
	if _, err := x.f.ReadAt(raw, int64(n)*wire.BlockSize); err != nil {
		return nil, ignoreUnreadable(err)
	}
	b, err := wire.DecodeBlock(raw)
	if errors.Is(err, wire.ErrUnsupported) {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	return &b, nil
}

// ignoreUnreadable takes a block that the disk cannot read for a rotten one.
func ignoreUnreadable(error) error { return nil }

// follow finds the newest head and the chain it names.
func (s *scan) follow() error {
	for _, x := range s.files {
		if x.head != nil && (s.newest == nil || x.seg.head > s.newest.seg.head) {
			s.newest = x
		}
	}
	if s.newest == nil {
		return nil
	}
	for _, b := range s.newest.head.Before {
		x := s.named(b)
		x.kept = true
		s.chain = append(s.chain, x)
	}
	s.newest.kept = true
	s.newest.seg.end = s.newest.seg.mirror
	s.chain = append(s.chain, s.newest)
	for i, x := range s.chain[1:] {
		if x.seg.head < s.chain[i].seg.end {
			return fmt.Errorf("%s begins at %d, before the end %d of %s: %w", fileName(x.number),
				x.seg.head, s.chain[i].seg.end, fileName(s.chain[i].number), ErrDamaged)
		}
	}
	return nil
}

// named is the file that a head names; without content, if it is gone: then all of it is a bad spot.
func (s *scan) named(b wire.SegmentBefore) *scanned {
	var x *scanned
	for _, f := range s.files {
		if f.file.number == b.File {
			x = f
		}
	}
	if x == nil {
		s.note("%s is named by the newest head and is missing", fileName(b.File))
		x = &scanned{file: file{number: b.File, dirty: true}}
	}
	if x.head != nil && (x.seg.life != b.Life || x.seg.head != b.Position) {
		s.note("%s is named by the newest head and holds another segment", fileName(b.File))
		x.head = nil
	}
	mirror := b.Position + uint64(b.Blocks) - (b.Data - b.Position)
	x.seg = segment{file: x.file, life: b.Life, head: b.Position, data: b.Data, end: b.End, mirror: mirror}
	return x
}

// load reads a whole file into s.raw; what cannot be read is left as a bad block.
func (s *scan) load(x *scanned) {
	n := int(x.blocks) * wire.BlockSize
	if cap(s.raw) < n {
		s.raw = env.Aligned(n)
	}
	s.raw = s.raw[:n]
	if n == 0 {
		return
	}
	if k, err := x.f.ReadAt(s.raw, 0); err == nil || errors.Is(err, io.EOF) && k == n {
		return
	}
	for i := 0; i < n; i += wire.BlockSize {
		if _, err := x.f.ReadAt(s.raw[i:i+wire.BlockSize], int64(i)); err != nil {
			copy(s.raw[i:], bytes.Repeat([]byte{0xff}, wire.BlockSize))
			s.note("%s: block %d cannot be read: %v", fileName(x.number), i/wire.BlockSize, err)
		}
	}
}

// decoded is one block of the loaded file. Its body aliases raw.
type decoded struct {
	wire.Block
	whole, zero bool
}

// survey loads a file and looks at every block: for the highest position, for the highest promise
// of the chain, for blocks that forbid reuse, and for proof that a newer head has been lost.
func (s *scan) survey(x *scanned) error {
	s.load(x)
	s.blocks = s.blocks[:0]
	for n := range x.blocks {
		raw := s.raw[int(n)*wire.BlockSize:][:wire.BlockSize]
		b, err := wire.DecodeBlock(raw)
		if errors.Is(err, wire.ErrUnsupported) {
			return damage(x.number, n, err)
		}
		d := decoded{Block: b, whole: err == nil, zero: err != nil && wire.IsZero(raw)}
		s.blocks = append(s.blocks, d)
		if !d.zero && x.filled == n {
			x.filled++ // a block of zeroes may be reserved only
		}
		x.dirty = x.dirty || !d.whole && !d.zero
		if !d.whole {
			continue
		}
		s.top = max(s.top, b.Position)
		head := b.Position - uint64(n)
		if b.Kind == wire.BlockBatch && b.Synced > head && (s.newest == nil || head > s.newest.seg.head) {
			return fmt.Errorf("%s, block %d: its batch at %d promises a head at %d, and no copy of that is whole: %w",
				fileName(x.number), n, b.Position, head, ErrDamaged)
		}
		if x.kept && b.Life == x.seg.life && head == x.seg.head {
			s.synced = max(s.synced, b.Synced)
		}
	}
	if x.head != nil {
		s.top = max(s.top, x.seg.head+uint64(x.head.Blocks))
	}
	return nil
}
