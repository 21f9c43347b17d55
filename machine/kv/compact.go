package kv

import (
	"bytes"
	"time"

	"github.com/lockstep-rsm/lockstep/machine"
)

// A Compact takes effect at once: from then on nothing below its revision can be read. Freeing what
// is superseded takes a step per change made since the last compaction, which may be millions, so it
// is done piecemeal: a thousand steps at the Compact, some at every later command, and the rest at
// Ticks. A write makes as many steps necessary as it made changes; the Ticks alone do 400,000 a
// second. How far it has come is a part of the state, so that all replicas free the same at the same
// command, and a loaded replica goes on where the snapshot was.
//
// What is not freed yet cannot be seen: it is neither readable nor in a Hash, only in Size.
const (
	scrubPerCompact = 1024
	scrubPerCommand = 16
	scrubPerTick    = 4096
	scrubEvery      = machine.Time(10 * time.Millisecond)
)

func (s *state) compact(revision int64, now machine.Time) error {
	switch {
	case revision <= s.compacted:
		return ErrCompacted
	case revision > s.revision:
		return ErrFutureRev
	}
	s.compacted, s.edge = revision, 0
	s.due = now + scrubEvery
	s.scrub(scrubPerCompact)
	s.rest()
	return nil
}

// pending reports whether something is left to scrub.
func (s *state) pending() bool {
	return s.edge < s.log.len() && s.log.at(s.edge).ModRevision <= s.compacted
}

// rest clears the deadline when there is nothing to do, so that it does not tell states apart.
func (s *state) rest() {
	if !s.pending() {
		s.due = 0
	}
}

// scrub takes up to so many steps. The changes below the compact revision leave the log; those of
// the compact revision itself stay for watchers, deletions too, until the next compaction.
func (s *state) scrub(steps int) {
	for ; steps > 0 && s.pending(); steps-- {
		v := s.log.at(s.edge)
		if older := s.superseded(v); older != nil {
			s.forget(older)
		}
		if v.ModRevision == s.compacted {
			s.edge++
			continue
		}
		// Changes are in order, so edge is 0 here: no change of the compact revision came before.
		if v.gone {
			s.forget(v)
		}
		s.log.trim(1)
		s.keep(v)
	}
}

// superseded is the version that v, not above the compact revision, makes superfluous: the next older
// one of the same key, unless it was made by the compact revision itself. Of a key that the compact
// revision changed twice, only the first change finds an elder.
func (s *state) superseded(v *version) *version {
	var older *version
	s.past.Ascend(v, func(w *version) bool {
		if w == v {
			return true
		}
		if w.ModRevision < s.compacted && bytes.Equal(w.Key, v.Key) {
			older = w
		}
		return false
	})
	return older
}
