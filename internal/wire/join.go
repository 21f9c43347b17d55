package wire

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/lockstep-rsm/lockstep/raft"
)

// The first byte of a call's request says which it is. docs/formats/host.md.
const (
	CallFounding = foundingVersion
	CallJoin     = 2
	CallChange   = 3
	CallSupply   = 4
)

// tokenVersion 1: the first. docs/formats/host.md.
const tokenVersion = 1

// tokenPrefix lets a person see what a token is.
const tokenPrefix = "lockstep-join-"

// Token lets one host join a cluster: it names the cluster, proves by a secret that somebody of it
// agrees, and says where to ask.
type Token struct {
	Cluster [16]byte
	Secret  [16]byte
	Addrs   []string
}

// EncodeToken gives the text of a token.
func EncodeToken(t *Token) string {
	p := append([]byte{tokenVersion}, t.Cluster[:]...)
	p = append(p, t.Secret[:]...)
	p = appendAddrs(p, t.Addrs)
	p = binary.LittleEndian.AppendUint32(p, crc32.Checksum(p, castagnoli))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(p)
}

// DecodeToken reads the text of a token, and tells one that was cut or mistyped.
func DecodeToken(text string) (Token, error) {
	body, ok := strings.CutPrefix(text, tokenPrefix)
	p, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if !ok || err != nil || len(p) < 4 {
		return Token{}, &CorruptError{What: "token", Expected: tokenPrefix + "…", Found: fmt.Sprintf("%d bytes of something else", len(text))}
	}
	c := cursor{what: "token", p: p[:len(p)-4]}
	if got, want := crc32.Checksum(c.p, castagnoli), binary.LittleEndian.Uint32(p[len(p)-4:]); got != want {
		c.fail("checksum", len(c.p), fmt.Sprintf("%08x", got), fmt.Sprintf("%08x", want))
	}
	c.version(tokenVersion)
	t := Token{Cluster: c.cluster()}
	copy(t.Secret[:], c.bytes("secret", 16))
	t.Addrs = c.addrs("addresses")
	c.end()
	if c.err != nil {
		return Token{}, c.err
	}
	return t, nil
}

func appendAddrs(dst []byte, addrs []string) []byte {
	assertf(len(addrs) <= MaxFounders, "list of %d addresses, at most %d", len(addrs), MaxFounders)
	dst = binary.AppendUvarint(dst, uint64(len(addrs)))
	for _, a := range addrs {
		dst = appendText(dst, "address", a, MaxAddrBytes)
	}
	return dst
}

func (c *cursor) addrs(field string) []string {
	n := c.count(field, 1, MaxFounders)
	if n == 0 {
		return nil
	}
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = c.text(field, MaxAddrBytes)
	}
	return addrs
}

// JoinRequest asks a host of a cluster to take in who asks.
type JoinRequest struct {
	Cluster     [16]byte
	Secret      [16]byte
	Addr        string // where the asker is dialled
	Incarnation uint64 // of its directory
}

// JoinReply answers a JoinRequest: who the asker is from now on, and what it needs to know.
type JoinReply struct {
	State  uint8  // StateFounded: taken in; StateRefused: no, for Reason; StateEmpty: ask again, Reason says why
	Reason string // cut at MaxReasonBytes
	Host   raft.HostID
	Epoch  uint64
	Mint   Mint
	Peers  []FoundingHost // the asker included
}

// AppendJoinRequest appends r.
func AppendJoinRequest(dst []byte, r *JoinRequest) []byte {
	dst = append(dst, CallJoin)
	dst = append(dst, r.Cluster[:]...)
	dst = append(dst, r.Secret[:]...)
	dst = appendText(dst, "address", r.Addr, MaxAddrBytes)
	return binary.LittleEndian.AppendUint64(dst, r.Incarnation)
}

// DecodeJoinRequest reads a JoinRequest that fills p.
func DecodeJoinRequest(p []byte) (JoinRequest, error) {
	c := cursor{what: "join request", p: p}
	c.version(CallJoin)
	r := JoinRequest{Cluster: c.cluster()}
	copy(r.Secret[:], c.bytes("secret", 16))
	r.Addr = c.text("address", MaxAddrBytes)
	r.Incarnation = c.u64("incarnation")
	c.end()
	if c.err != nil {
		return JoinRequest{}, c.err
	}
	return r, nil
}

// AppendJoinReply appends r.
func AppendJoinReply(dst []byte, r *JoinReply) []byte {
	dst = append(dst, CallJoin, r.State)
	dst = appendText(dst, "reason", r.Reason[:min(len(r.Reason), MaxReasonBytes)], MaxReasonBytes)
	dst = binary.AppendUvarint(dst, uint64(r.Host))
	dst = binary.LittleEndian.AppendUint64(dst, r.Epoch)
	dst = AppendMint(dst, &r.Mint)
	return appendHosts(dst, r.Peers)
}

// DecodeJoinReply reads a JoinReply that fills p.
func DecodeJoinReply(p []byte) (JoinReply, error) {
	c := cursor{what: "join reply", p: p}
	c.version(CallJoin)
	r := JoinReply{State: c.u8("state")}
	r.Reason = c.text("reason", MaxReasonBytes)
	r.Host = raft.HostID(c.uvarint("host"))
	r.Epoch = c.u64("epoch")
	r.Mint = c.mint()
	r.Peers = c.hosts()
	c.end()
	if c.err != nil {
		return JoinReply{}, c.err
	}
	return r, nil
}
