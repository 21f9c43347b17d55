package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A segment is a sequence of blocks. Each is a frame of its own: header, body, checksum over both.
// docs/formats/wal.md has the table.
const (
	BlockSize       = 4096
	BlockHeaderSize = 40
	BlockBodySize   = BlockSize - BlockHeaderSize
	// MaxBatchBlocks bounds one batch: part and count are 16 bits.
	MaxBatchBlocks = 1<<16 - 1

	segmentFormat = 1
	blockMagic    = 0x3157534c // "LSW1"
)

// BlockKind says what a run of blocks is. Unknown kinds are refused.
type BlockKind uint8

// The kinds of blocks.
const (
	BlockHead   BlockKind = 1 // the segment's head, in its first blocks
	BlockMirror BlockKind = 2 // the same bytes again, in its last blocks
	BlockBatch  BlockKind = 3
)

// ErrUnsupported is the error, by errors.Is, of intact bytes that a newer version has written.
var ErrUnsupported = errors.New("written by a newer version")

var segmentTable = crc32.MakeTable(crc32.Castagnoli)

// Block is one decoded block. Body aliases what was decoded.
type Block struct {
	Kind     BlockKind
	Part     uint16 // of Count blocks that one write brought
	Count    uint16
	Life     uint64 // of the process that wrote it
	Position uint64 // of this block, over all lives
	Synced   uint64 // everything written below this position was durable when this was written
	Body     []byte // the bytes in use
}

// DecodeBlock reads the block at the start of p. Life and position are for the caller to compare:
// a stale block is as valid as any.
func DecodeBlock(p []byte) (b Block, err error) {
	if len(p) < BlockSize {
		return b, short("block", 0, BlockSize, len(p))
	}
	p = p[:BlockSize]
	le := binary.LittleEndian
	if m := le.Uint32(p); m != blockMagic {
		return b, &CorruptError{What: "block's magic", Expected: fmt.Sprintf("%#x", blockMagic), Found: fmt.Sprintf("%#x", m)}
	}
	if want, have := le.Uint32(p[4:]), crc32.Checksum(p[8:], segmentTable); want != have {
		return b, &CorruptError{What: "block's checksum", Offset: 4, Expected: fmt.Sprintf("%#x", want), Found: fmt.Sprintf("%#x", have)}
	}
	if p[8] != segmentFormat || p[9] < uint8(BlockHead) || p[9] > uint8(BlockBatch) {
		return b, fmt.Errorf("decode block of format %d, kind %d: %w", p[8], p[9], ErrUnsupported)
	}
	used := int(le.Uint16(p[10:]))
	b = Block{
		Kind: BlockKind(p[9]), Part: le.Uint16(p[12:]), Count: le.Uint16(p[14:]),
		Life: le.Uint64(p[16:]), Position: le.Uint64(p[24:]), Synced: le.Uint64(p[32:]),
	}
	if used > BlockBodySize || b.Part >= b.Count || b.Part+1 < b.Count && used != BlockBodySize {
		return Block{}, &CorruptError{
			What: "block's part, count and length", Offset: 10, Expected: "a part of a batch",
			Found: fmt.Sprintf("part %d of %d, %d bytes", b.Part, b.Count, used),
		}
	}
	b.Body = p[BlockHeaderSize : BlockHeaderSize+used]
	return b, nil
}

// IsZero says whether the block at the start of p holds zeroes only, as before its first use.
func IsZero(p []byte) bool {
	return p[0] == 0 && bytes.Equal(p[1:BlockSize], p[:BlockSize-1]) // the first is, and each is as the one before it
}

// Batch builds one batch in place: bytes written to it land in block bodies, so that Seal has only
// headers to fill in. It is reused by Reset.
type Batch struct {
	alloc func(n int) []byte
	buf   []byte
	n     int // bytes of the stream so far
}

// NewBatch returns an empty batch whose memory comes from alloc (aligned, for direct writes).
func NewBatch(alloc func(n int) []byte) *Batch { return &Batch{alloc: alloc} }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { b.n = 0 }

// Len is the number of bytes written so far.
func (b *Batch) Len() int { return b.n }

// Write copies p behind what was written before.
func (b *Batch) Write(p []byte) {
	if need := BlocksFor(b.n+len(p)) * BlockSize; need > len(b.buf) {
		grown := b.alloc(max(need, 2*len(b.buf), 16*BlockSize))
		copy(grown, b.buf)
		b.buf = grown
	}
	for len(p) > 0 {
		at := b.n%BlockBodySize + BlockHeaderSize
		start := b.n / BlockBodySize * BlockSize
		k := copy(b.buf[start+at:start+BlockSize], p)
		b.n += k
		p = p[k:]
	}
}

// BlocksFor is how many blocks a batch of n bytes takes; an empty one takes one.
func BlocksFor(n int) int { return max(1, (n+BlockBodySize-1)/BlockBodySize) }

// Blocks is how many blocks the batch takes now.
func (b *Batch) Blocks() int { return BlocksFor(b.n) }

// Seal pads the batch, fills in the headers and returns the blocks, valid until the next Write or
// Reset. It may be called again with other numbers.
func (b *Batch) Seal(kind BlockKind, life, position, synced uint64) []byte {
	count := b.Blocks()
	if count > MaxBatchBlocks {
		panic(fmt.Sprintf("W2: batch of %d blocks, at most %d", count, MaxBatchBlocks))
	}
	if len(b.buf) < BlockSize {
		b.buf = b.alloc(BlockSize)
	}
	le := binary.LittleEndian
	for i := range count {
		p := b.buf[i*BlockSize : (i+1)*BlockSize]
		used := min(BlockBodySize, b.n-i*BlockBodySize)
		clear(p[BlockHeaderSize+used:])
		le.PutUint32(p, blockMagic)
		p[8], p[9] = segmentFormat, byte(kind)
		le.PutUint16(p[10:], uint16(used))
		le.PutUint16(p[12:], uint16(i))
		le.PutUint16(p[14:], uint16(count))
		le.PutUint64(p[16:], life)
		le.PutUint64(p[24:], position+uint64(i))
		le.PutUint64(p[32:], synced)
		le.PutUint32(p[4:], crc32.Checksum(p[8:], segmentTable))
	}
	return b.buf[:count*BlockSize]
}
