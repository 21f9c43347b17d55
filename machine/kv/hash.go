package kv

// hash is over all versions that a fully scrubbed store would hold up to a revision. It is a sum, so
// that the newest revision costs nothing, and an older one only the changes since.
func (s *state) hash(revision int64) (HashResult, error) {
	switch {
	case revision <= 0:
		revision = s.revision
	case revision < s.compacted:
		return HashResult{}, ErrCompacted
	case revision > s.revision:
		return HashResult{}, ErrFutureRev
	}
	sum := s.sum
	for i := s.log.from(revision + 1); i < s.log.len(); i++ {
		sum -= s.log.at(i).sum
	}
	// What scrubbing has still to free is taken off. A deletion goes by itself, or else stays, so it
	// does not count as superseded, too.
	for i := s.edge; i < s.log.len() && s.log.at(i).ModRevision <= s.compacted; i++ {
		v := s.log.at(i)
		if older := s.superseded(v); older != nil && !older.gone {
			sum -= older.sum
		}
		if v.gone && v.ModRevision < s.compacted {
			sum -= v.sum
		}
	}
	h := mix(sum^0x9e3779b97f4a7c15, uint64(revision)+0xd1b54a32d192ed03)
	h = mix(h^uint64(s.compacted), 0xa0761d6478bd642f)
	return HashResult{Hash: h, Revision: revision, CompactRevision: s.compacted}, nil
}
