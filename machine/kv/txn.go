package kv

import (
	"bytes"
	"cmp"
)

// txn executes a transaction. The branches are chosen, and what they take is checked, before the
// first effect, on the store as it was.
func (s *state) txn(t *Txn) (Result, error) {
	path := s.choose(t, nil)
	if _, err := s.checkTxn(t, path); err != nil {
		return Result{}, err
	}
	w := writer{state: s}
	result, _, err := w.run(t, path)
	w.end()
	return Result{Revision: s.revision, Txn: result}, err
}

// choose appends to path, for t and the transactions nested in the branch it takes, in order, whether
// the comparisons hold.
func (s *state) choose(t *Txn, path []bool) []bool {
	holds := true
	for i := range t.Compares {
		if holds = s.holds(&t.Compares[i]); !holds {
			break
		}
	}
	path = append(path, holds)
	for _, op := range t.branch(holds) {
		if op.Txn != nil {
			path = s.choose(op.Txn, path)
		}
	}
	return path
}

func (t *Txn) branch(success bool) []Op {
	if success {
		return t.Success
	}
	return t.Failure
}

// holds evaluates one comparison.
func (s *state) holds(c *Compare) bool {
	found, holds := false, true
	if len(c.End) == 0 {
		if v := s.get(c.Key); v != nil {
			found, holds = true, c.compare(&v.KeyValue)
		}
	} else {
		s.scan(c.Key, c.End, func(v *version) bool {
			found, holds = true, c.compare(&v.KeyValue)
			return holds
		})
	}
	if !found {
		return c.Subject != OfValue && c.compare(&KeyValue{})
	}
	return holds
}

func (c *Compare) compare(kv *KeyValue) bool {
	var order int
	switch c.Subject {
	case OfVersion:
		order = cmp.Compare(kv.Version, c.Number)
	case OfCreate:
		order = cmp.Compare(kv.CreateRevision, c.Number)
	case OfMod:
		order = cmp.Compare(kv.ModRevision, c.Number)
	case OfValue:
		order = bytes.Compare(kv.Value, c.Value)
	case OfLease:
		order = cmp.Compare(kv.Lease, c.Number)
	}
	switch c.Relation {
	case Equal:
		return order == 0
	case NotEqual:
		return order != 0
	case Greater:
		return order > 0
	case Less:
		return order < 0
	}
	return true // as etcd has it for a relation that is not known
}

// checkTxn checks the operations that path takes, and gives what is left of it.
func (s *state) checkTxn(t *Txn, path []bool) (rest []bool, err error) {
	ops, path := t.branch(path[0]), path[1:]
	for i := range ops {
		switch op := &ops[i]; {
		case op.Range != nil:
			err = s.checkRevision(op.Range.Revision)
		case op.Put != nil:
			err = s.checkPut(op.Put)
		case op.Txn != nil:
			path, err = s.checkTxn(op.Txn, path)
		}
		if err != nil {
			return nil, err
		}
	}
	return path, nil
}

// checkRevision checks the revision that a Range within a transaction asks for.
func (s *state) checkRevision(revision int64) error {
	switch {
	case revision == 0:
		return nil
	case revision > s.revision:
		return ErrFutureRev
	case revision < s.compacted:
		return ErrCompacted
	}
	return nil
}

// checkPut checks a Put against the store. No lease can exist yet: granting comes with leases.
func (s *state) checkPut(p *Put) error {
	if p.Lease != 0 {
		return ErrLeaseNotFound
	}
	if (p.IgnoreValue || p.IgnoreLease) && s.get(p.Key) == nil {
		return ErrKeyNotFound
	}
	return nil
}

// run executes the branch that path takes, which was checked, and gives what is left of path.
func (w *writer) run(t *Txn, path []bool) (result *TxnResult, rest []bool, err error) {
	result = &TxnResult{Succeeded: path[0]}
	ops, path := t.branch(path[0]), path[1:]
	result.Results = make([]Result, len(ops))
	for i := range ops {
		r := &result.Results[i]
		switch op := &ops[i]; {
		case op.Range != nil:
			if r.Range, err = w.read(op.Range, w.now()); err != nil {
				return nil, nil, err
			}
			r.Revision = r.Range.Revision
		case op.Put != nil:
			r.Put = &PutResult{Prev: w.put(op.Put)}
			r.Revision = w.now()
		case op.Delete != nil:
			deleted := w.delete(op.Delete)
			r.Delete, r.Revision = &deleted, w.now()
		case op.Txn != nil:
			if r.Txn, path, err = w.run(op.Txn, path); err != nil {
				return nil, nil, err
			}
		}
	}
	return result, path, nil
}
