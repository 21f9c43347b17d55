package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/internal/session"
)

// A Command is what a client proposed. With Session, its Data begins with a header for the table of
// sessions: docs/formats/payload.md.
type Command struct {
	Data    []byte
	Session bool
}

// AppendSessionHeader appends h as it stands before a command's own bytes. It panics on a header of no
// kind, or one that waits for what it has not sent.
func AppendSessionHeader(dst []byte, h *session.Header) []byte {
	dst = append(dst, byte(h.Kind))
	switch h.Kind {
	case session.Register, session.Once, session.Fence:
		return append(dst, h.Token[:]...)
	case session.Command:
		assertf(h.Low <= h.Seq, "session command %d waits for %d", h.Seq, h.Low)
		dst = binary.AppendUvarint(dst, uint64(h.ID))
		dst = binary.AppendUvarint(dst, h.Seq)
		return binary.AppendUvarint(dst, h.Seq-h.Low)
	case session.Close:
		return binary.AppendUvarint(dst, uint64(h.ID))
	}
	panic(fmt.Sprintf("A7: session header of kind %d", h.Kind))
}

// sessionHeader reads a header.
func (c *cursor) sessionHeader() (h session.Header) {
	at := c.off
	h.Kind = session.Kind(c.u8("session header's kind"))
	switch h.Kind {
	case session.Register, session.Once, session.Fence:
		copy(h.Token[:], c.bytes("token", uint64(len(h.Token))))
	case session.Command:
		h.ID = session.ID(c.uvarint("session"))
		h.Seq = c.uvarint("sequence")
		behind := c.uvarint("distance to the lowest unanswered")
		if behind > h.Seq {
			c.fail("distance to the lowest unanswered", at, fmt.Sprintf("at most %d", h.Seq), fmt.Sprint(behind))
		}
		h.Low = h.Seq - behind
	case session.Close:
		h.ID = session.ID(c.uvarint("session"))
	default:
		c.fail("session header's kind", at, "a kind from 1 to 5", fmt.Sprint(uint8(h.Kind)))
	}
	return h
}
