package machine

import (
	"errors"
	"fmt"
)

// Results collects one result per command, in the batch's order, into one buffer. The zero value is
// empty and ready. It is used by one goroutine at a time. The engine counts: too few or too many is a
// machine error.
type Results struct {
	buf     []byte
	ends    []int // end of each result in buf; complemented if it is a refusal
	records func(put func(key, value []byte))
	bound   bool
}

// Reply copies data as the next result; empty is a result too.
func (r *Results) Reply(data []byte) {
	r.buf = append(r.buf, data...)
	r.ends = append(r.ends, len(r.buf))
}

// Refuse gives "no" as the next result: a decision, equal everywhere, kept by sessions like any
// other; the client gets *Refusal. A text beyond MaxRefusalBytes is cut.
func (r *Results) Refuse(code int32, text string) {
	r.buf = appendRefusal(r.buf, code, text)
	r.ends = append(r.ends, ^len(r.buf))
}

// AvailableBuffer is room for Reply without a copy, as in bytes.Buffer: an empty slice to append to
// and to hand to the next Reply, as in r.Reply(binary.AppendUvarint(r.AvailableBuffer(), n)).
func (r *Results) AvailableBuffer() []byte {
	const room = 64
	if cap(r.buf)-len(r.buf) < room {
		r.buf = append(r.buf, make([]byte, room)...)[:len(r.buf)]
	}
	return r.buf[len(r.buf):]
}

// Bind is unstable. It puts the engine's records of this batch (position, chain, sessions) into the
// same transaction of a machine with its own store. It is called once per Apply, after the last
// result of the batch.
func (r *Results) Bind(put func(key, value []byte)) {
	if r.records != nil {
		r.records(put)
	}
	r.bound = true
}

// Len is the number of results so far.
func (r *Results) Len() int { return len(r.ends) }

// At is the i-th result: the bytes of a reply, or a refusal. The bytes are valid until the next call
// of Reset, and are not nil if there is no refusal.
func (r *Results) At(i int) (data []byte, no *Refusal) {
	raw, refused := r.Raw(i)
	if !refused {
		return raw, nil
	}
	no = new(Refusal)
	if err := no.UnmarshalBinary(raw); err != nil {
		panic(fmt.Sprintf("result %d: %v", i, err)) // Refuse is its only writer
	}
	return nil, no
}

// Raw is the i-th result without an allocation: the bytes of a reply, or a refusal as
// Refusal.AppendBinary encodes it. They are valid until the next call of Reset.
func (r *Results) Raw(i int) (raw []byte, refused bool) {
	start, end := 0, r.ends[i]
	if i > 0 {
		start = place(r.ends[i-1])
	}
	refused = end < 0
	end = place(end)
	return r.buf[start:end:end], refused
}

// place undoes the complement that marks a refusal.
func place(end int) int {
	if end < 0 {
		return ^end
	}
	return end
}

// Reset forgets all results and keeps the room. Slices given by At and Raw become invalid.
func (r *Results) Reset() {
	r.buf, r.ends, r.bound = r.buf[:0], r.ends[:0], false
}

// OnBind is the engine's: records is called by Bind with the machine's put. It stays until the next
// OnBind.
func (r *Results) OnBind(records func(put func(key, value []byte))) { r.records = records }

// Bound is the engine's: whether Bind was called since the last Reset.
func (r *Results) Bound() bool { return r.bound }

// AppendResult appends the i-th result in the form that is stored and sent: one byte that is 0 for a
// reply and 1 for a refusal, then what Raw gives.
func (r *Results) AppendResult(b []byte, i int) []byte {
	raw, refused := r.Raw(i)
	if refused {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(b, raw...)
}

// DecodeResult is the twin of Results.AppendResult. The reply is a part of b.
func DecodeResult(b []byte) (data []byte, no *Refusal, err error) {
	if len(b) == 0 {
		return nil, nil, errors.New("decode result: it is empty")
	}
	switch b[0] {
	case 0:
		return b[1:], nil, nil
	case 1:
		no = new(Refusal)
		if err := no.UnmarshalBinary(b[1:]); err != nil {
			return nil, nil, fmt.Errorf("decode result: %w", err)
		}
		return nil, no, nil
	}
	return nil, nil, fmt.Errorf("decode result: want kind 0 or 1, got %d", b[0])
}
