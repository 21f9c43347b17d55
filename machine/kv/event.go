package kv

import "iter"

// An Event is a change of one key.
type Event struct {
	KV     *KeyValue // shared; of a deletion only Key and ModRevision are set
	Delete bool

	state *state
}

// Prev is the version that the change replaced; nil if there was none, or if it was below the
// compact revision. It costs a search.
func (e *Event) Prev() *KeyValue {
	before := e.KV.ModRevision - 1
	if before < e.state.compacted {
		return nil
	}
	if v := e.state.before(e.KV.Key, before); v != nil {
		return &v.KeyValue
	}
	return nil
}

// Events goes through the changes of the revisions above from, up to to, in the order in which they
// were made; to 0: up to the newest. It is refused with ErrCompacted if a change among them may have
// been forgotten, which is so when from+1 is below CompactRevision, and with ErrFutureRev if to is
// above Revision. It costs the changes that it gives out, and a search for the first.
//
// Events must be used up before Close; the KeyValues may be kept.
func (v *View) Events(from, to int64) (iter.Seq[Event], error) {
	s := &v.state
	switch {
	case to <= 0:
		to = s.revision
	case to > s.revision:
		return nil, ErrFutureRev
	}
	if from+1 < s.compacted {
		return nil, ErrCompacted
	}
	log := s.log
	return func(yield func(Event) bool) {
		for i := log.from(from + 1); i < log.len(); i++ {
			at := log.at(i)
			if at.ModRevision > to || !yield(Event{KV: &at.KeyValue, Delete: at.gone, state: s}) {
				return
			}
		}
	}, nil
}
