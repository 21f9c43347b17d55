package explore

import "math/bits"

// fingerprint is a 128-bit multiply-fold sum: not cryptographic, ample for some 10^8 states.
func fingerprint(b []byte) [2]uint64 {
	x, y := uint64(0x9e3779b97f4a7c15)^uint64(len(b)), uint64(0xc2b2ae3d27d4eb4f)
	for len(b) > 0 {
		var w uint64
		n := min(8, len(b))
		for i := range n {
			w |= uint64(b[i]) << (8 * i)
		}
		b = b[n:]
		h1, l1 := bits.Mul64(x^w, 0xa0761d6478bd642f)
		h2, l2 := bits.Mul64(y+w, 0xe7037ed1a0b428db)
		x, y = h1^l1^y, h2^l2^bits.RotateLeft64(x, 23)
	}
	h, l := bits.Mul64(x^0x8ebc6af09c88c6e3, y|1)
	return [2]uint64{h ^ l, x ^ bits.RotateLeft64(y, 32)}
}

// A set holds fingerprints in open addressing: a map would take three times the memory.
type set struct {
	slots [][2]uint64 // zero: free
	n     int
}

func newSet() *set { return &set{slots: make([][2]uint64, 1<<16)} }

// add says whether k was new.
func (s *set) add(k [2]uint64) bool {
	if k == ([2]uint64{}) {
		k[0] = 1
	}
	if s.n*4 >= len(s.slots)*3 {
		s.grow()
	}
	i := s.slot(k)
	if s.slots[i] == k {
		return false
	}
	s.slots[i] = k
	s.n++
	return true
}

func (s *set) grow() {
	old := s.slots
	s.slots = make([][2]uint64, 2*len(old))
	for _, k := range old {
		if k != ([2]uint64{}) {
			s.slots[s.slot(k)] = k
		}
	}
}

// slot is where k stands, or would.
func (s *set) slot(k [2]uint64) uint64 {
	mask := uint64(len(s.slots) - 1)
	for i := k[0] & mask; ; i = (i + 1) & mask {
		if s.slots[i] == k || s.slots[i] == ([2]uint64{}) {
			return i
		}
	}
}
