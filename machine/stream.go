package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A snapshot is either one plain stream, or it consists of parts: then the first thing a machine
// does is Part when saving, and Next when loading. In the stream a part is
//
//	0, uvarint length of the name, name, digest (8 bytes, little endian)
//
// followed by chunks, each a uvarint length above 0 and the bytes. A part ends where the next begins
// or the stream ends.

// MaxPartNameBytes bounds the name of a part.
const MaxPartNameBytes = 1024

var errMixed = errors.New("begin part: the snapshot has begun as a plain stream")

// A Writer takes one snapshot; checksums, chunks and throttle are the engine's. It is used by one
// goroutine.
type Writer struct {
	io.Writer // where the stream goes; the engine's

	plain, parts bool
	scratch      []byte
}

// Write adds bytes to the snapshot, or to the part that the last call of Part began.
func (w *Writer) Write(p []byte) (int, error) {
	if !w.parts {
		w.plain = w.plain || len(p) > 0
		return w.Writer.Write(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	w.scratch = binary.AppendUvarint(w.scratch[:0], uint64(len(p)))
	if _, err := w.Writer.Write(w.scratch); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

// Part is unstable. It begins an immutable piece (such as a file of a store) with the digest d; if
// have is true the receiver holds that piece, and nothing is to be written for it. It fails if bytes
// were written before the first part.
func (w *Writer) Part(name string, d Digest) (have bool, err error) {
	if w.plain {
		return false, errMixed
	}
	if len(name) > MaxPartNameBytes {
		return false, fmt.Errorf("begin part: name has %d bytes, at most %d are allowed", len(name), MaxPartNameBytes)
	}
	w.parts = true
	b := append(w.scratch[:0], 0)
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(b, name...)
	b = binary.LittleEndian.AppendUint64(b, uint64(d))
	w.scratch = b
	_, err = w.Writer.Write(b)
	return false, err
}

// A Reader gives a snapshot back; it is the twin of Writer. It is used by one goroutine.
type Reader struct {
	io.Reader // where the stream comes from; the engine's

	parts bool
	next  bool   // the byte that announces a part has been read
	left  uint64 // of the current chunk
	ended error  // sticky, once the stream has ended or is no stream of parts
	one   [1]byte
}

// Read gives the bytes of the snapshot; after a call of Next, those of the part, and io.EOF at its
// end.
func (r *Reader) Read(p []byte) (int, error) {
	if !r.parts {
		return r.Reader.Read(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.left == 0 {
		if err := r.chunk(); err != nil {
			return 0, err
		}
	}
	if uint64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.Reader.Read(p)
	r.left -= uint64(n)
	if errors.Is(err, io.EOF) {
		err = nil
		if r.left > 0 {
			r.ended = io.ErrUnexpectedEOF
			err = r.ended
		}
	}
	return n, err
}

// Next is unstable. It passes over what is left of the current part and begins the next one; the
// error is io.EOF after the last.
func (r *Reader) Next() (name string, err error) {
	if !r.parts {
		r.parts = true
		err = r.chunk()
	} else {
		_, err = io.Copy(io.Discard, partOnly{r})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read part: %w", err)
	}
	if !r.next {
		if r.ended == nil && r.left > 0 {
			return "", errors.New("read part: the snapshot is a plain stream")
		}
		return "", io.EOF
	}
	return r.header()
}

// partOnly hides everything but Read from io.Copy.
type partOnly struct{ r *Reader }

func (p partOnly) Read(b []byte) (int, error) { return p.r.Read(b) }

// chunk reads up to the next bytes of the part; io.EOF says that the part is over.
func (r *Reader) chunk() error {
	if r.ended != nil {
		return r.ended
	}
	if r.next {
		return io.EOF
	}
	n, err := r.uvarint()
	switch {
	case err != nil:
		r.ended = err
		return err
	case n == 0:
		r.next = true
		return io.EOF
	}
	r.left = n
	return nil
}

func (r *Reader) header() (string, error) {
	r.next = false
	n, err := r.uvarint()
	if err == nil && n > MaxPartNameBytes {
		err = fmt.Errorf("name has %d bytes, at most %d are allowed", n, MaxPartNameBytes)
	}
	if err != nil {
		return "", r.broken(err)
	}
	b := make([]byte, n+8) // the digest is for the engine that can ask a receiver for it
	if _, err := io.ReadFull(r.Reader, b); err != nil {
		return "", r.broken(err)
	}
	return string(b[:n]), nil
}

// broken makes the error of a header that ends too early sticky.
func (r *Reader) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	r.ended = err
	return fmt.Errorf("read part: %w", err)
}

// uvarint reads a number byte by byte: io.EOF at its first byte, io.ErrUnexpectedEOF within it.
func (r *Reader) uvarint() (uint64, error) {
	var n uint64
	for shift := uint(0); shift < 63; shift += 7 {
		if _, err := io.ReadFull(r.Reader, r.one[:]); err != nil {
			if shift > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		n |= uint64(r.one[0]&0x7f) << shift
		if r.one[0] < 0x80 {
			return n, nil
		}
	}
	return 0, errors.New("a length has more than nine bytes")
}
