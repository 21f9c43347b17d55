package kv

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
)

// A version is one state of one key, or its deletion. It is never changed once its command is done,
// since Views share it.
type version struct {
	KeyValue
	sub  uint32 // place of the change within its revision
	gone bool   // the key was deleted: only Key and ModRevision have a meaning
	sum  uint64
}

// versionBytes is about what a version takes beside its key and value: the struct, the header of the
// allocation and its places in the trees and the changelog.
const versionBytes = 144

func (v *version) held() int64 { return versionBytes + int64(len(v.Key)) + int64(len(v.Value)) }

func (v *version) logical() int64 { return int64(len(v.Key)) + int64(len(v.Value)) }

// byKey orders the live versions, one per key.
func byKey(a, b *version) bool { return bytes.Compare(a.Key, b.Key) < 0 }

// byAge orders the versions of the past: by key, the newest first.
func byAge(a, b *version) bool {
	if c := bytes.Compare(a.Key, b.Key); c != 0 {
		return c < 0
	}
	return b.before(a)
}

// before orders by time.
func (v *version) before(w *version) bool {
	if v.ModRevision != w.ModRevision {
		return v.ModRevision < w.ModRevision
	}
	return v.sub < w.sub
}

// at is the place to seek, in a tree by age, the newest version of key that is not above revision.
func at(key []byte, revision int64) *version {
	return &version{KeyValue: KeyValue{Key: key, ModRevision: revision}, sub: math.MaxUint32}
}

// seal computes the sum over all that the version says.
func (v *version) seal() {
	h := mix(uint64(v.ModRevision)^0x9e3779b97f4a7c15, uint64(v.sub)+0xd1b54a32d192ed03)
	if v.gone {
		h = mix(h^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
	} else {
		h = mix(h^uint64(v.CreateRevision), uint64(v.Version)^0x8ebc6af09c88c6e3)
		h = mix(h^uint64(v.Lease), 0x589965cc75374cc3)
	}
	v.sum = sumBytes(sumBytes(h, v.Key), v.Value)
}

// mix folds the 128 bits of a product.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo ^ a
}

// sumBytes goes on from h over the length and the bytes. It is not cryptographic: it tells apart what
// went wrong by accident.
func sumBytes(h uint64, b []byte) uint64 {
	h = mix(h^uint64(len(b)), 0x1d8e4e27c47d124f)
	for len(b) >= 8 {
		h = mix(h^binary.LittleEndian.Uint64(b), 0xeb44accab455d165)
		b = b[8:]
	}
	var tail uint64
	for i, c := range b {
		tail |= uint64(c) << (8 * i)
	}
	return mix(h^tail, 0x9c6e6877736c46e3)
}
