package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// SnapshotFormat is the version of the snapshot file. Version 1: the first.
// docs/formats/snapshot.md.
const SnapshotFormat = 1

const (
	snapshotMagic = 0x5350414e534b534c // "LSKSNAPS" as bytes
	chunkMagic    = 0x4b4e4843         // "CHNK" as bytes
	footerMagic   = 0x4c494154         // "TAIL" as bytes
)

// Sizes of the parts of a snapshot file, in bytes.
const (
	SnapshotPrefixSize = 16      // magic, format, length of the header, before it
	SnapshotChunkBytes = 1 << 20 // of the machine's bytes in each chunk but the last
	ChunkHeaderSize    = 24
	FooterSize         = 32
	// MaxSnapshotHeaderBytes bounds an encoded header, nearly all of it sessions.
	MaxSnapshotHeaderBytes = 64 << 20
	MaxSessionsBytes       = MaxSnapshotHeaderBytes - 1<<20
)

// SnapshotHeader is what a snapshot says of itself, before the machine's bytes. Group, birth and
// index are in Meta.Identity.
type SnapshotHeader struct {
	Format           uint32
	Cluster          [16]byte
	Epoch            uint64
	Meta             raft.SnapshotMeta // identity, digest and configuration as of the last entry covered
	Chain            raft.Digest       // digest chain at the mark
	MachineDigest    raft.Digest       // the machine's own
	HasMachineDigest bool
	FeatureLevel     uint32
	Machine          string // name of the machine's kind
	MachineVersion   uint32
	Time             raft.Time // log time at the last entry
	Sessions         []byte    // the table of sessions and tokens, as its room encodes it
	Secret           uint64    // the group's, from which seeds of commands derive
}

// AppendSnapshotHeader appends h with prefix and checksum: the head of a snapshot file. It panics
// if Meta.Sum is not the digest of Meta.Identity.
func AppendSnapshotHeader(dst []byte, h *SnapshotHeader) []byte {
	assertf(h.Format == SnapshotFormat, "snapshot header of format %d", h.Format)
	assertf(len(h.Sessions) <= MaxSessionsBytes, "sessions of %d bytes, at most %d", len(h.Sessions), MaxSessionsBytes)
	assertf(h.Meta.Sum == h.Meta.Identity.Digest(), "snapshot of entry %v says %v", h.Meta.Identity.Digest(), h.Meta.Sum)
	start := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, snapshotMagic)
	dst = binary.LittleEndian.AppendUint32(dst, h.Format)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, h.Cluster[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, h.Epoch)
	dst = AppendIdentity(dst, &h.Meta.Identity)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Meta.Sum))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Meta.Configuration.Index))
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = AppendConfiguration(dst, &h.Meta.Configuration)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Chain))
	dst = appendFlag(dst, h.HasMachineDigest)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.MachineDigest))
	dst = binary.LittleEndian.AppendUint32(dst, h.FeatureLevel)
	dst = appendText(dst, "machine name", h.Machine, MaxMachineBytes)
	dst = binary.LittleEndian.AppendUint32(dst, h.MachineVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Time))
	dst = binary.LittleEndian.AppendUint64(dst, h.Secret)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(h.Sessions)))
	dst = append(dst, h.Sessions...)
	binary.LittleEndian.PutUint32(dst[start+12:], uint32(len(dst)-start-SnapshotPrefixSize))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// ParseSnapshotPrefix reads the first SnapshotPrefixSize bytes of a snapshot file and says how
// long its whole head is, prefix and checksum included; at most MaxSnapshotHeaderBytes.
func ParseSnapshotPrefix(p []byte) (size int, err error) {
	c := cursor{what: "snapshot header", p: p}
	c.want("magic", 0, snapshotMagic, c.u64("magic"))
	c.want("format", 8, SnapshotFormat, uint64(c.u32("format")))
	n := c.u32("length")
	if c.err == nil && n > MaxSnapshotHeaderBytes-SnapshotPrefixSize-4 {
		c.fail("length", 12, fmt.Sprintf("at most %d bytes", MaxSnapshotHeaderBytes-SnapshotPrefixSize-4), fmt.Sprint(n))
	}
	if c.err != nil {
		return 0, c.err
	}
	return SnapshotPrefixSize + int(n) + 4, nil
}

