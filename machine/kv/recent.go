package kv

import "iter"

// A compaction concerns readers of the past. Whoever follows the store and has seen everything up to
// the batch that compacts is none, and must not lose what the same batch changed before. So the last
// changes that compactions took out of the log stay in memory, within a bound. They are no part of the
// state: not in its digest, not in a snapshot, and no operation sees them.
const maxRecentBytes = 4 << 20

// keep adds a change that has just left the log.
func (s *state) keep(v *version) {
	s.recent.push(v)
	s.recentLen += v.held()
	for s.recentLen > maxRecentBytes {
		first := s.recent.at(0)
		s.recentAt = first.ModRevision + 1
		s.recentLen -= first.held()
		s.recent.trim(1)
	}
}

// Recent is Events without an end for whoever has followed the store up to a revision: a compaction
// that came since is not in its way, as far as the changes are still in memory. ErrCompacted: they are
// not. Of changes below CompactRevision the previous values may be gone.
func (v *View) Recent(from int64) (iter.Seq[Event], error) {
	events, err := v.Events(from, 0)
	s := &v.state
	if err != ErrCompacted || from+1 < s.recentAt {
		return events, err
	}
	recent, log := s.recent, s.log
	return func(yield func(Event) bool) {
		for _, l := range []*changelog{&recent, &log} {
			for i := l.from(from + 1); i < l.len(); i++ {
				at := l.at(i)
				if !yield(Event{KV: &at.KeyValue, Delete: at.gone, state: s}) {
					return
				}
			}
		}
	}, nil
}
