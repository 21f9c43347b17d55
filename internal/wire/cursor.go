package wire

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// A cursor reads one encoded value from its front. The first error stays: later reads give zeroes,
// so that decoders check once, before they trust a length and at the end.
type cursor struct {
	what string // the format's word for the value
	p    []byte
	off  int
	err  error

	arena *arena // of the frame; nil: none
}

// fail keeps the first error, at offset at.
func (c *cursor) fail(field string, at int, expected, found string) {
	if c.err == nil {
		c.err = &CorruptError{What: c.what + "'s " + field, Offset: at, Expected: expected, Found: found}
	}
}

// cut fails because field wants n bytes and fewer are left.
func (c *cursor) cut(field string, n int) {
	c.fail(field, c.off, strconv.Itoa(n)+" bytes", strconv.Itoa(len(c.p)-c.off)+" bytes")
}

func (c *cursor) left() int { return len(c.p) - c.off }

// u8 reads one byte.
func (c *cursor) u8(field string) uint8 {
	if c.err != nil || c.left() < 1 {
		c.cut(field, 1)
		return 0
	}
	c.off++
	return c.p[c.off-1]
}

// u16 reads two bytes, little-endian.
func (c *cursor) u16(field string) uint16 {
	if c.err != nil || c.left() < 2 {
		c.cut(field, 2)
		return 0
	}
	c.off += 2
	return binary.LittleEndian.Uint16(c.p[c.off-2:])
}

// u32 reads four bytes, little-endian.
func (c *cursor) u32(field string) uint32 {
	if c.err != nil || c.left() < 4 {
		c.cut(field, 4)
		return 0
	}
	c.off += 4
	return binary.LittleEndian.Uint32(c.p[c.off-4:])
}

// u64 reads eight bytes, little-endian.
func (c *cursor) u64(field string) uint64 {
	if c.err != nil || c.left() < 8 {
		c.cut(field, 8)
		return 0
	}
	c.off += 8
	return binary.LittleEndian.Uint64(c.p[c.off-8:])
}

// uvarint reads a number of up to 64 bits, seven per byte, lowest first. It refuses an encoding
// that is longer than needed: every value has one encoding.
func (c *cursor) uvarint(field string) uint64 {
	if c.err != nil {
		return 0
	}
	if c.left() > 0 && c.p[c.off] < 0x80 {
		c.off++
		return uint64(c.p[c.off-1])
	}
	v, n := binary.Uvarint(c.p[c.off:])
	switch {
	case n == 0:
		c.cut(field, c.left()+1)
		return 0
	case n < 0:
		c.fail(field, c.off, "a number of at most 64 bits", "a longer one")
		return 0
	case n > 1 && c.p[c.off+n-1] == 0:
		c.fail(field, c.off, "the shortest encoding of "+strconv.FormatUint(v, 10), strconv.Itoa(n)+" bytes")
		return 0
	}
	c.off += n
	return v
}

// uvarint32 reads a number of up to 32 bits.
func (c *cursor) uvarint32(field string) uint32 {
	at := c.off
	v := c.uvarint(field)
	if v > 1<<32-1 {
		c.fail(field, at, "a number of at most 32 bits", strconv.FormatUint(v, 10))
		return 0
	}
	return uint32(v)
}

// count reads how many values of at least size bytes follow; more than the rest could hold, or
// more than most, is an error. So the caller may allocate that many.
func (c *cursor) count(field string, size, most int) int {
	at := c.off
	v := c.uvarint(field)
	if c.err != nil {
		return 0
	}
	if bound := uint64(min(c.left()/size, most)); v > bound {
		c.fail(field, at, fmt.Sprintf("a count of at most %d", bound), strconv.FormatUint(v, 10))
		return 0
	}
	return int(v)
}

// bytes reads the next n bytes without copying. n of zero gives nil.
func (c *cursor) bytes(field string, n uint64) []byte {
	if c.err != nil || n == 0 {
		return nil
	}
	if n > uint64(c.left()) {
		c.fail(field, c.off, strconv.FormatUint(n, 10)+" bytes", strconv.Itoa(c.left())+" bytes")
		return nil
	}
	c.off += int(n)
	return c.p[c.off-int(n) : c.off : c.off]
}

// text reads a length and that many bytes, at most most of them, as a string of their own.
func (c *cursor) text(field string, most int) string {
	at := c.off
	n := c.uvarint(field)
	if n > uint64(most) {
		c.fail(field, at, fmt.Sprintf("at most %d bytes", most), strconv.FormatUint(n, 10)+" bytes")
		return ""
	}
	return string(c.bytes(field, n))
}

// want refuses a byte or number that is not the one expected.
func (c *cursor) want(field string, at int, expected, found uint64) {
	if c.err == nil && expected != found {
		c.fail(field, at, strconv.FormatUint(expected, 10), strconv.FormatUint(found, 10))
	}
}

// version reads the format's version byte and refuses another than expected.
func (c *cursor) version(expected uint8) {
	at := c.off
	if v := c.u8("version"); v != expected {
		c.fail("version", at, "version "+strconv.Itoa(int(expected)), "version "+strconv.Itoa(int(v)))
	}
}

// flag reads a byte that is 0 or 1.
func (c *cursor) flag(field string) bool {
	at := c.off
	v := c.u8(field)
	if v > 1 {
		c.fail(field, at, "0 or 1", strconv.Itoa(int(v)))
	}
	return v == 1
}

// end refuses bytes behind the value.
func (c *cursor) end() {
	if c.err == nil && c.left() > 0 {
		c.fail("end", c.off, "no more bytes", strconv.Itoa(c.left())+" more")
	}
}

// assertf panics unless ok: the caller handed over a value that no decoder would take back.
func assertf(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf("A7: "+format, args...))
	}
}

// appendText appends the length of s and s, which has at most most bytes.
func appendText(dst []byte, what, s string, most int) []byte {
	if len(s) > most {
		panic(fmt.Sprintf("A7: %s has %d bytes, more than %d", what, len(s), most))
	}
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendFlag appends 0 or 1.
func appendFlag(dst []byte, on bool) []byte {
	if on {
		return append(dst, 1)
	}
	return append(dst, 0)
}
