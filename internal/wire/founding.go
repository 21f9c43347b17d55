package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/raft"
)

// foundingVersion 1: the first. docs/formats/host.md.
const foundingVersion = 1

// Bounds of founding.
const (
	MaxFounders  = 128 // hosts that found a cluster together
	MaxAddrBytes = 512 // of a host's address
)

// Kinds of a FoundingRequest.
const (
	FoundingAsk  = 1 // who are you, and are you free?
	FoundingMint = 2 // adopt this mint
)

// States of a host: of its identity file, and of a FoundingReply.
const (
	StateEmpty   = 1 // knows of no cluster
	StateBound   = 2 // has bound itself to one mint, by its nonce
	StateFounded = 3 // has adopted the mint
	StateRefused = 4 // of a reply only: will not, for Reason
)

// FoundingHost is one host as a mint names it.
type FoundingHost struct {
	Host        raft.HostID
	Addr        string
	Incarnation uint64 // of its directory
}

// Mint is what a cluster is founded from: drawn once, by one host, and adopted by all.
type Mint struct {
	Cluster [16]byte
	Nonce   uint64
	Hosts   []FoundingHost
	Birth   raft.Birth // of group 0
}

// FoundingRequest asks a host about itself, or tells it the mint.
type FoundingRequest struct {
	Kind        uint8
	From        string // the asker's address
	Incarnation uint64
	Nonce       uint64
	Founders    []string // addresses, as the asker was told them
	Mint        *Mint    // of FoundingMint
}

// FoundingReply answers a FoundingRequest.
type FoundingReply struct {
	State       uint8
	Incarnation uint64
	Nonce       uint64 // bound to
	Cluster     [16]byte
	Reason      string
	Mint        *Mint // of a founded host
}

// AppendMint appends m.
func AppendMint(dst []byte, m *Mint) []byte {
	assertf(len(m.Hosts) <= MaxFounders, "mint of %d hosts, at most %d", len(m.Hosts), MaxFounders)
	dst = append(dst, m.Cluster[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, m.Nonce)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Birth))
	return appendHosts(dst, m.Hosts)
}

func appendHosts(dst []byte, hosts []FoundingHost) []byte {
	assertf(len(hosts) <= MaxFounders, "list of %d hosts, at most %d", len(hosts), MaxFounders)
	dst = binary.AppendUvarint(dst, uint64(len(hosts)))
	for i := range hosts {
		h := &hosts[i]
		dst = binary.AppendUvarint(dst, uint64(h.Host))
		dst = appendText(dst, "address", h.Addr, MaxAddrBytes)
		dst = binary.LittleEndian.AppendUint64(dst, h.Incarnation)
	}
	return dst
}

func (c *cursor) mint() (m Mint) {
	m.Cluster = c.cluster()
	m.Nonce = c.u64("nonce")
	m.Birth = raft.Birth(c.u64("birth"))
	m.Hosts = c.hosts()
	return m
}

// hosts reads a list of hosts. An empty one is nil.
func (c *cursor) hosts() []FoundingHost {
	n := c.count("hosts", 10, MaxFounders)
	if n == 0 {
		return nil
	}
	hosts := make([]FoundingHost, n)
	for i := range hosts {
		hosts[i] = FoundingHost{
			Host:        raft.HostID(c.uvarint("host")),
			Addr:        c.text("address", MaxAddrBytes),
			Incarnation: c.u64("incarnation"),
		}
	}
	return hosts
}

// appendOptionalMint appends whether there is one, and it.
func appendOptionalMint(dst []byte, m *Mint) []byte {
	dst = appendFlag(dst, m != nil)
	if m == nil {
		return dst
	}
	return AppendMint(dst, m)
}

func (c *cursor) optionalMint() *Mint {
	if !c.flag("mint's presence") {
		return nil
	}
	m := c.mint()
	return &m
}

// AppendFoundingRequest appends r.
func AppendFoundingRequest(dst []byte, r *FoundingRequest) []byte {
	assertf(r.Kind == FoundingAsk || r.Kind == FoundingMint, "founding request of unknown kind %d", r.Kind)
	assertf(len(r.Founders) <= MaxFounders, "founding request names %d hosts, at most %d", len(r.Founders), MaxFounders)
	dst = append(dst, foundingVersion, r.Kind)
	dst = appendText(dst, "address", r.From, MaxAddrBytes)
	dst = binary.LittleEndian.AppendUint64(dst, r.Incarnation)
	dst = binary.LittleEndian.AppendUint64(dst, r.Nonce)
	dst = binary.AppendUvarint(dst, uint64(len(r.Founders)))
	for _, addr := range r.Founders {
		dst = appendText(dst, "address", addr, MaxAddrBytes)
	}
	return appendOptionalMint(dst, r.Mint)
}

// DecodeFoundingRequest reads a FoundingRequest that fills p.
func DecodeFoundingRequest(p []byte) (FoundingRequest, error) {
	c := cursor{what: "founding request", p: p}
	c.version(foundingVersion)
	at := c.off
	r := FoundingRequest{Kind: c.u8("kind")}
	if r.Kind != FoundingAsk && r.Kind != FoundingMint {
		c.fail("kind", at, "1 or 2", fmt.Sprint(r.Kind))
	}
	r.From = c.text("sender's address", MaxAddrBytes)
	r.Incarnation = c.u64("incarnation")
	r.Nonce = c.u64("nonce")
	if n := c.count("founders", 1, MaxFounders); n > 0 {
		r.Founders = make([]string, n)
		for i := range r.Founders {
			r.Founders[i] = c.text("founder's address", MaxAddrBytes)
		}
	}
	r.Mint = c.optionalMint()
	c.end()
	if c.err != nil {
		return FoundingRequest{}, c.err
	}
	return r, nil
}

// AppendFoundingReply appends r. A Reason above MaxReasonBytes is cut.
func AppendFoundingReply(dst []byte, r *FoundingReply) []byte {
	assertf(r.State >= StateEmpty && r.State <= StateRefused, "founding reply of unknown state %d", r.State)
	dst = append(dst, foundingVersion, r.State)
	dst = binary.LittleEndian.AppendUint64(dst, r.Incarnation)
	dst = binary.LittleEndian.AppendUint64(dst, r.Nonce)
	dst = append(dst, r.Cluster[:]...)
	dst = appendText(dst, "reason", r.Reason[:min(len(r.Reason), MaxReasonBytes)], MaxReasonBytes)
	return appendOptionalMint(dst, r.Mint)
}

// DecodeFoundingReply reads a FoundingReply that fills p.
func DecodeFoundingReply(p []byte) (FoundingReply, error) {
	c := cursor{what: "founding reply", p: p}
	c.version(foundingVersion)
	at := c.off
	r := FoundingReply{State: c.u8("state")}
	if r.State < StateEmpty || r.State > StateRefused {
		c.fail("state", at, "1 to 4", fmt.Sprint(r.State))
	}
	r.Incarnation = c.u64("incarnation")
	r.Nonce = c.u64("nonce")
	r.Cluster = c.cluster()
	r.Reason = c.text("reason", MaxReasonBytes)
	r.Mint = c.optionalMint()
	c.end()
	if c.err != nil {
		return FoundingReply{}, c.err
	}
	return r, nil
}
