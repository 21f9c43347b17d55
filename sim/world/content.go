package world

import "bytes"

// The content of a page is a piece of memory from its beginning to the end of a sector; what is behind that is
// zeroes, and costs nothing.

// buffers are pieces of memory to use again, by their size: one, two, four and eight sectors.
type buffers [4][][]byte

// get gives zeroes that n bytes find room in.
func (b *buffers) get(n int) []byte {
	class, size := 0, sectorSize
	for size < n {
		class, size = class+1, size*2
	}
	if free := b[class]; len(free) > 0 {
		p := free[len(free)-1]
		b[class] = free[:len(free)-1]
		clear(p)
		return p
	}
	return make([]byte, size)
}

func (b *buffers) put(p []byte) {
	class := 0
	for size := sectorSize; size < len(p); size *= 2 {
		class++
	}
	if p != nil {
		b[class] = append(b[class], p)
	}
}

// reach makes content that has at least n bytes of c.
func (b *buffers) reach(c []byte, n int) []byte {
	if len(c) >= n {
		return c
	}
	more := b.get(n)
	copy(more, c)
	b.put(c)
	return more
}

// noughts is a sector that was never written.
var noughts [sectorSize]byte

// trim cuts p behind its last sector that is not all zeroes; off is where p begins in its page.
func trim(p []byte, off int) []byte {
	for len(p) > 0 {
		last := max(0, (off+len(p)-1)/sectorSize*sectorSize-off)
		if !bytes.Equal(p[last:], noughts[:len(p)-last]) {
			break
		}
		p = p[:last]
	}
	return p
}

// fit puts p into content c at off; what is behind the end of both stays unsaid.
func (b *buffers) fit(c, p []byte, off int) []byte {
	if n := len(trim(p, off)); n > 0 {
		c = b.reach(c, off+n)
	}
	if off < len(c) {
		copy(c[off:], p)
	}
	return c
}

// show copies content c from off on to p, and zeroes behind its end.
func show(p, c []byte, off int) {
	n := 0
	if off < len(c) {
		n = copy(p, c[off:])
	}
	clear(p[n:])
}

// sector is what content c has of sector s, which may be nothing.
func sector(c []byte, s int) []byte {
	return c[min(s*sectorSize, len(c)):min((s+1)*sectorSize, len(c))]
}

// take makes sector s of content c what it is in from.
func (b *buffers) take(c, from []byte, s int) []byte {
	if piece := sector(from, s); len(piece) > 0 {
		return b.fit(c, piece, s*sectorSize)
	}
	clear(sector(c, s))
	return c
}
