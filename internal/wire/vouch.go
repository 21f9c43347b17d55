package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// Vouch says that its sender lives, and which leaders it speaks for: those of Groups groups, Sum of whose
// names is their exclusive or. Call asks the receiver to wake all those that it speaks for. Answer says that it is
// one, by a host that has nothing to vouch for.
type Vouch struct {
	Call   bool
	Answer bool
	Groups uint32
	Sum    uint64
}

// Flags of a Vouch.
const (
	vouchCall = 1 << iota
	vouchAnswer
)

// Wake says that the sender does not speak for this group's leader any more.
type Wake struct {
	Group raft.GroupID
	Birth raft.Birth
}

// GroupName is what a group is called in the sum of a Vouch.
func GroupName(group raft.GroupID, birth raft.Birth) uint64 {
	var b [16]byte
	return digest.Sum(digest.PutUint64(digest.PutUint64(b[:0], uint64(group)), uint64(birth)))
}

func appendVouch(dst []byte, v *Vouch) []byte {
	flags := byte(0)
	if v.Call {
		flags |= vouchCall
	}
	if v.Answer {
		flags |= vouchAnswer
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(v.Groups))
	return binary.LittleEndian.AppendUint64(dst, v.Sum)
}

func appendWake(dst []byte, w *Wake) []byte {
	dst = binary.AppendUvarint(dst, uint64(w.Group))
	return binary.LittleEndian.AppendUint64(dst, uint64(w.Birth))
}

func (c *cursor) vouch() *Vouch {
	at := c.off
	flags := c.u8("flags")
	if flags&^(vouchCall|vouchAnswer) != 0 {
		c.fail("flags", at, "known flags", fmt.Sprintf("%#x", flags))
	}
	return &Vouch{Call: flags&vouchCall != 0, Answer: flags&vouchAnswer != 0, Groups: c.uvarint32("groups"), Sum: c.u64("sum")}
}

func (c *cursor) wake() *Wake {
	return &Wake{Group: raft.GroupID(c.uvarint("group")), Birth: raft.Birth(c.u64("birth"))}
}
