package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// IdentitySize is the length of an encoded identity, in bytes: algorithm, kind, flags, then group,
// birth, term, index, time, length, payload, prev; little-endian, fixed.
const IdentitySize = 63

// HardStateSize is the length of an encoded hard state, in bytes: term, vote.
const HardStateSize = 16

// AppendIdentity appends the encoded id to dst. The zero identity stands for "none".
func AppendIdentity(dst []byte, id *raft.Identity) []byte {
	dst = append(dst, digest.Algorithm, byte(id.Kind), byte(id.Flags))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id.Group))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id.Birth))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id.Term))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id.Index))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id.Time))
	dst = binary.LittleEndian.AppendUint32(dst, id.Length)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id.Payload))
	return binary.LittleEndian.AppendUint64(dst, uint64(id.Prev))
}

// DecodeIdentity reads one identity and returns the bytes behind it. It refuses an unknown digest
// algorithm, kind or flag, and a kind of zero unless all of the identity is zero.
func DecodeIdentity(p []byte) (id raft.Identity, rest []byte, err error) {
	if len(p) < IdentitySize {
		return id, nil, short("identity", 0, IdentitySize, len(p))
	}
	if p[0] != digest.Algorithm {
		return id, nil, &CorruptError{What: "identity's digest algorithm", Expected: fmt.Sprint(digest.Algorithm), Found: fmt.Sprint(p[0])}
	}
	id = raft.Identity{
		Kind:    raft.Kind(p[1]),
		Flags:   raft.Flags(p[2]),
		Group:   raft.GroupID(binary.LittleEndian.Uint64(p[3:])),
		Birth:   raft.Birth(binary.LittleEndian.Uint64(p[11:])),
		Term:    raft.Term(binary.LittleEndian.Uint64(p[19:])),
		Index:   raft.Index(binary.LittleEndian.Uint64(p[27:])),
		Time:    raft.Time(binary.LittleEndian.Uint64(p[35:])),
		Length:  binary.LittleEndian.Uint32(p[43:]),
		Payload: raft.Digest(binary.LittleEndian.Uint64(p[47:])),
		Prev:    raft.Digest(binary.LittleEndian.Uint64(p[55:])),
	}
	if id.Kind > raft.KindConfiguration || id.Kind == 0 && id != (raft.Identity{}) {
		return raft.Identity{}, nil, &CorruptError{What: "identity's kind", Offset: 1, Expected: "a kind from 1 to 4", Found: fmt.Sprint(uint8(id.Kind))}
	}
	if id.Flags&^raft.FlagMark != 0 {
		return raft.Identity{}, nil, &CorruptError{What: "identity's flags", Offset: 2, Expected: "known flags", Found: fmt.Sprintf("%#x", uint8(id.Flags))}
	}
	return id, p[IdentitySize:], nil
}

// AppendHardState appends the encoded h to dst.
func AppendHardState(dst []byte, h raft.HardState) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Term))
	return binary.LittleEndian.AppendUint64(dst, uint64(h.Vote))
}

// DecodeHardState reads one hard state and returns the bytes behind it.
func DecodeHardState(p []byte) (h raft.HardState, rest []byte, err error) {
	if len(p) < HardStateSize {
		return h, nil, short("hard state", 0, HardStateSize, len(p))
	}
	h.Term = raft.Term(binary.LittleEndian.Uint64(p))
	h.Vote = raft.ReplicaID(binary.LittleEndian.Uint64(p[8:]))
	return h, p[HardStateSize:], nil
}