// DecodeSnapshotHeader reads the head of a snapshot file and returns the bytes behind it. Sessions
// alias p.
func DecodeSnapshotHeader(p []byte) (h SnapshotHeader, rest []byte, err error) {
	size, err := ParseSnapshotPrefix(p)
	if err != nil {
		return h, nil, err
	}
	if len(p) < size {
		return h, nil, short("snapshot header", 0, size, len(p))
	}
	end := size - 4
	if sum, got := crc32.Checksum(p[:end], castagnoli), binary.LittleEndian.Uint32(p[end:]); sum != got {
		return h, nil, &CorruptError{
			What: "snapshot header's checksum", Offset: end,
			Expected: fmt.Sprintf("%08x", sum), Found: fmt.Sprintf("%08x", got),
		}
	}
	c := cursor{what: "snapshot header", p: p[:end], off: SnapshotPrefixSize}
	h.Format = SnapshotFormat
	h.Cluster = c.cluster()
	h.Epoch = c.u64("epoch")
	c.snapshotMeta(&h.Meta)
	h.Chain = raft.Digest(c.u64("digest chain"))
	h.HasMachineDigest = c.flag("machine digest's presence")
	h.MachineDigest = raft.Digest(c.u64("machine digest"))
	h.FeatureLevel = c.u32("feature level")
	h.Machine = c.text("machine name", MaxMachineBytes)
	h.MachineVersion = c.u32("machine version")
	h.Time = raft.Time(c.u64("log time"))
	h.Secret = c.u64("secret")
	h.Sessions = c.bytes("sessions", uint64(c.u32("sessions' length")))
	c.end()
	if c.err != nil {
		return SnapshotHeader{}, nil, c.err
	}
	return h, p[size:], nil
}

// snapshotMeta reads identity, digest and configuration, and verifies the digest.
func (c *cursor) snapshotMeta(m *raft.SnapshotMeta) {
	at := c.off
	id := c.bytes("identity", IdentitySize)
	m.Sum = raft.Digest(c.u64("identity's digest"))
	m.Configuration.Index = raft.Index(c.u64("configuration's index"))
	n := c.u32("configuration's length")
	confAt := c.off
	conf := c.bytes("configuration", uint64(n))
	if c.err != nil {
		return
	}
	var err error
	if m.Identity, _, err = DecodeIdentity(id); err != nil {
		c.err = fmt.Errorf("snapshot header at offset %d: %w", at, err)
		return
	}
	if sum := m.Identity.Digest(); sum != m.Sum {
		c.fail("identity's digest", at+IdentitySize, sum.String(), m.Sum.String())
	}
	index := m.Configuration.Index
	if m.Configuration, err = DecodeConfiguration(conf); err != nil {
		c.err = fmt.Errorf("snapshot header at offset %d: %w", confAt, err)
		return
	}
	m.Configuration.Index = index
}

// ChunkHeader stands before each chunk of a snapshot file.
type ChunkHeader struct {
	Index  uint64 // the first is 0
	Length uint32 // of the chunk's bytes; SnapshotChunkBytes in all but the last
}

// PutChunkHeader writes the header of data, the index-th chunk, into the first ChunkHeaderSize
// bytes of dst.
func PutChunkHeader(dst []byte, index uint64, data []byte) {
	assertf(len(data) > 0 && len(data) <= SnapshotChunkBytes, "chunk of %d bytes", len(data))
	binary.LittleEndian.PutUint32(dst, chunkMagic)
	binary.LittleEndian.PutUint32(dst[4:], uint32(len(data)))
	binary.LittleEndian.PutUint64(dst[8:], index)
	sum := crc32.Checksum(dst[:16], castagnoli)
	binary.LittleEndian.PutUint32(dst[16:], sum)
	binary.LittleEndian.PutUint32(dst[20:], crc32.Update(sum, castagnoli, data))
}

