package world

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A file's content is that of a plain piece of memory, in the cache and, of what was synced, on the medium:
// whatever is zeroes, and however memory is used again.
func TestContentIsThatOfPlainMemory(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	const size = 5 * pageSize
	for round := range 60 {
		x := &extent{buffers: &buffers{}}
		cache, medium := make([]byte, size), make([]byte, size)
		for step := range 80 {
			off := rng.IntN(size)
			p := make([]byte, 1+rng.IntN(min(size-off, 2*pageSize)))
			if rng.IntN(3) > 0 { // something, with zeroes behind it
				fill(rng, p[:rng.IntN(len(p)+1)])
			}
			switch rng.IntN(5) {
			case 0:
				x.write(nil, int64(off), int64(len(p)))
				clear(cache[off : off+len(p)])
			case 1:
				off &^= sectorSize - 1
				p = append(p, make([]byte, sectorSize)...)
				p = p[:min(len(p)&^(sectorSize-1), size-off)]
				x.through(p, int64(off))
				copy(cache[off:], p)
				copy(medium[off:], p)
			case 2:
				x.launch()
				x.land(true)
				copy(medium, cache)
			default:
				x.write(p, int64(off), int64(len(p)))
				copy(cache[off:], p)
			}
			got := bytes.Repeat([]byte{1}, size)
			if !x.read(got, 0) || !bytes.Equal(got, cache) {
				t.Fatalf("round %d, step %d: the cache holds something else", round, step)
			}
			x.readMedium(got, 0)
			if !bytes.Equal(got, medium) {
				t.Fatalf("round %d, step %d: the medium holds something else", round, step)
			}
		}
	}
}
