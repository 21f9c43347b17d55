package wire

import (
	"encoding/binary"

	"github.com/lockstep-rsm/lockstep/raft"
)

// SegmentHead is what the first and the last blocks of a segment hold: where the log came from, and
// all that is known of every group but its entries.
type SegmentHead struct {
	Cluster [16]byte
	Host    raft.HostID
	Boot    string // of the operating system; empty: unknown
	Blocks  uint32 // of the whole file
	Opening bool   // written by an open: all it names is durable
	Before  []SegmentBefore
	Groups  []GroupHead
	// The batch before the head, as a repeat: RecordRepeat and its records, encoded. Empty: there
	// is none.
	Repeat []byte
}

// SegmentBefore names one segment of the chain, oldest first. A named end is no promise.
type SegmentBefore struct {
	File     uint64 // the number in its name
	Life     uint64
	Position uint64 // of its head
	Data     uint64 // of its first batch
	End      uint64 // behind its last batch
	Blocks   uint32 // of the whole file
}

// GroupHead is one group as a head repeats it.
type GroupHead struct {
	Group     raft.GroupID
	Birth     raft.Birth
	Destroyed bool   // nothing else is set
	Condition uint8  // wal.Condition, uncured
	Since     uint64 // position of the first head that said so
	Why       string
	Hard      raft.HardState
	Last      raft.Identity // of the last entry, or of the base; zero: neither

	Base              raft.Identity // zero: the log begins with index 1
	BaseConfiguration []byte
	BaseIndex         raft.Index // of BaseConfiguration's entry

	Newest      []byte // the payload of the newest configuration entry behind the base; empty: none
	NewestIndex raft.Index

	Holes []raft.Identity // entries whose payload is rotten
}

// maxWhy bounds a condition's reason, in bytes.
const maxWhy = 1 << 10

// AppendSegmentHead appends the encoded head. Groups follow as records, then Repeat.
func AppendSegmentHead(dst []byte, h *SegmentHead) []byte {
	dst = append(dst, h.Cluster[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Host))
	dst = appendText(dst, "boot id", h.Boot, 255)
	dst = binary.LittleEndian.AppendUint32(dst, h.Blocks)
	dst = appendFlag(dst, h.Opening)
	dst = binary.AppendUvarint(dst, uint64(len(h.Before)))
	for i := range h.Before {
		b := &h.Before[i]
		for _, v := range [...]uint64{b.File, b.Life, b.Position, b.Data, b.End} {
			dst = binary.LittleEndian.AppendUint64(dst, v)
		}
		dst = binary.LittleEndian.AppendUint32(dst, b.Blocks)
	}
	dst = binary.AppendUvarint(dst, uint64(len(h.Groups)))
	for i := range h.Groups {
		dst = appendGroupHead(dst, &h.Groups[i])
	}
	return append(dst, h.Repeat...)
}

func appendGroupHead(dst []byte, g *GroupHead) []byte {
	start := len(dst)
	dst = appendGroup(appendRecordHeader(dst, RecordGroup, 0), g.Group, g.Birth)
	dst = appendFlag(dst, g.Destroyed)
	dst = append(dst, g.Condition)
	dst = binary.LittleEndian.AppendUint64(dst, g.Since)
	dst = appendText(dst, "reason of a condition", g.Why, maxWhy)
	dst = AppendHardState(dst, g.Hard)
	dst = AppendIdentity(dst, &g.Last)
	dst = AppendIdentity(dst, &g.Base)
	dst = binary.AppendUvarint(dst, uint64(g.BaseIndex))
	dst = appendBlob(dst, g.BaseConfiguration)
	dst = binary.AppendUvarint(dst, uint64(g.NewestIndex))
	dst = appendBlob(dst, g.Newest)
	dst = binary.AppendUvarint(dst, uint64(len(g.Holes)))
	for i := range g.Holes {
		dst = AppendIdentity(dst, &g.Holes[i])
	}
	binary.LittleEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-RecordHeaderSize))
	return dst
}

func appendBlob(dst, p []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(p))), p...)
}

// DecodeSegmentHead reads a head. Its slices alias p.
func DecodeSegmentHead(p []byte) (h SegmentHead, err error) {
	c := cursor{what: "segment head", p: p}
	copy(h.Cluster[:], c.bytes("cluster", 16))
	h.Host = raft.HostID(c.u64("host"))
	h.Boot = c.text("boot id", 255)
	h.Blocks = c.u32("blocks")
	h.Opening = c.flag("opening")
	h.Before = make([]SegmentBefore, c.count("segments before", 44, MaxBatchBlocks))
	for i := range h.Before {
		b := &h.Before[i]
		for _, v := range [...]*uint64{&b.File, &b.Life, &b.Position, &b.Data, &b.End} {
			*v = c.u64("segment before")
		}
		b.Blocks = c.u32("segment before")
	}
	n := c.count("groups", RecordHeaderSize+16, 1<<31-1)
	if c.err != nil {
		return SegmentHead{}, c.err
	}
	rest := p[c.off:]
	for range n {
		var r Record
		if r, rest, err = DecodeRecord(rest); err != nil {
			return SegmentHead{}, err
		}
		g, err := decodeGroupHead(&r)
		if err != nil {
			return SegmentHead{}, err
		}
		h.Groups = append(h.Groups, g)
	}
	h.Repeat = rest
	return h, nil
}

func decodeGroupHead(r *Record) (g GroupHead, err error) {
	c := cursor{what: "group in a segment head", p: r.Body}
	if r.Kind != RecordGroup {
		c.fail("kind", 0, "a group", "another record")
	}
	g.Group = raft.GroupID(c.u64("group"))
	g.Birth = raft.Birth(c.u64("birth"))
	g.Destroyed = c.flag("destroyed")
	g.Condition = c.u8("condition")
	g.Since = c.u64("since")
	g.Why = c.text("reason", maxWhy)
	g.Hard = raft.HardState{Term: raft.Term(c.u64("term")), Vote: raft.ReplicaID(c.u64("vote"))}
	g.Last = c.identity("last")
	g.Base = c.identity("base")
	g.BaseIndex = raft.Index(c.uvarint("base's configuration"))
	g.BaseConfiguration = c.blob("base's configuration")
	g.NewestIndex = raft.Index(c.uvarint("newest configuration"))
	g.Newest = c.blob("newest configuration")
	g.Holes = make([]raft.Identity, c.count("holes", IdentitySize, 1<<31-1))
	for i := range g.Holes {
		g.Holes[i] = c.identity("hole")
	}
	c.end()
	if c.err != nil {
		return GroupHead{}, c.err
	}
	return g, nil
}

// blob reads a length and that many bytes, without copying.
func (c *cursor) blob(field string) []byte { return c.bytes(field, c.uvarint(field)) }

// identity reads one identity.
func (c *cursor) identity(field string) raft.Identity {
	p := c.bytes(field, IdentitySize)
	if c.err != nil {
		return raft.Identity{}
	}
	id, _, err := DecodeIdentity(p)
	if err != nil {
		c.fail(field, c.off-IdentitySize, "an identity", err.Error())
	}
	return id
}
