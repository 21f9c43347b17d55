package kv_test

import (
	"bytes"
	"sort"

	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// model is the naive twin of the store: the whole history, replayed at each question.
type model struct {
	revision, compacted int64
	history             []change
}

type change struct {
	kv   kv.KeyValue
	gone bool
}

func newModel() *model { return &model{revision: 1, compacted: -1} }

// at is the store at a revision.
func (m *model) at(revision int64) map[string]kv.KeyValue {
	keys := map[string]kv.KeyValue{}
	for _, c := range m.history {
		switch {
		case c.kv.ModRevision > revision:
			return keys
		case c.gone:
			delete(keys, string(c.kv.Key))
		default:
			keys[string(c.kv.Key)] = c.kv
		}
	}
	return keys
}

func inSpan(key string, begin, end []byte) bool {
	switch {
	case len(end) == 0:
		return key == string(begin)
	case string(end) == "\x00":
		return key >= string(begin)
	}
	return key >= string(begin) && key < string(end)
}

// span gives the keys of a span in order.
func (m *model) span(begin, end []byte, revision int64) []*kv.KeyValue {
	var found []*kv.KeyValue
	for key, v := range m.at(revision) {
		if inSpan(key, begin, end) {
			found = append(found, &v)
		}
	}
	sort.Slice(found, func(i, j int) bool { return bytes.Compare(found[i].Key, found[j].Key) < 0 })
	return found
}

func (m *model) read(r *kv.Range, now int64) (*kv.RangeResult, error) {
	at := r.Revision
	if at > now {
		return nil, kv.ErrFutureRev
	}
	if at <= 0 {
		at = now
	}
	if at < m.compacted {
		return nil, kv.ErrCompacted
	}
	all := m.span(r.Key, r.End, at)
	result := &kv.RangeResult{Revision: now, Count: int64(len(all))}
	if r.CountOnly {
		return result, nil
	}
	filters := r.MinModRevision|r.MaxModRevision|r.MinCreateRevision|r.MaxCreateRevision != 0
	if r.Order == kv.NoOrder && !filters && r.Limit > 0 && int64(len(all)) > r.Limit+1 {
		all = all[:r.Limit+1]
	}
	var kept []*kv.KeyValue
	for _, v := range all {
		if r.MinModRevision != 0 && v.ModRevision < r.MinModRevision || r.MaxModRevision != 0 && v.ModRevision > r.MaxModRevision ||
			r.MinCreateRevision != 0 && v.CreateRevision < r.MinCreateRevision || r.MaxCreateRevision != 0 && v.CreateRevision > r.MaxCreateRevision {
			continue
		}
		kept = append(kept, v)
	}
	less := func(a, b *kv.KeyValue) bool {
		switch r.Target {
		case kv.ByVersion:
			return a.Version < b.Version
		case kv.ByCreate:
			return a.CreateRevision < b.CreateRevision
		case kv.ByMod:
			return a.ModRevision < b.ModRevision
		case kv.ByValue:
			return bytes.Compare(a.Value, b.Value) < 0
		}
		return bytes.Compare(a.Key, b.Key) < 0
	}
	sort.SliceStable(kept, func(i, j int) bool {
		if r.Order == kv.Descend {
			return less(kept[j], kept[i])
		}
		return less(kept[i], kept[j])
	})
	if r.Limit > 0 && int64(len(kept)) > r.Limit {
		kept, result.More = kept[:r.Limit], true
	}
	if r.KeysOnly {
		for _, v := range kept {
			v.Value = nil
		}
	}
	result.KVs = kept
	return result, nil
}

// execute does one command.
func (m *model) execute(op *kv.Op) (kv.Result, error) {
	if err := op.Check(kv.MaxTxnOps); err != nil {
		return kv.Result{}, err
	}
	if c := op.Compact; c != nil {
		switch {
		case c.Revision <= m.compacted:
			return kv.Result{}, kv.ErrCompacted
		case c.Revision > m.revision:
			return kv.Result{}, kv.ErrFutureRev
		}
		m.compacted = c.Revision
		return kv.Result{Revision: m.revision, Compact: &kv.CompactResult{}}, nil
	}
	if op.Range != nil || op.Hash != nil {
		return kv.Result{}, kv.ErrNotCommand
	}
	before := m.at(m.revision)
	var path []bool
	if op.Txn != nil {
		path = m.choose(op.Txn)
	}
	if err := m.check(op, &path); err != nil {
		return kv.Result{}, err
	}
	if op.Txn != nil {
		path = m.choose(op.Txn)
	}
	length := len(m.history)
	result := m.run(op, &path, length, before)
	if len(m.history) > length {
		m.revision++
	}
	result.Revision = m.revision
	return result, nil
}

// choose is the branches taken, in the order in which a walk meets the transactions.
func (m *model) choose(t *kv.Txn) []bool {
	holds := true
	for _, c := range t.Compares {
		holds = holds && m.holds(c)
	}
	path := []bool{holds}
	for _, op := range branch(t, holds) {
		if op.Txn != nil {
			path = append(path, m.choose(op.Txn)...)
		}
	}
	return path
}

func branch(t *kv.Txn, success bool) []kv.Op {
	if success {
		return t.Success
	}
	return t.Failure
}

func (m *model) holds(c kv.Compare) bool {
	found := m.span(c.Key, c.End, m.revision)
	if len(found) == 0 {
		if c.Subject == kv.OfValue {
			return false
		}
		found = []*kv.KeyValue{{}}
	}
	for _, v := range found {
		var order int
		if c.Subject == kv.OfValue {
			order = bytes.Compare(v.Value, c.Value)
		} else {
			n := map[kv.Subject]int64{kv.OfVersion: v.Version, kv.OfCreate: v.CreateRevision, kv.OfMod: v.ModRevision, kv.OfLease: v.Lease}[c.Subject]
			order = int(max(-1, min(1, n-c.Number)))
		}
		if ok := map[kv.Relation]bool{kv.Equal: order == 0, kv.NotEqual: order != 0, kv.Greater: order > 0, kv.Less: order < 0}[c.Relation]; !ok {
			return false
		}
	}
	return true
}

func (m *model) check(op *kv.Op, path *[]bool) error {
	switch {
	case op.Range != nil:
		if r := op.Range.Revision; r > m.revision {
			return kv.ErrFutureRev
		} else if r != 0 && r < m.compacted {
			return kv.ErrCompacted
		}
	case op.Put != nil:
		if op.Put.Lease != 0 {
			return kv.ErrLeaseNotFound
		}
		if _, ok := m.at(m.revision)[string(op.Put.Key)]; !ok && (op.Put.IgnoreValue || op.Put.IgnoreLease) {
			return kv.ErrKeyNotFound
		}
	case op.Txn != nil:
		holds := (*path)[0]
		*path = (*path)[1:]
		for _, sub := range branch(op.Txn, holds) {
			if err := m.check(&sub, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// run executes; start is the length of the history when the command began.
func (m *model) run(op *kv.Op, path *[]bool, start int, before map[string]kv.KeyValue) kv.Result {
	next := m.revision + 1
	switch {
	case op.Put != nil:
		v := kv.KeyValue{Key: op.Put.Key, Value: op.Put.Value, CreateRevision: next, ModRevision: next, Version: 1, Lease: op.Put.Lease}
		result := &kv.PutResult{}
		if old, ok := m.at(next)[string(v.Key)]; ok {
			v.CreateRevision, v.Version = old.CreateRevision, old.Version+1
			if op.Put.IgnoreValue {
				v.Value = old.Value
			}
			if op.Put.PrevKV {
				result.Prev = &old
			}
		}
		m.history = append(m.history, change{kv: v})
		return kv.Result{Revision: next, Put: result}
	case op.Delete != nil:
		result := &kv.DeleteResult{}
		for _, v := range m.span(op.Delete.Key, op.Delete.End, next) {
			result.Deleted++
			if op.Delete.PrevKV {
				result.Prevs = append(result.Prevs, v)
			}
			m.history = append(m.history, change{kv: kv.KeyValue{Key: v.Key, ModRevision: next}, gone: true})
		}
		return kv.Result{Revision: m.now(start), Delete: result}
	case op.Txn != nil:
		result := &kv.TxnResult{Succeeded: (*path)[0]}
		*path = (*path)[1:]
		for _, sub := range branch(op.Txn, result.Succeeded) {
			r := m.run(&sub, path, start, before)
			if sub.Txn != nil {
				r.Revision = 0
			}
			result.Results = append(result.Results, r)
		}
		return kv.Result{Txn: result}
	default:
		r, err := m.read(op.Range, m.now(start))
		if err != nil {
			panic(err)
		}
		return kv.Result{Revision: r.Revision, Range: r}
	}
}

func (m *model) now(start int) int64 {
	if len(m.history) > start {
		return m.revision + 1
	}
	return m.revision
}
