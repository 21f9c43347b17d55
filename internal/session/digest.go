package session

import (
	"encoding/binary"

	"github.com/lockstep-rsm/lockstep/raft/digest"
)

// Digest is of the whole table, kept as it changes: the sums of all sessions and results, whose order is
// in their places, and what was given and forgotten last. An empty table, whose group had no session and
// no token yet, has zero.
func (t *Table) Digest() uint64 {
	if t.next == 0 && t.since == 0 && t.sum == 0 {
		return 0
	}
	p := digest.PutUint64(make([]byte, 0, 24), t.sum)
	p = digest.PutUint64(p, uint64(t.next))
	return digest.Sum(digest.PutUint64(p, uint64(t.since)))
}

func (s *session) digest() uint64 {
	p := append(make([]byte, 0, 64), 's')
	p = digest.PutUint64(p, uint64(s.id))
	p = append(p, s.token[:]...)
	p = digest.PutUint64(p, uint64(s.used))
	p = appendPlace(p, s.last)
	return digest.Sum(digest.PutUint64(p, s.low))
}

func (r *result) digest() uint64 {
	p := append(make([]byte, 0, 64), 'r', byte(r.state))
	p = digest.PutUint64(p, uint64(r.owner))
	p = digest.PutUint64(p, r.seq)
	p = append(p, r.token[:]...)
	p = appendPlace(p, r.at)
	return digest.Sum(digest.PutUint64(p, digest.Sum(r.data)))
}

func appendPlace(p []byte, at Place) []byte {
	return binary.LittleEndian.AppendUint32(digest.PutUint64(p, uint64(at.Index)), at.Ordinal)
}
