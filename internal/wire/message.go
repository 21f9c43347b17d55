package wire

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/lockstep-rsm/lockstep/raft"
)

// messageVersion 1: the first. docs/formats/message.md.
const messageVersion = 1

// Presence bits of a message: a field is in the bytes iff it is not zero. Reject, Transfer,
// WantMark, Quiet and Leased are their bits.
const (
	hasPrev = 1 << iota
	hasPrevSum
	hasEntries
	hasCommit
	hasRound
	hasIndex
	hasReject
	hasTransfer
	hasHint
	hasToken
	hasMark
	hasAgreed
	hasWantMark
	hasQuiet
	hasLeased
	hasMore     // of the second byte of them
	knownFields = 1<<iota - 1
)

// Presence bits of the second byte, which is there iff one of them is set.
const (
	hasUnfit = 1 << iota
	hasTimeout
	knownMore = 1<<iota - 1
)

// entrySize is the least length of an entry in a message.
const entrySize = 28

// messageSizeMost is the longest head of a message, without its entries.
const messageSizeMost = 256

// entrySizeMost is the longest head of an entry in a message.
const entrySizeMost = 48

// AppendMessage appends m. Payloads are copied once, into dst. ToHost is not sent. It panics on
// entries that are not loaded, or do not follow Prev and PrevSum in one chain.
func AppendMessage(dst []byte, m *raft.Message) []byte {
	if !m.Type.Known() {
		panic(fmt.Sprintf("A7: message of unknown type %d", m.Type))
	}
	fields, more := messageFields(m)
	dst = append(dst, messageVersion, byte(m.Type))
	dst = binary.LittleEndian.AppendUint16(dst, fields)
	dst = binary.AppendUvarint(dst, uint64(m.Group))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Birth))
	dst = binary.AppendUvarint(dst, uint64(m.From))
	dst = binary.AppendUvarint(dst, uint64(m.To))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.FromIncarnation))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.ToIncarnation))
	dst = binary.AppendUvarint(dst, uint64(m.Term))
	if fields&hasMore != 0 {
		dst = append(dst, more)
	}
	if fields&hasPrev != 0 {
		dst = appendPosition(dst, m.Prev)
	}
	if fields&hasPrevSum != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(m.PrevSum))
	}
	if fields&hasCommit != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.Commit))
	}
	if fields&hasRound != 0 {
		dst = binary.AppendUvarint(dst, m.Round)
	}
	if fields&hasIndex != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.Index))
	}
	if fields&hasHint != 0 {
		dst = appendPosition(dst, m.Hint)
	}
	if fields&hasToken != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, m.Token)
	}
	if fields&hasMark != 0 {
		dst = appendMark(dst, m.Mark)
	}
	if fields&hasAgreed != 0 {
		dst = appendMark(dst, m.Agreed)
	}
	if more&hasTimeout != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.Timeout))
	}
	if fields&hasEntries != 0 {
		dst = appendEntries(dst, m)
	}
	return dst
}

func messageFields(m *raft.Message) (fields uint16, more uint8) {
	if m.Unfit {
		more |= hasUnfit
	}
	if m.Timeout != 0 {
		more |= hasTimeout
	}
	set := func(on bool, bit uint16) {
		if on {
			fields |= bit
		}
	}
	set(m.Prev != raft.Position{}, hasPrev)
	set(m.PrevSum != 0, hasPrevSum)
	set(len(m.Entries) > 0, hasEntries)
	set(m.Commit != 0, hasCommit)
	set(m.Round != 0, hasRound)
	set(m.Index != 0, hasIndex)
	set(m.Reject, hasReject)
	set(m.Transfer, hasTransfer)
	set(m.Hint != raft.Position{}, hasHint)
	set(m.Token != 0, hasToken)
	set(m.Mark != raft.Mark{}, hasMark)
	set(m.Agreed != raft.Mark{}, hasAgreed)
	set(m.WantMark, hasWantMark)
	set(m.Quiet, hasQuiet)
	set(m.Leased, hasLeased)
	set(more != 0, hasMore)
	return fields, more
}

func appendPosition(dst []byte, p raft.Position) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.Term))
	return binary.AppendUvarint(dst, uint64(p.Index))
}

func appendMark(dst []byte, m raft.Mark) []byte {
	dst = binary.AppendUvarint(dst, uint64(m.Index))
	return binary.LittleEndian.AppendUint64(dst, uint64(m.Digest))
}

// appendEntries appends what the message does not say already: group, birth, index and the
// previous digest of an entry follow from its place. Sum covers them all, so a reader finds every
// difference.
func appendEntries(dst []byte, m *raft.Message) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m.Entries)))
	prev, index := m.PrevSum, m.Prev.Index
	for i := range m.Entries {
		e := &m.Entries[i]
		index++
		if e.Group != m.Group || e.Birth != m.Birth || e.Index != index || e.Prev != prev || int(e.Length) != len(e.Data) {
			panic(fmt.Sprintf("A7: entry %+v with %d bytes in memory, at the place of %d/%x/%d after digest %v in a message",
				e.Identity, len(e.Data), m.Group, m.Birth, index, prev))
		}
		prev = e.Sum
		dst = append(dst, byte(e.Kind), byte(e.Flags))
		dst = binary.AppendUvarint(dst, uint64(e.Term))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Time))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Sum))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Payload))
		dst = binary.AppendUvarint(dst, uint64(e.Length))
		dst = append(dst, e.Data...)
	}
	return dst
}

// DecodeMessage reads one message and returns the bytes behind it. The entries' Data alias p. Each
// entry's payload, length, place and previous digest are verified against its Sum.
func DecodeMessage(p []byte) (m raft.Message, rest []byte, err error) {
	c := cursor{what: "message", p: p}
	c.message(&m)
	if c.err != nil {
		return raft.Message{}, nil, c.err
	}
	return m, p[c.off:], nil
}

