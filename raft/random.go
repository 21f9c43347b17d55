package raft

// random is SplitMix64: small, good enough to spread elections, and equal on every machine for
// equal seeds, which is what a replayed simulation needs.
type random uint64

func (g *random) next() uint64 {
	*g += 0x9e3779b97f4a7c15
	z := uint64(*g)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n); 0 if n is not positive.
func (g *random) below(n int64) int64 {
	if n <= 0 {
		return 0
	}
	return int64(g.next() % uint64(n))
}
