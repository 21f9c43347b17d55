package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// payloadVersion 1: the first. docs/formats/payload.md.
const payloadVersion = 1

// MaxCommandBytes is the longest command that a payload can hold.
const MaxCommandBytes = 1 << 30

// Flags of a section.
const sectionHasOrigin = 1

// commandHasSession, in a command's prefix, says that a session header stands before its bytes.
const commandHasSession = 1

// sectionCountAt is where, behind a section's start, its count stands: it is patched as the
// section grows.
const sectionCountAt = 1

// Origin says where a command was proposed: the Seq-th of process life Life on Host. The zero
// Host: on the leader's own host, which knows the position itself.
type Origin struct {
	Host raft.HostID
	Life uint64
	Seq  uint64
}

// follows says whether o is the place right behind n commands from q.
func (o Origin) follows(q Origin, n uint32) bool {
	if o.Host == 0 {
		return q.Host == 0
	}
	return o.Host == q.Host && o.Life == q.Life && o.Seq == q.Seq+uint64(n)
}

// A PayloadBuilder puts commands into the payload of one KindCommands entry. The zero value is
// ready. It is not safe for concurrent use.
type PayloadBuilder struct {
	buf     []byte
	count   int
	section int    // where the open section starts; 0: none, as the version stands there
	origin  Origin // of the open section's first command
	held    uint32 // commands in the open section
}

// Reset empties the builder and makes it write to buf's memory, from its start.
func (b *PayloadBuilder) Reset(buf []byte) { *b = PayloadBuilder{buf: buf[:0]} }

// Add appends a copy of c, proposed at o. Commands of one host and life with consecutive
// sequence numbers share a section, and so do neighbours without origin. It panics beyond
// MaxCommandBytes.
func (b *PayloadBuilder) Add(o Origin, c Command) {
	if o.Host == 0 {
		o = Origin{}
	}
	if len(b.buf) == 0 {
		b.buf = append(b.buf, payloadVersion)
	}
	if b.section == 0 || !o.follows(b.origin, b.held) {
		b.open(o)
	}
	b.held++
	b.count++
	binary.LittleEndian.PutUint32(b.buf[b.section+sectionCountAt:], b.held)
	b.buf = appendCommand(b.buf, c)
}

// appendCommand appends a command behind its length and flag.
func appendCommand(dst []byte, c Command) []byte {
	assertf(len(c.Data) <= MaxCommandBytes, "command of %d bytes, at most %d", len(c.Data), MaxCommandBytes)
	prefix := uint64(len(c.Data)) << 1
	if c.Session {
		prefix |= commandHasSession
	}
	dst = binary.AppendUvarint(dst, prefix)
	return append(dst, c.Data...)
}

// open starts a section.
func (b *PayloadBuilder) open(o Origin) {
	b.section, b.origin, b.held = len(b.buf), o, 0
	if o.Host == 0 {
		b.buf = append(b.buf, 0, 0, 0, 0, 0)
		return
	}
	b.buf = append(b.buf, sectionHasOrigin, 0, 0, 0, 0)
	b.buf = binary.AppendUvarint(b.buf, uint64(o.Host))
	b.buf = binary.LittleEndian.AppendUint64(b.buf, o.Life)
	b.buf = binary.AppendUvarint(b.buf, o.Seq)
}

// Count is how many commands were added.
func (b *PayloadBuilder) Count() int { return b.count }

// Len is the length of the payload so far, in bytes.
func (b *PayloadBuilder) Len() int { return len(b.buf) }

// Bytes is the payload, in the builder's memory: valid until the next Add or Reset, and the
// caller's for good if Reset then gets other memory. Without commands it is empty.
func (b *PayloadBuilder) Bytes() []byte { return b.buf }

// PayloadDigest is the digest of a payload as an entry's identity names it.
func PayloadDigest(p []byte) raft.Digest { return raft.Digest(digest.Sum(p)) }