func (c *cursor) message(m *raft.Message) {
	c.version(messageVersion)
	at := c.off
	if m.Type = raft.MessageType(c.u8("type")); !m.Type.Known() {
		c.fail("type", at, "a known type", fmt.Sprint(uint8(m.Type)))
	}
	fields := c.u16("fields")
	if fields&^knownFields != 0 {
		c.fail("fields", at+1, "known fields", fmt.Sprintf("%#x", fields))
	}
	m.Group = raft.GroupID(c.uvarint("group"))
	m.Birth = raft.Birth(c.u64("birth"))
	m.From = raft.ReplicaID(c.uvarint("sender"))
	m.To = raft.ReplicaID(c.uvarint("addressee"))
	m.FromIncarnation = raft.Incarnation(c.u64("sender's incarnation"))
	m.ToIncarnation = raft.Incarnation(c.u64("addressee's incarnation"))
	m.Term = raft.Term(c.uvarint("term"))
	more := c.more(fields)
	m.Unfit = more&hasUnfit != 0
	if fields&hasPrev != 0 {
		m.Prev = c.position("previous position")
	}
	if fields&hasPrevSum != 0 {
		m.PrevSum = raft.Digest(c.u64("previous digest"))
	}
	if fields&hasCommit != 0 {
		m.Commit = raft.Index(c.uvarint("commit"))
	}
	if fields&hasRound != 0 {
		m.Round = c.uvarint("round")
	}
	if fields&hasIndex != 0 {
		m.Index = raft.Index(c.uvarint("index"))
	}
	m.Reject = fields&hasReject != 0
	m.Transfer = fields&hasTransfer != 0
	m.WantMark = fields&hasWantMark != 0
	m.Quiet = fields&hasQuiet != 0
	m.Leased = fields&hasLeased != 0
	if fields&hasHint != 0 {
		m.Hint = c.position("hint")
	}
	if fields&hasToken != 0 {
		m.Token = c.u64("token")
	}
	if fields&hasMark != 0 {
		m.Mark = c.mark("mark")
	}
	if fields&hasAgreed != 0 {
		m.Agreed = c.mark("agreed mark")
	}
	if more&hasTimeout != 0 {
		m.Timeout = c.timeout()
	}
	if fields&hasEntries != 0 {
		c.entries(m)
	}
	if want, also := messageFields(m); c.err == nil && (want != fields || also != more) {
		c.fail("fields", at+1, fmt.Sprintf("%#x and %#x, as no field sent is zero", want, also), fmt.Sprintf("%#x and %#x", fields, more))
	}
}

// timeout reads one in nanoseconds.
func (c *cursor) timeout() int64 {
	at := c.off
	t := c.uvarint("timeout")
	if t > math.MaxInt64 {
		c.fail("timeout", at, "nanoseconds", fmt.Sprint(t))
	}
	return int64(t)
}

// more reads the second byte of presence bits, if there is one.
func (c *cursor) more(fields uint16) uint8 {
	if fields&hasMore == 0 {
		return 0
	}
	at := c.off
	more := c.u8("more fields")
	if more&^knownMore != 0 {
		c.fail("more fields", at, "known fields", fmt.Sprintf("%#x", more))
	}
	return more
}

func (c *cursor) position(field string) raft.Position {
	return raft.Position{Term: raft.Term(c.uvarint(field)), Index: raft.Index(c.uvarint(field))}
}

func (c *cursor) mark(field string) raft.Mark {
	return raft.Mark{Index: raft.Index(c.uvarint(field)), Digest: raft.Digest(c.u64(field))}
}

// entries reads the entries of m, whose head is complete.
func (c *cursor) entries(m *raft.Message) {
	n := c.count("entries", entrySize, c.left())
	if n == 0 {
		return
	}
	m.Entries = c.arena.take(int(n))
	prev, index := m.PrevSum, m.Prev.Index
	for i := range m.Entries {
		e := &m.Entries[i]
		index++
		at := c.off
		e.Group, e.Birth, e.Index, e.Prev = m.Group, m.Birth, index, prev
		e.Kind = raft.Kind(c.u8("entry kind"))
		e.Flags = raft.Flags(c.u8("entry flags"))
		e.Term = raft.Term(c.uvarint("entry term"))
		e.Time = raft.Time(c.u64("entry time"))
		e.Sum = raft.Digest(c.u64("entry digest"))
		e.Payload = raft.Digest(c.u64("entry payload's digest"))
		e.Length = c.uvarint32("entry length")
		e.Data = c.bytes("entry payload", uint64(e.Length))
		if c.err != nil {
			return
		}
		if e.Kind < raft.KindCommands || e.Kind > raft.KindConfiguration {
			c.fail("entry kind", at, "a kind from 1 to 4", fmt.Sprint(uint8(e.Kind)))
		}
		if e.Flags&^raft.FlagMark != 0 {
			c.fail("entry flags", at+1, "known flags", fmt.Sprintf("%#x", uint8(e.Flags)))
		}
		// An entry without payload may leave its digest zero.
		if d := PayloadDigest(e.Data); d != e.Payload && (e.Length > 0 || e.Payload != 0) {
			c.fail(fmt.Sprintf("entry %d's payload", e.Index), at, "digest "+e.Payload.String(), d.String())
		}
		if sum := e.Identity.Digest(); c.err == nil && sum != e.Sum {
			c.fail(fmt.Sprintf("entry %d's digest", e.Index), at, sum.String(), e.Sum.String())
		}
		prev = e.Sum
	}
}
