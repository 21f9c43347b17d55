package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/lockstep-rsm/lockstep/raft"
)

const hostMagic = 0x4854534f484b534c // "LSKHOSTH" as bytes

// HostFormat is the newest version of the host identity's body, and of the directory under it. 1: the
// first. 2: behind it, the cluster's hosts; written only where the registry has named any.
// docs/formats/host.md.
const HostFormat = 2

// HostIdentity is the body of the identity file: who the owner of a directory is. It lies in
// several copies, and each is checked alone.
type HostIdentity struct {
	FeatureLevel uint32
	State        uint8 // StateEmpty, StateBound or StateFounded
	Incarnation  uint64
	Nonce        uint64
	Epoch        uint64
	Host         raft.HostID
	Mint         Mint
	Peers        []FoundingHost // of the cluster now, this one included; empty: those of the mint
}

// AppendHostIdentity appends h, with its magic and checksum.
func AppendHostIdentity(dst []byte, h *HostIdentity) []byte {
	assertf(h.State >= StateEmpty && h.State <= StateFounded, "host identity of unknown state %d", h.State)
	start := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, hostMagic)
	format := uint32(HostFormat)
	if len(h.Peers) == 0 {
		format = 1
	}
	dst = binary.LittleEndian.AppendUint32(dst, format)
	dst = append(dst, 0, 0, 0, 0)
	body := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, h.FeatureLevel)
	dst = append(dst, h.State)
	dst = binary.LittleEndian.AppendUint64(dst, h.Incarnation)
	dst = binary.LittleEndian.AppendUint64(dst, h.Nonce)
	dst = binary.LittleEndian.AppendUint64(dst, h.Epoch)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Host))
	dst = AppendMint(dst, &h.Mint)
	if len(h.Peers) > 0 {
		dst = appendHosts(dst, h.Peers)
	}
	binary.LittleEndian.PutUint32(dst[start+12:], uint32(len(dst)-body))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// DecodeHostIdentity reads the identity at the front of p; what stands behind it, such as padding,
// is not looked at.
func DecodeHostIdentity(p []byte) (HostIdentity, error) {
	c := cursor{what: "host identity", p: p}
	c.want("magic", 0, hostMagic, c.u64("magic"))
	var h HostIdentity
	format := c.u32("format")
	if format != 1 {
		c.want("format", 8, HostFormat, uint64(format))
	}
	c.bytes("body", uint64(c.u32("length")))
	end := c.off
	sum := c.u32("checksum")
	if c.err == nil {
		if got := crc32.Checksum(p[:end], castagnoli); got != sum {
			c.fail("checksum", end, fmt.Sprintf("%08x", got), fmt.Sprintf("%08x", sum))
		}
	}
	if c.err != nil {
		return HostIdentity{}, c.err
	}
	c = cursor{what: "host identity", p: p[:end], off: 16}
	h.FeatureLevel = c.u32("feature level")
	at := c.off
	if h.State = c.u8("state"); h.State < StateEmpty || h.State > StateFounded {
		c.fail("state", at, "1 to 3", fmt.Sprint(h.State))
	}
	h.Incarnation = c.u64("incarnation")
	h.Nonce = c.u64("nonce")
	h.Epoch = c.u64("epoch")
	h.Host = raft.HostID(c.u64("host"))
	h.Mint = c.mint()
	if format == HostFormat {
		at := c.off
		if h.Peers = c.hosts(); c.err == nil && h.Peers == nil {
			c.fail("hosts", at, "at least 1", "0")
		}
	}
	c.end()
	if c.err != nil {
		return HostIdentity{}, c.err
	}
	return h, nil
}
