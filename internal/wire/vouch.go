package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// Vouch says that its sender lives, and which leaders it speaks for: those of Groups groups, Sum of whose
// names is their exclusive or. Call asks the receiver to wake all those that it speaks for.
type Vouch struct {
	Call   bool
	Groups uint32
	Sum    uint64
}

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
	call := byte(0)
	if v.Call {
		call = 1
	}
	dst = append(dst, call)
	dst = binary.AppendUvarint(dst, uint64(v.Groups))
	return binary.LittleEndian.AppendUint64(dst, v.Sum)
}

func appendWake(dst []byte, w *Wake) []byte {
	dst = binary.AppendUvarint(dst, uint64(w.Group))
	return binary.LittleEndian.AppendUint64(dst, uint64(w.Birth))
}

func (c *cursor) vouch() *Vouch {
	at := c.off
	call := c.u8("call")
	if call > 1 {
		c.fail("call", at, "0 or 1", fmt.Sprint(call))
	}
	return &Vouch{Call: call == 1, Groups: c.uvarint32("groups"), Sum: c.u64("sum")}
}

func (c *cursor) wake() *Wake {
	return &Wake{Group: raft.GroupID(c.uvarint("group")), Birth: raft.Birth(c.u64("birth"))}
}
