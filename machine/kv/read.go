package kv

import (
	"bytes"
	"cmp"
	"slices"
)

// fromKey reports whether the end of a span means all keys above its beginning.
func fromKey(end []byte) bool { return len(end) == 1 && end[0] == 0 }

// above reports whether key is not below the end of a span any more.
func above(key, end []byte) bool { return !fromKey(end) && bytes.Compare(key, end) >= 0 }

// scan goes through the live keys of a span with an end, until each says no.
func (s *state) scan(key, end []byte, each func(*version) bool) {
	s.live.Ascend(&version{KeyValue: KeyValue{Key: key}}, func(v *version) bool {
		return !above(v.Key, end) && each(v)
	})
}

// scanAt goes through the keys of a span as they were at a revision, until each says no.
func (s *state) scanAt(key, end []byte, revision int64, each func(*version) bool) {
	live, past := s.live.Iter(), s.past.Iter()
	defer live.Release()
	defer past.Release()
	// Both trees are in the order of keys. At each turn the lower key is looked at; in the past, the
	// place behind a key is that of a version below all revisions.
	isLive := live.Seek(&version{KeyValue: KeyValue{Key: key}})
	isPast := past.Seek(at(key, revision))
	for isLive || isPast {
		var k []byte
		if isLive {
			k = live.Item().Key
		}
		if isPast && (!isLive || bytes.Compare(past.Item().Key, k) < 0) {
			k = past.Item().Key
		}
		if above(k, end) {
			return
		}
		var found *version
		if isLive && bytes.Equal(live.Item().Key, k) {
			if v := live.Item(); v.ModRevision <= revision {
				found = v
			}
			isLive = live.Next()
		}
		if isPast && bytes.Equal(past.Item().Key, k) {
			if found == nil {
				if isPast = past.Seek(at(k, revision)); isPast && bytes.Equal(past.Item().Key, k) {
					found = past.Item()
				}
			}
			isPast = past.Seek(&version{KeyValue: KeyValue{Key: k, ModRevision: -1}})
		}
		if found != nil && !found.gone && !each(found) {
			return
		}
	}
}

// read answers a Range; now is the newest revision that it may see.
func (s *state) read(r *Range, now int64) (*RangeResult, error) {
	revision := r.Revision
	switch {
	case revision > now:
		return nil, ErrFutureRev
	case revision <= 0:
		revision = now
	}
	if revision < s.compacted {
		return nil, ErrCompacted
	}
	result := &RangeResult{Revision: now}
	if len(r.End) == 0 {
		v := s.getAt(r.Key, revision)
		if v != nil {
			result.Count = 1
			if !r.CountOnly {
				result.KVs = []*KeyValue{&v.KeyValue}
			}
		}
	} else {
		s.collect(r, revision, revision == now, result)
	}
	r.arrange(result)
	return result, nil
}

// collect counts the keys of a span, and gathers as many as the result can need.
func (s *state) collect(r *Range, revision int64, current bool, result *RangeResult) {
	room := int64(-1) // any number
	if r.Limit > 0 && (r.Order == NoOrder || r.Order == Ascend && r.Target == ByKey) && !r.filters() {
		room = r.Limit + 1 // one more says whether there are more
	}
	if r.CountOnly {
		room = 0
	}
	each := func(v *version) bool {
		if room < 0 || result.Count < room {
			result.KVs = append(result.KVs, &v.KeyValue)
		}
		result.Count++
		// Beyond what is gathered there is only counting: a few are counted one by one, many by their
		// ranks in the tree, so that a page of a large span does not cost the span.
		return !current || room < 0 || result.Count < room+countBySteps
	}
	if !current {
		s.scanAt(r.Key, r.End, revision, each)
		return
	}
	s.scan(r.Key, r.End, each)
	if room >= 0 && result.Count >= room+countBySteps {
		end := s.live.Len()
		if !fromKey(r.End) {
			end = s.rank(r.End)
		}
		result.Count = int64(end - s.rank(r.Key))
	}
}

const countBySteps = 512

// rank is the number of live keys below key.
func (s *state) rank(key []byte) int {
	low, high := 0, s.live.Len()
	for low < high {
		mid := int(uint(low+high) >> 1)
		v, _ := s.live.GetAt(mid)
		if bytes.Compare(v.Key, key) < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (r *Range) filters() bool {
	return r.MinModRevision != 0 || r.MaxModRevision != 0 || r.MinCreateRevision != 0 || r.MaxCreateRevision != 0
}

func outside(n, low, high int64) bool { return low != 0 && n < low || high != 0 && n > high }

// arrange filters, sorts and cuts what was gathered.
func (r *Range) arrange(result *RangeResult) {
	if r.filters() {
		result.KVs = slices.DeleteFunc(result.KVs, func(kv *KeyValue) bool {
			return outside(kv.ModRevision, r.MinModRevision, r.MaxModRevision) ||
				outside(kv.CreateRevision, r.MinCreateRevision, r.MaxCreateRevision)
		})
	}
	r.sort(result.KVs)
	if r.Limit > 0 && int64(len(result.KVs)) > r.Limit {
		clear(result.KVs[r.Limit:])
		result.KVs, result.More = result.KVs[:r.Limit], true
	}
	if r.KeysOnly {
		for i, kv := range result.KVs {
			bare := *kv
			bare.Value = nil
			result.KVs[i] = &bare
		}
	}
}

// sort is stable, so that equal ones have one order on every replica and with every build.
func (r *Range) sort(kvs []*KeyValue) {
	if r.Target == ByKey {
		if r.Order == Descend {
			slices.Reverse(kvs)
		}
		return
	}
	sign := 1
	if r.Order == Descend {
		sign = -1
	}
	slices.SortStableFunc(kvs, func(a, b *KeyValue) int {
		switch r.Target {
		case ByVersion:
			return sign * cmp.Compare(a.Version, b.Version)
		case ByCreate:
			return sign * cmp.Compare(a.CreateRevision, b.CreateRevision)
		case ByMod:
			return sign * cmp.Compare(a.ModRevision, b.ModRevision)
		default:
			return sign * bytes.Compare(a.Value, b.Value)
		}
	})
}