// Commands goes through the commands of a payload, in order. Use it from one goroutine at a time.
type Commands struct {
	c       cursor
	command Command
	header  session.Header
	data    []byte // of the command, behind the header
	next    Origin // of the command after this one
	origin  Origin
	ordinal uint32 // of the command after this one
	left    uint32 // commands in the open section
}

// DecodePayload starts before the first command of p. Damage shows in Err, once Next is false.
func DecodePayload(p []byte) Commands {
	c := Commands{c: cursor{what: "payload", p: p}}
	if len(p) > 0 {
		c.c.version(payloadVersion)
	}
	return c
}

// Next goes to the next command and says whether there is one.
func (c *Commands) Next() bool {
	if c.c.err != nil {
		return false
	}
	if c.left == 0 {
		if c.c.left() == 0 || !c.section() {
			return false
		}
	}
	c.command = c.c.command()
	c.data, c.header = c.command.Data, session.Header{}
	if c.command.Session {
		c.readHeader()
	}
	if c.c.err != nil {
		c.command, c.data = Command{}, nil
		return false
	}
	c.origin = c.next
	if c.next.Host != 0 {
		c.next.Seq++
	}
	c.ordinal++
	c.left--
	return true
}

// readHeader reads the session header that the present command begins with.
func (c *Commands) readHeader() {
	h := cursor{what: "payload", p: c.c.p[:c.c.off], off: c.c.off - len(c.command.Data)}
	c.header = h.sessionHeader()
	at := h.off
	if c.data = h.bytes("command", uint64(h.left())); len(c.data) > 0 && !c.header.Kind.Carries() {
		h.fail("command", at, "no bytes behind the header of a "+c.header.Kind.String(), fmt.Sprint(len(c.data)))
	}
	c.c.err = h.err
}

// command reads a command behind its length and flag.
func (c *cursor) command() Command {
	at := c.off
	prefix := c.uvarint("command's length")
	if n := prefix >> 1; n > MaxCommandBytes {
		c.fail("command's length", at, fmt.Sprintf("at most %d bytes", MaxCommandBytes), fmt.Sprint(n))
	}
	return Command{Data: c.bytes("command", prefix>>1), Session: prefix&commandHasSession != 0}
}

// section reads a section's head.
func (c *Commands) section() bool {
	at := c.c.off
	flags := c.c.u8("section flags")
	if flags&^sectionHasOrigin != 0 {
		c.c.fail("section flags", at, "0 or 1", fmt.Sprintf("%#x", flags))
	}
	n := c.c.u32("section's count")
	c.next = Origin{}
	if flags&sectionHasOrigin != 0 {
		c.next = Origin{
			Host: raft.HostID(c.c.uvarint("origin's host")),
			Life: c.c.u64("origin's life"),
			Seq:  c.c.uvarint("origin's sequence"),
		}
		if c.next.Host == 0 {
			c.c.fail("origin's host", at, "a host", "0")
		}
		if c.next.Seq+uint64(n) < c.next.Seq {
			c.c.fail("origin's sequence", at, "one that does not wrap", fmt.Sprint(c.next.Seq))
		}
	}
	if n == 0 || int64(n) > int64(c.c.left()) {
		c.c.fail("section's count", at+sectionCountAt, fmt.Sprintf("1 to %d commands", c.c.left()), fmt.Sprint(n))
	}
	if c.c.err != nil {
		return false
	}
	c.left = n
	return true
}

// Data is the present command, without what it says to the table of sessions. It aliases the payload; an
// empty command is nil.
func (c *Commands) Data() []byte { return c.data }

// Session is what the present command says to the table of sessions. Kind zero: nothing.
func (c *Commands) Session() session.Header { return c.header }

// Command is the present command as it was proposed. It aliases the payload.
func (c *Commands) Command() Command { return c.command }

// Origin says where the present command was proposed. Host zero: unknown.
func (c *Commands) Origin() Origin { return c.origin }

// Ordinal is the place of the present command in its entry; the first is 0.
func (c *Commands) Ordinal() uint32 { return c.ordinal - 1 }

// Err is the error that ended Next, or nil at the payload's end.
func (c *Commands) Err() error { return c.c.err }
