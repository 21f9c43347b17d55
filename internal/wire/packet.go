package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/raft"
)

// Kinds of packets. A kind with packetMayIgnore is skipped by a host that does not know it; any
// other unknown kind is refused.
const (
	packetRaft         = 1
	packetForward      = 2
	packetForwardReply = 3
	packetVouch        = 4
	packetWake         = 5
	packetMayIgnore    = 0x80
)

// PacketHeaderSize is the length of what stands before a packet's body, in bytes: kind, length.
const PacketHeaderSize = 5

// maxRefusal is the highest refusal that this version knows.
const maxRefusal = raft.Halted

// A Packet is one thing that a host tells another: exactly one of its fields is set.
type Packet struct {
	Raft    *raft.Message
	Forward *Forward
	Reply   *ForwardReply
	Vouch   *Vouch
	Wake    *Wake
}

// Forward carries commands to the host of the leader they are addressed to, in Term. Commands hold
// the sequence numbers from Origin.Seq on. It is sent once and never repeated.
type Forward struct {
	Group    raft.GroupID
	Birth    raft.Birth
	Term     raft.Term
	Origin   Origin
	Commands []Command
}

// ForwardReply tells the origin what became of Count commands from (Life, Seq) on: appended at
// (Term, Index, Ordinal) and the ordinals behind it, or refused.
type ForwardReply struct {
	Group   raft.GroupID
	Birth   raft.Birth
	Term    raft.Term
	Life    uint64
	Seq     uint64
	Count   uint32
	Refused raft.Refusal
	Index   raft.Index
	Ordinal uint32
}

// contents is how many fields are set.
func (p *Packet) contents() (n int) {
	for _, set := range [...]bool{p.Raft != nil, p.Forward != nil, p.Reply != nil, p.Vouch != nil, p.Wake != nil} {
		if set {
			n++
		}
	}
	return n
}

// PacketBound is at least the length that AppendPacket adds for p, in bytes.
func PacketBound(p *Packet) int {
	n := PacketHeaderSize + messageSizeMost
	switch {
	case p.Raft != nil:
		for i := range p.Raft.Entries {
			n += entrySizeMost + len(p.Raft.Entries[i].Data)
		}
	case p.Forward != nil:
		for _, cmd := range p.Forward.Commands {
			n += binary.MaxVarintLen32 + len(cmd.Data)
		}
	}
	return n
}

// AppendPacket appends p. It panics unless exactly one field of p is set.
func AppendPacket(dst []byte, p *Packet) []byte {
	assertf(p.contents() == 1, "packet with other than one content")
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0)
	switch {
	case p.Raft != nil:
		dst[start] = packetRaft
		dst = AppendMessage(dst, p.Raft)
	case p.Forward != nil:
		dst[start] = packetForward
		dst = appendForward(dst, p.Forward)
	case p.Vouch != nil:
		dst[start] = packetVouch
		dst = appendVouch(dst, p.Vouch)
	case p.Wake != nil:
		dst[start] = packetWake
		dst = appendWake(dst, p.Wake)
	default:
		dst[start] = packetForwardReply
		dst = appendForwardReply(dst, p.Reply)
	}
	n := len(dst) - start - PacketHeaderSize
	if n > MaxFrameBytes {
		panic(fmt.Sprintf("A7: packet of %d bytes, at most %d", n, MaxFrameBytes))
	}
	binary.LittleEndian.PutUint32(dst[start+1:], uint32(n))
	return dst
}

func appendForward(dst []byte, f *Forward) []byte {
	dst = binary.AppendUvarint(dst, uint64(f.Group))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.Birth))
	dst = binary.AppendUvarint(dst, uint64(f.Term))
	dst = binary.AppendUvarint(dst, uint64(f.Origin.Host))
	dst = binary.LittleEndian.AppendUint64(dst, f.Origin.Life)
	dst = binary.AppendUvarint(dst, f.Origin.Seq)
	dst = binary.AppendUvarint(dst, uint64(len(f.Commands)))
	for _, cmd := range f.Commands {
		dst = appendCommand(dst, cmd)
	}
	return dst
}

