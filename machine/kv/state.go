package kv

import (
	"bytes"

	"github.com/tidwall/btree"

	"github.com/lockstep-rsm/lockstep/machine"
)

// state is the whole store. Every version is held once: the newest of a key that is there in live,
// all others, and deletions, in past.
type state struct {
	live, past *btree.BTreeG[*version]
	log        changelog // the changes since the compact revision, and those before that are not scrubbed

	recent    changelog // what left log last, for watchers; see recent.go
	recentAt  int64     // all changes from this revision on are in recent and log
	recentLen int64     // bytes in recent, about

	revision  int64
	compacted int64 // −1: never

	// Scrubbing goes through the front of log; see compact.go.
	edge int          // of the changes made by the compact revision itself, how many are done
	due  machine.Time // when the next Tick is wanted, if there is something to scrub

	sum     uint64 // of the sums of all versions that are held
	logical int64  // bytes of keys and values that are live
	held    int64  // bytes of all versions, about
}

func newState() state {
	nolocks := btree.Options{NoLocks: true} // one writer; copies are read only
	return state{
		live:      btree.NewBTreeGOptions(byKey, nolocks),
		past:      btree.NewBTreeGOptions(byAge, nolocks),
		revision:  1,
		compacted: -1,
	}
}

// copy is a state that later changes of s do not reach, in O(1).
func (s *state) copy() state {
	c := *s
	c.live, c.past = s.live.Copy(), s.past.Copy()
	return c
}

// get is the live version of a key, or nil.
func (s *state) get(key []byte) *version {
	v, _ := s.live.Get(&version{KeyValue: KeyValue{Key: key}})
	return v
}

// getAt is the version of a key at a revision, or nil.
func (s *state) getAt(key []byte, revision int64) *version {
	if v := s.get(key); v != nil && v.ModRevision <= revision {
		return v
	}
	return s.before(key, revision)
}

// before is the newest version of a key that is past and not above a revision; nil if there is none
// or it is a deletion.
func (s *state) before(key []byte, revision int64) *version {
	var found *version
	s.past.Ascend(at(key, revision), func(v *version) bool {
		if bytes.Equal(v.Key, key) && !v.gone {
			found = v
		}
		return false
	})
	return found
}

// add makes v a part of the store. It is the last step of every change.
func (s *state) add(v *version) {
	v.seal()
	s.sum += v.sum
	s.held += v.held()
	s.log.push(v)
}

// retire moves a version that was live to the past.
func (s *state) retire(v *version) {
	s.past.Set(v)
	s.logical -= v.logical()
}

// forget drops a version of the past.
func (s *state) forget(v *version) {
	s.past.Delete(v)
	s.sum -= v.sum
	s.held -= v.held()
}

// digest covers the state whole: everything in it is a function of the versions and these numbers.
func (s *state) digest() machine.Digest {
	h := mix(s.sum^0x9e3779b97f4a7c15, uint64(s.revision)+0xd1b54a32d192ed03)
	h = mix(h^uint64(s.compacted), uint64(s.edge)+0xa0761d6478bd642f)
	h = mix(h^uint64(s.log.len()), uint64(s.due)+0xe7037ed1a0b428db)
	return machine.Digest(h)
}
