// Package digest computes the 64-bit digests that entries, states and snapshots are compared by:
// XXH64 with seed 0 (algorithm 1). It is not cryptographic; it finds accidents, not attackers.
package digest

import (
	"encoding/binary"
	"math/bits"
)

// Algorithm is the number under which formats name this digest.
const Algorithm = 1

const (
	prime1 = 0x9E3779B185EBCA87
	prime2 = 0xC2B2AE3D27D4EB4F
	prime3 = 0x165667B19E3779F9
	prime4 = 0x85EBCA77C2B2AE63
	prime5 = 0x27D4EB2F165667C5
)

// Sum is the XXH64 of p with seed 0 (xxHash specification 0.1.1).
func Sum(p []byte) uint64 {
	n := uint64(len(p))
	var h uint64
	if len(p) >= 32 {
		h, p = stripes(p)
	} else {
		h = prime5
	}
	h += n
	for len(p) >= 8 {
		h ^= round(0, binary.LittleEndian.Uint64(p))
		h = bits.RotateLeft64(h, 27)*prime1 + prime4
		p = p[8:]
	}
	if len(p) >= 4 {
		h ^= uint64(binary.LittleEndian.Uint32(p)) * prime1
		h = bits.RotateLeft64(h, 23)*prime2 + prime3
		p = p[4:]
	}
	for _, b := range p {
		h ^= uint64(b) * prime5
		h = bits.RotateLeft64(h, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

// stripes digests all whole 32-byte stripes and returns the rest. Of a payload the race detector sees the rest here, and
// all of it wherever it is copied: watching eight bytes of each word would take it longer than all else in a run.
//
//go:norace
func stripes(p []byte) (uint64, []byte) {
	p1 := uint64(prime1) // a variable: the sums below wrap on purpose
	v1, v2, v3, v4 := p1+prime2, uint64(prime2), uint64(0), -p1
	for len(p) >= 32 {
		v1 = round(v1, binary.LittleEndian.Uint64(p[0:8]))
		v2 = round(v2, binary.LittleEndian.Uint64(p[8:16]))
		v3 = round(v3, binary.LittleEndian.Uint64(p[16:24]))
		v4 = round(v4, binary.LittleEndian.Uint64(p[24:32]))
		p = p[32:]
	}
	h := bits.RotateLeft64(v1, 1) + bits.RotateLeft64(v2, 7) + bits.RotateLeft64(v3, 12) + bits.RotateLeft64(v4, 18)
	for _, v := range [4]uint64{v1, v2, v3, v4} {
		h = (h^round(0, v))*prime1 + prime4
	}
	return h, p
}

func round(acc, lane uint64) uint64 {
	return bits.RotateLeft64(acc+lane*prime2, 31) * prime1
}

// Mix is the digest of two digests, in order: the link of a chain.
func Mix(a, b uint64) uint64 {
	var p [16]byte
	binary.LittleEndian.PutUint64(p[:8], a)
	binary.LittleEndian.PutUint64(p[8:], b)
	return Sum(p[:])
}

// PutUint64 appends v, little-endian.
func PutUint64(p []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(p, v) }

// PutUint32 appends v, little-endian.
func PutUint32(p []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(p, v) }

// SetUint64 writes v to the beginning of p, little-endian.
func SetUint64(p []byte, v uint64) { binary.LittleEndian.PutUint64(p, v) }

// SetUint32 writes v to the beginning of p, little-endian.
func SetUint32(p []byte, v uint32) { binary.LittleEndian.PutUint32(p, v) }