func appendForwardReply(dst []byte, r *ForwardReply) []byte {
	if r.Refused > maxRefusal {
		panic(fmt.Sprintf("A7: forward reply with unknown refusal %d", r.Refused))
	}
	dst = binary.AppendUvarint(dst, uint64(r.Group))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Birth))
	dst = binary.AppendUvarint(dst, uint64(r.Term))
	dst = binary.LittleEndian.AppendUint64(dst, r.Life)
	dst = binary.AppendUvarint(dst, r.Seq)
	dst = binary.AppendUvarint(dst, uint64(r.Count))
	dst = append(dst, byte(r.Refused))
	dst = binary.AppendUvarint(dst, uint64(r.Index))
	return binary.AppendUvarint(dst, uint64(r.Ordinal))
}

// DecodePacket reads one packet and returns the bytes behind it. Packets of unknown kinds that may
// be ignored are skipped; if nothing else is in p, the packet is empty: none of its fields is set.
// Payloads and commands alias p.
func DecodePacket(p []byte) (Packet, []byte, error) { return decodePacket(p, nil) }

func decodePacket(p []byte, a *arena) (Packet, []byte, error) {
	c := cursor{what: "packet", p: p}
	for c.left() > 0 {
		at := c.off
		kind := c.u8("kind")
		length := c.u32("length")
		body := c.bytes("body", uint64(length))
		if c.err != nil {
			return Packet{}, nil, c.err
		}
		if kind > packetWake && kind&packetMayIgnore != 0 {
			continue
		}
		packet, err := decodePacketBody(kind, body, a)
		if err != nil {
			return Packet{}, nil, fmt.Errorf("packet at offset %d: %w", at, err)
		}
		return packet, p[c.off:], nil
	}
	return Packet{}, nil, nil
}

func decodePacketBody(kind uint8, body []byte, a *arena) (p Packet, err error) {
	var c cursor
	switch kind {
	case packetRaft:
		c = cursor{what: "message", p: body, arena: a}
		p.Raft = a.message()
		c.message(p.Raft)
	case packetForward:
		c = cursor{what: "forward", p: body}
		p.Forward = c.forward()
	case packetForwardReply:
		c = cursor{what: "forward reply", p: body}
		p.Reply = c.forwardReply()
	case packetVouch:
		c = cursor{what: "vouch", p: body}
		p.Vouch = c.vouch()
	case packetWake:
		c = cursor{what: "wake", p: body}
		p.Wake = c.wake()
	default:
		return p, &CorruptError{What: "packet's kind", Expected: "a known kind", Found: fmt.Sprint(kind)}
	}
	c.end()
	if c.err != nil {
		return Packet{}, c.err
	}
	return p, nil
}

func (c *cursor) forward() *Forward {
	f := &Forward{
		Group: raft.GroupID(c.uvarint("group")),
		Birth: raft.Birth(c.u64("birth")),
		Term:  raft.Term(c.uvarint("term")),
		Origin: Origin{
			Host: raft.HostID(c.uvarint("origin's host")),
			Life: c.u64("origin's life"),
			Seq:  c.uvarint("origin's sequence"),
		},
	}
	n := c.count("commands", 1, c.left())
	if n == 0 {
		return f
	}
	// A command of one byte costs 32 here, so the count is trusted in steps: the
	// memory never exceeds a fixed multiple of the bytes read.
	f.Commands = make([]Command, 0, min(n, 1024))
	for range n {
		cmd := c.command()
		if c.err != nil {
			return f
		}
		f.Commands = append(f.Commands, cmd)
	}
	return f
}

func (c *cursor) forwardReply() *ForwardReply {
	r := &ForwardReply{
		Group: raft.GroupID(c.uvarint("group")),
		Birth: raft.Birth(c.u64("birth")),
		Term:  raft.Term(c.uvarint("term")),
		Life:  c.u64("life"),
		Seq:   c.uvarint("sequence"),
		Count: c.uvarint32("count"),
	}
	at := c.off
	if r.Refused = raft.Refusal(c.u8("refusal")); r.Refused > maxRefusal {
		c.fail("refusal", at, fmt.Sprintf("at most %d", maxRefusal), fmt.Sprint(uint8(r.Refused)))
	}
	r.Index = raft.Index(c.uvarint("index"))
	r.Ordinal = c.uvarint32("ordinal")
	return r
}