// IsFooter says whether p begins a footer rather than a chunk.
func IsFooter(p []byte) bool {
	return len(p) >= 4 && binary.LittleEndian.Uint32(p) == footerMagic
}

// ParseChunkHeader reads the header of the index-th chunk. Its own checksum is verified, so Length
// can be trusted.
func ParseChunkHeader(p []byte, index uint64) (ChunkHeader, error) {
	c := cursor{what: fmt.Sprintf("snapshot chunk %d", index), p: p}
	c.want("magic", 0, chunkMagic, uint64(c.u32("magic")))
	h := ChunkHeader{Length: c.u32("length"), Index: c.u64("index")}
	sum := c.u32("header checksum")
	c.u32("checksum")
	if c.err == nil {
		if got := crc32.Checksum(p[:16], castagnoli); got != sum {
			c.fail("header checksum", 16, fmt.Sprintf("%08x", got), fmt.Sprintf("%08x", sum))
		}
	}
	c.want("index", 8, index, h.Index)
	if c.err == nil && (h.Length == 0 || h.Length > SnapshotChunkBytes) {
		c.fail("length", 4, fmt.Sprintf("1 to %d bytes", SnapshotChunkBytes), fmt.Sprint(h.Length))
	}
	return h, c.err
}

// VerifyChunk checks data against head, the chunk's encoded header.
func VerifyChunk(head, data []byte) error {
	sum := crc32.Update(binary.LittleEndian.Uint32(head[16:]), castagnoli, data)
	if got := binary.LittleEndian.Uint32(head[20:]); got != sum {
		return &CorruptError{
			What: fmt.Sprintf("snapshot chunk %d's checksum", binary.LittleEndian.Uint64(head[8:])), Offset: 20,
			Expected: fmt.Sprintf("%08x", sum), Found: fmt.Sprintf("%08x", got),
		}
	}
	return nil
}

// ChainStart is the digest that a snapshot's chain of chunks begins with: of its encoded head.
func ChainStart(head []byte) raft.Digest { return raft.Digest(digest.Sum(head)) }

// ChainNext adds the digest of the next chunk's bytes to the chain.
func ChainNext(chain raft.Digest, data []byte) raft.Digest {
	return raft.Digest(digest.Mix(uint64(chain), digest.Sum(data)))
}

// Footer ends a snapshot file.
type Footer struct {
	Chunks uint32
	Total  uint64      // of the machine's bytes
	Digest raft.Digest // the chain over head and chunks
}

// AppendFooter appends f.
func AppendFooter(dst []byte, f *Footer) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, footerMagic)
	dst = binary.LittleEndian.AppendUint32(dst, f.Chunks)
	dst = binary.LittleEndian.AppendUint64(dst, f.Total)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.Digest))
	dst = append(dst, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// DecodeFooter reads a footer that fills p.
func DecodeFooter(p []byte) (Footer, error) {
	c := cursor{what: "snapshot footer", p: p}
	c.want("magic", 0, footerMagic, uint64(c.u32("magic")))
	f := Footer{Chunks: c.u32("count"), Total: c.u64("total"), Digest: raft.Digest(c.u64("digest"))}
	c.want("reserved bytes", 24, 0, uint64(c.u32("reserved bytes")))
	sum := c.u32("checksum")
	c.end()
	if c.err == nil {
		if got := crc32.Checksum(p[:FooterSize-4], castagnoli); got != sum {
			c.fail("checksum", FooterSize-4, fmt.Sprintf("%08x", got), fmt.Sprintf("%08x", sum))
		}
	}
	if c.err != nil {
		return Footer{}, c.err
	}
	return f, nil
}
