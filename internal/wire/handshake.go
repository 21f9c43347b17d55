package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/raft"
)

// helloVersion 1: the first. docs/formats/message.md.
const helloVersion = 1

// Protocol is the version of the conversation that this build speaks; a Hello names it.
const Protocol = 1

// MaxReasonBytes bounds the text of a refusal.
const MaxReasonBytes = 1024

// MaxHandshakeBytes bounds the frame of a Hello or HelloReply: all that a stranger can make a host
// read.
const MaxHandshakeBytes = 2048

// Purposes of a connection.
const (
	PurposeLink     = 1 // packets, from who dialled to who accepted
	PurposeSnapshot = 2 // one snapshot, from who dialled
	PurposeCall     = 3 // one request and its reply
)

// Hello is who a host is, told at the start of each connection by both sides.
type Hello struct {
	Protocol     uint32
	Cluster      [16]byte // zero: not founded yet
	Epoch        uint64
	Host         raft.HostID
	Incarnation  uint64 // of the host's directory
	FeatureLevel uint32
	Purpose      uint8
	Life         uint64 // of the sending process
	To           raft.HostID
	Addr         string // where the host is dialled; empty: nowhere
}

// AppendHello appends h. It panics on an unknown Purpose.
func AppendHello(dst []byte, h *Hello) []byte {
	assertf(h.Purpose >= PurposeLink && h.Purpose <= PurposeCall, "hello of unknown purpose %d", h.Purpose)
	dst = append(dst, helloVersion)
	dst = binary.LittleEndian.AppendUint32(dst, h.Protocol)
	dst = append(dst, h.Cluster[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, h.Epoch)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Host))
	dst = binary.LittleEndian.AppendUint64(dst, h.Incarnation)
	dst = binary.LittleEndian.AppendUint32(dst, h.FeatureLevel)
	dst = append(dst, h.Purpose)
	dst = binary.LittleEndian.AppendUint64(dst, h.Life)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.To))
	return appendText(dst, "address", h.Addr, MaxAddrBytes)
}

// DecodeHello reads a Hello that fills p. Any protocol number is read, so that a peer of another
// one can be told so.
func DecodeHello(p []byte) (Hello, error) {
	c := cursor{what: "hello", p: p}
	h := c.hello()
	c.end()
	if c.err != nil {
		return Hello{}, c.err
	}
	return h, nil
}

func (c *cursor) hello() (h Hello) {
	c.version(helloVersion)
	h.Protocol = c.u32("protocol")
	h.Cluster = c.cluster()
	h.Epoch = c.u64("epoch")
	h.Host = raft.HostID(c.u64("host"))
	h.Incarnation = c.u64("incarnation")
	h.FeatureLevel = c.u32("feature level")
	at := c.off
	if h.Purpose = c.u8("purpose"); h.Purpose < PurposeLink || h.Purpose > PurposeCall {
		c.fail("purpose", at, "1 to 3", fmt.Sprint(h.Purpose))
	}
	h.Life = c.u64("life")
	h.To = raft.HostID(c.u64("addressee"))
	h.Addr = c.text("address", MaxAddrBytes)
	return h
}

func (c *cursor) cluster() (id [16]byte) {
	copy(id[:], c.bytes("cluster", 16))
	return id
}

// HelloReply answers a Hello: OK and who answers, or the reason why the connection is closed.
type HelloReply struct {
	OK     bool
	Reason string // with OK false
	Hello  Hello  // of who answers
}

// AppendHelloReply appends r. A Reason above MaxReasonBytes is cut.
func AppendHelloReply(dst []byte, r *HelloReply) []byte {
	dst = append(dst, helloVersion)
	dst = appendFlag(dst, r.OK)
	dst = appendText(dst, "reason", r.Reason[:min(len(r.Reason), MaxReasonBytes)], MaxReasonBytes)
	return AppendHello(dst, &r.Hello)
}

// DecodeHelloReply reads a HelloReply that fills p.
func DecodeHelloReply(p []byte) (HelloReply, error) {
	c := cursor{what: "hello reply", p: p}
	c.version(helloVersion)
	r := HelloReply{OK: c.flag("ok"), Reason: c.text("reason", MaxReasonBytes), Hello: c.hello()}
	c.end()
	if c.err != nil {
		return HelloReply{}, c.err
	}
	return r, nil
}
