package snapshot

import (
	"errors"
	"fmt"
	"io"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// parser reads a snapshot's bytes from their start, and verifies all of them: whatever reads a
// snapshot, for whatever purpose, goes through here.
type parser struct {
	name   string // of the file or stream, for errors
	r      io.Reader
	off    int64 // behind the last part that was found whole
	header Header
	chunks uint32
	total  uint64
	chain  raft.Digest
	buf    []byte // the part being read
}

// newParser reads a file from its start.
func newParser(name string, f io.ReaderAt) *parser {
	return &parser{name: name, r: io.NewSectionReader(f, 0, 1<<63-1)}
}

// fill reads the next n bytes into buf, behind the first have of them.
func (p *parser) fill(what string, have, n int) error {
	if cap(p.buf) < have+n {
		// Grow as bytes come: a length that lies costs no more than what is really there.
		p.buf = append(make([]byte, 0, have+min(n, wire.SnapshotChunkBytes+wire.ChunkHeaderSize)), p.buf[:have]...)
	}
	p.buf = p.buf[:have]
	for n > 0 {
		step := min(n, wire.SnapshotChunkBytes)
		at := len(p.buf)
		p.buf = append(p.buf, make([]byte, step)...)
		got, err := io.ReadFull(p.r, p.buf[at:])
		// Only a bare end is the file's. A stream that breaks off says so in an error of its own.
		if err == io.EOF || err == io.ErrUnexpectedEOF { // see above
			return p.corrupt(what, int64(at+got), fmt.Sprintf("%d bytes more", n-got), "the end")
		}
		if err != nil {
			return fmt.Errorf("read %s of %s at offset %d: %w", what, p.name, p.off+int64(at+got), err)
		}
		n -= step
	}
	return nil
}

func (p *parser) corrupt(what string, at int64, expected, found string) error {
	return &wire.CorruptError{What: p.name + ": snapshot " + what, Offset: int(p.off + at), Expected: expected, Found: found}
}

// locate puts the file's name and offset to the error of a decoder.
func (p *parser) locate(err error) error {
	var c *wire.CorruptError
	if errors.As(err, &c) {
		return &wire.CorruptError{What: p.name + ": " + c.What, Offset: int(p.off) + c.Offset, Expected: c.Expected, Found: c.Found}
	}
	return err
}

// readHead reads the header. The encoded head is in buf until the next call.
func (p *parser) readHead() error {
	if err := p.fill("header", 0, wire.SnapshotPrefixSize); err != nil {
		return err
	}
	size, err := wire.ParseSnapshotPrefix(p.buf)
	if err != nil {
		return p.locate(err)
	}
	if err := p.fill("header", wire.SnapshotPrefixSize, size-wire.SnapshotPrefixSize); err != nil {
		return err
	}
	h, _, err := wire.DecodeSnapshotHeader(p.buf)
	if err != nil {
		return p.locate(err)
	}
	h.Sessions = append([]byte(nil), h.Sessions...)
	p.header = h
	p.chain = wire.ChainStart(p.buf)
	p.off += int64(size)
	return nil
}

// next reads the next chunk, and returns the machine's bytes in it. Both they and the encoded part
// in buf are valid until the next call. Behind the footer, which is in buf then, it is io.EOF: all
// of the file was read and found whole.
func (p *parser) next() ([]byte, error) {
	if err := p.fill("chunk", 0, 4); err != nil {
		return nil, err
	}
	if wire.IsFooter(p.buf) {
		return nil, p.footer()
	}
	if err := p.fill("chunk", 4, wire.ChunkHeaderSize-4); err != nil {
		return nil, err
	}
	h, err := wire.ParseChunkHeader(p.buf, uint64(p.chunks))
	if err != nil {
		return nil, p.locate(err)
	}
	// Only the last chunk is short, so a chunk behind a short one is not the writer's.
	if p.total%wire.SnapshotChunkBytes != 0 {
		return nil, p.corrupt("footer", 0, "a footer behind a short chunk", "a chunk")
	}
	if err := p.fill("chunk", wire.ChunkHeaderSize, int(h.Length)); err != nil {
		return nil, err
	}
	data := p.buf[wire.ChunkHeaderSize:]
	if err := wire.VerifyChunk(p.buf[:wire.ChunkHeaderSize], data); err != nil {
		return nil, p.locate(err)
	}
	p.chunks++
	p.total += uint64(len(data))
	p.chain = wire.ChainNext(p.chain, data)
	p.off += int64(len(p.buf))
	return data, nil
}

func (p *parser) footer() error {
	if err := p.fill("footer", 4, wire.FooterSize-4); err != nil {
		return err
	}
	f, err := wire.DecodeFooter(p.buf)
	if err != nil {
		return p.locate(err)
	}
	if want := (wire.Footer{Chunks: p.chunks, Total: p.total, Digest: p.chain}); f != want {
		return p.corrupt("footer", 0, fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", f))
	}
	p.off += wire.FooterSize
	var extra [1]byte
	n, err := p.r.Read(extra[:])
	if n > 0 {
		return p.corrupt("footer", 0, "the end", "more bytes")
	}
	if err != nil && err != io.EOF { // a stream's own errors are wrapped
		return fmt.Errorf("read end of %s: %w", p.name, err)
	}
	return io.EOF
}

// checkFooter reads the footer alone, and compares it with the file's size.
func checkFooter(name string, f env.File, headSize, size int64) error {
	p := parser{name: name, off: size - wire.FooterSize}
	if p.off < headSize {
		p.off = headSize
		return p.corrupt("footer", 0, fmt.Sprintf("%d bytes", wire.FooterSize), fmt.Sprintf("%d bytes", size-headSize))
	}
	var b [wire.FooterSize]byte
	if _, err := f.ReadAt(b[:], p.off); err != nil {
		return fmt.Errorf("read footer of %s: %w", name, err)
	}
	foot, err := wire.DecodeFooter(b[:])
	if err != nil {
		return p.locate(err)
	}
	if want := headSize + int64(foot.Chunks)*wire.ChunkHeaderSize + int64(foot.Total) + wire.FooterSize; want != size {
		return p.corrupt("footer", 0, fmt.Sprintf("a file of %d bytes", want), fmt.Sprintf("one of %d", size))
	}
	return nil
}

// verify reads all of a sealed file, past the page cache where that can be.
func (s *Store) verify(name string) (size int64, err error) {
	f, err := s.fs.Open(name, env.Read)
	if err != nil {
		return 0, fmt.Errorf("read back: %w", err)
	}
	defer f.Close()
	if err := f.DropCache(); err != nil {
		return 0, fmt.Errorf("read back: %w", err)
	}
	p := newParser(name, f)
	err = p.readHead()
	for err == nil {
		_, err = p.next()
	}
	if err != io.EOF { // next's own
		return 0, err
	}
	return p.off, nil
}
