package kv

import "sort"

const blockLen = 1024

// changelog holds the changes in the order in which they were made. Copies of it are views: pushes
// write only behind what a copy has seen, and trims replace the list of blocks, so that neither
// changes a copy.
type changelog struct {
	blocks []*[blockLen]*version
	first  int // of the first block, how many are trimmed
	n      int
}

func (l *changelog) len() int { return l.n }

func (l *changelog) at(i int) *version {
	i += l.first
	return l.blocks[i/blockLen][i%blockLen]
}

func (l *changelog) push(v *version) {
	i := l.first + l.n
	if i == len(l.blocks)*blockLen {
		l.blocks = append(l.blocks, new([blockLen]*version))
	}
	l.blocks[i/blockLen][i%blockLen] = v
	l.n++
}

// trim drops the oldest k.
func (l *changelog) trim(k int) {
	l.first, l.n = l.first+k, l.n-k
	if drop := l.first / blockLen; drop > 0 {
		// A copy per block of changes: the list is a thousandth of them, and a trimmed block must not
		// stay reachable through the array of the list.
		l.blocks = append([]*[blockLen]*version(nil), l.blocks[drop:]...)
		l.first -= drop * blockLen
	}
}

// from is the place of the first change whose revision is not below revision.
func (l *changelog) from(revision int64) int {
	return sort.Search(l.n, func(i int) bool { return l.at(i).ModRevision >= revision })
}
