package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
)

const (
	frameMagic   = 0x314b534c // "LSK1" as bytes
	frameVersion = 1
)

// FrameHeaderSize is the length of a frame's header, in bytes.
const FrameHeaderSize = 24

// MaxFrameBytes bounds every frame with its header, whatever an option says.
const MaxFrameBytes = 1 << 30

// Where the fields of a frame's header stand.
const (
	frameKindAt     = 5
	frameFlagsAt    = 6
	frameLengthAt   = 8
	frameSequenceAt = 12
	frameCRCAt      = 20
)

// FrameKind says what a frame carries. Unknown kinds are refused.
type FrameKind uint8

// The kinds of frames.
const (
	FramePackets        FrameKind = iota + 1 // packets, one after the other
	FramePing                                // body: 8 bytes of the sender's choice, to be echoed
	FramePong                                // body: that of the ping
	FrameHello                               // a Hello: the first frame of who dialled
	FrameHelloReply                          // a HelloReply: the first frame of who accepted
	FrameRequest                             // a call's request: opaque bytes
	FrameReply                               // a call's reply: opaque bytes
	FrameSnapshotHeader                      // a SnapshotHeader
	FrameSnapshotResume                      // 8 bytes: from which offset of the file to send
	FrameSnapshotBytes                       // the next bytes of the file
	FrameSnapshotEnd                         // 8 bytes: the offset behind the last byte
	FrameSnapshotReply                       // empty: installed; else the reason why not
	frameKindEnd
)

// castagnoli is the table of every CRC in this package's formats.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FrameHeader is what stands before a frame's body.
type FrameHeader struct {
	Kind     FrameKind
	Length   uint32 // of the body, in bytes
	Sequence uint64 // within its connection and direction; the first is 1
	CRC      uint32
	sum      uint32 // of the header before CRC: where the body's goes on
}

// BeginFrame appends room for a frame's header. The body follows; FinishFrame completes it.
func BeginFrame(dst []byte) []byte {
	var h [FrameHeaderSize]byte
	return append(dst, h[:]...)
}

// FinishFrame completes the frame of packets that begins at start and ends with dst.
func FinishFrame(dst []byte, start int, seq uint64) {
	FinishFrameOf(FramePackets, dst, start, seq)
}

// FinishFrameOf completes the frame of kind k that begins at start and ends with dst.
func FinishFrameOf(k FrameKind, dst []byte, start int, seq uint64) {
	p := dst[start:]
	if len(p) < FrameHeaderSize || len(p) > MaxFrameBytes || k == 0 || k >= frameKindEnd {
		panic(fmt.Sprintf("A7: frame of %d bytes and kind %d", len(p), k))
	}
	binary.LittleEndian.PutUint32(p, frameMagic)
	p[4] = frameVersion
	p[frameKindAt] = byte(k)
	binary.LittleEndian.PutUint16(p[frameFlagsAt:], 0)
	binary.LittleEndian.PutUint32(p[frameLengthAt:], uint32(len(p)-FrameHeaderSize))
	binary.LittleEndian.PutUint64(p[frameSequenceAt:], seq)
	sum := crc32.Update(crc32.Checksum(p[:frameCRCAt], castagnoli), castagnoli, p[FrameHeaderSize:])
	binary.LittleEndian.PutUint32(p[frameCRCAt:], sum)
}

// ParseFrameHeader reads the header at the front of p. It refuses a frame of more than most bytes,
// header included, so that the caller may allocate Length.
func ParseFrameHeader(p []byte, most int) (FrameHeader, error) {
	c := cursor{what: "frame", p: p}
	if magic := c.u32("magic"); c.err == nil && magic != frameMagic {
		c.fail("magic", 0, "\"LSK1\"", strconv.Quote(string(p[:4])))
	}
	c.version(frameVersion)
	h := FrameHeader{Kind: FrameKind(c.u8("kind"))}
	if c.err == nil && (h.Kind == 0 || h.Kind >= frameKindEnd) {
		c.fail("kind", frameKindAt, "a known kind", fmt.Sprint(uint8(h.Kind)))
	}
	c.want("flags", frameFlagsAt, 0, uint64(c.u16("flags")))
	h.Length = c.u32("length")
	if c.err == nil && int64(h.Length) > int64(min(most, MaxFrameBytes))-FrameHeaderSize {
		c.fail("length", frameLengthAt, fmt.Sprintf("at most %d bytes", min(most, MaxFrameBytes)-FrameHeaderSize), fmt.Sprint(h.Length))
	}
	h.Sequence = c.u64("sequence")
	h.CRC = c.u32("checksum")
	if c.err != nil {
		return FrameHeader{}, c.err
	}
	h.sum = crc32.Checksum(p[:frameCRCAt], castagnoli)
	return h, nil
}

// Verify checks body, of Length bytes, and the header against the frame's checksum.
func (h *FrameHeader) Verify(body []byte) error {
	if len(body) != int(h.Length) {
		return short("frame's body", FrameHeaderSize, int(h.Length), len(body))
	}
	if sum := crc32.Update(h.sum, castagnoli, body); sum != h.CRC {
		return &CorruptError{
			What: fmt.Sprintf("frame %d's checksum", h.Sequence), Offset: frameCRCAt,
			Expected: fmt.Sprintf("%08x", sum), Found: fmt.Sprintf("%08x", h.CRC),
		}
	}
	return nil
}

// NumberSize is the length of the body of a frame that is a number, in bytes.
const NumberSize = 8

// AppendNumber appends v: the body of a ping, a pong, or an offset in a snapshot stream.
func AppendNumber(dst []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(dst, v) }

// DecodeNumber reads a number that fills p.
func DecodeNumber(p []byte) (uint64, error) {
	c := cursor{what: "frame", p: p}
	v := c.u64("number")
	c.end()
	return v, c.err
}
