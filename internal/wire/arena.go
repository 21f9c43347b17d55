package wire

import "github.com/lockstep-rsm/lockstep/raft"

// DecodePackets appends the packets of a whole frame to dst, those of unknown kinds that may be ignored left
// out. Messages of one frame share memory; payloads and commands alias p.
func DecodePackets(dst []Packet, p []byte) ([]Packet, error) {
	messages := 0
	for c := (cursor{p: p}); c.left() > 0 && c.err == nil; {
		if c.u8("kind") == packetRaft {
			messages++
		}
		c.bytes("body", uint64(c.u32("length")))
	}
	var a *arena
	if messages > 1 {
		a = &arena{left: messages}
	}
	for len(p) > 0 {
		packet, rest, err := decodePacket(p, a)
		if err != nil {
			return dst, err
		}
		if packet != (Packet{}) {
			dst = append(dst, packet)
		}
		p = rest
	}
	return dst, nil
}

// arenaPiece is for how many memory is made at once: who sends many short packets that are no messages gets
// no more than that.
const arenaPiece = 64

// arena is the memory of a frame's messages, and of the entries of those that have one. nil: each has its own.
type arena struct {
	left     int // messages to come
	messages []raft.Message
	entries  []raft.Entry
}

func (a *arena) message() *raft.Message {
	if a == nil || a.left < 2 && len(a.messages) == 0 {
		return new(raft.Message)
	}
	if len(a.messages) == 0 {
		a.messages = make([]raft.Message, min(a.left, arenaPiece))
	}
	a.left--
	m := &a.messages[0]
	a.messages = a.messages[1:]
	return m
}

func (a *arena) take(n int) []raft.Entry {
	if a == nil || n > 1 || a.left == 0 && len(a.entries) == 0 {
		return make([]raft.Entry, n)
	}
	if len(a.entries) == 0 {
		a.entries = make([]raft.Entry, min(a.left+1, arenaPiece))
	}
	es := a.entries[:1:1]
	a.entries = a.entries[1:]
	return es
}
