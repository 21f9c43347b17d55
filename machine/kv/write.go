package kv

import (
	"bytes"
	"math"
)

// writer makes the changes of one command: all have the next revision, and end counts it if there
// were any.
type writer struct {
	*state
	changes uint32
}

// next is the revision that the changes get.
func (w *writer) next() int64 { return w.state.revision + 1 }

// now is the revision that the command sees: the next one once something was changed.
func (w *writer) now() int64 {
	if w.changes > 0 {
		return w.next()
	}
	return w.state.revision
}

func (w *writer) end() { w.state.revision = w.now() }

func (w *writer) add(v *version) {
	if w.changes == math.MaxUint32 {
		panic("kv: more changes in one revision than can be counted")
	}
	v.sub = w.changes
	w.changes++
	w.state.add(v)
}

// put writes a key whose Put has passed checkPut. It gives what was there before, if p asks. Where an
// operation before it in the transaction has deleted the key whose value or lease is to be kept, there
// is nothing to keep: the value is empty and the lease none.
func (w *writer) put(p *Put) *KeyValue {
	// One block for key and value: they live and die together.
	block := make([]byte, len(p.Key)+len(p.Value))
	n := copy(block, p.Key)
	copy(block[n:], p.Value)
	v := &version{KeyValue: KeyValue{
		Key: block[:n:n], Value: block[n:], CreateRevision: w.next(), ModRevision: w.next(), Version: 1, Lease: p.Lease,
	}}
	old, had := w.live.Set(v)
	if had {
		// v is not shared yet: what it takes over from old is filled in before the command is done.
		v.CreateRevision, v.Version = old.CreateRevision, old.Version+1
		if p.IgnoreValue {
			v.Value = old.Value
		}
		if p.IgnoreLease {
			v.Lease = old.Lease
		}
		w.retire(old)
	}
	w.logical += v.logical()
	w.add(v)
	if !had || !p.PrevKV {
		return nil
	}
	return &old.KeyValue
}

// delete deletes the keys of a span, in their order.
func (w *writer) delete(d *DeleteRange) DeleteResult {
	var doomed []*version
	if len(d.End) == 0 {
		if v := w.get(d.Key); v != nil {
			doomed = []*version{v}
		}
	} else {
		w.scan(d.Key, d.End, func(v *version) bool {
			doomed = append(doomed, v)
			return true
		})
	}
	r := DeleteResult{Deleted: int64(len(doomed))}
	for _, v := range doomed {
		w.live.Delete(v)
		w.retire(v)
		// The key is cloned, for it would keep the value behind it alive.
		grave := &version{KeyValue: KeyValue{Key: bytes.Clone(v.Key), ModRevision: w.next()}, gone: true}
		w.add(grave)
		w.past.Set(grave)
		if d.PrevKV {
			r.Prevs = append(r.Prevs, &v.KeyValue)
		}
	}
	return r
}
