package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// cursor reads the encoded form of an operation or a result. The first error sticks, and all later
// reads give zero. Slices are parts of what is read, so that a length allocates nothing.
type cursor struct {
	rest []byte
	err  error
}

var errShort = errors.New("bytes end too early")

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err, c.rest = err, nil
	}
}

func (c *cursor) byte() byte {
	if len(c.rest) == 0 {
		c.fail(errShort)
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

// enum reads a byte of which only the values up to top have a meaning.
func (c *cursor) enum(what string, top byte) byte {
	b := c.byte()
	if b > top {
		c.fail(fmt.Errorf("%s is %d, at most %d is known", what, b, top))
		return 0
	}
	return b
}

func (c *cursor) uint() uint64 {
	n, size := binary.Uvarint(c.rest)
	if size <= 0 {
		c.fail(errShort)
		return 0
	}
	c.rest = c.rest[size:]
	return n
}

func (c *cursor) int() int64 {
	n, size := binary.Varint(c.rest)
	if size <= 0 {
		c.fail(errShort)
		return 0
	}
	c.rest = c.rest[size:]
	return n
}

// bytes gives nil for no bytes: absent and empty are the same here.
func (c *cursor) bytes() []byte {
	n := c.uint()
	if n > uint64(len(c.rest)) {
		c.fail(errShort)
		return nil
	}
	if n == 0 {
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

// count reads how many things follow, of which each takes at least size bytes.
func (c *cursor) count(size int) int {
	n := c.uint()
	if n > uint64(len(c.rest)/size) {
		c.fail(errShort)
		return 0
	}
	return int(n)
}

// end is the error of the whole, also if something is left.
func (c *cursor) end(what string) error {
	if c.err == nil && len(c.rest) > 0 {
		c.err = fmt.Errorf("%d bytes are left over", len(c.rest))
	}
	if c.err != nil {
		return fmt.Errorf("decode %s: %w", what, c.err)
	}
	return nil
}

func appendBytes(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

func appendInts(b []byte, ns ...int64) []byte {
	for _, n := range ns {
		b = binary.AppendVarint(b, n)
	}
	return b
}

// flags packs up to eight booleans, the first into the lowest bit.
func flags(bits ...bool) byte {
	var f byte
	for i, set := range bits {
		if set {
			f |= 1 << i
		}
	}
	return f
}
