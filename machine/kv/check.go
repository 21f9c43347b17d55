package kv

import (
	"bytes"
	"slices"
)

// MaxTxnOps is the most comparisons, and the most operations of a branch, that a transaction has;
// those of a nested one come out of what its parent left.
const MaxTxnOps = 128

// Check tells what is wrong with an operation whatever the store holds: one of ErrEmptyKey,
// ErrTooManyOps, ErrDuplicateKey, ErrKeyNotFound (a transaction's operation that is none),
// ErrValueProvided, ErrLeaseProvided, ErrInvalidSort and ErrNotCommand, or nil. It depends on
// nothing else, so that a server asks it before it proposes; the machine asks it again.
//
// Overlaps are found exactly where etcd finds them: puts against the deletes of the same branch, of
// branches around it and of nested branches before it, where a delete up to "\x00" overlaps nothing.
func (o *Op) Check(maxTxnOps int) error {
	switch {
	case o.Compact != nil, o.Hash != nil:
		return nil
	case o.Txn == nil:
		return o.checkSingle(0)
	}
	if err := o.Txn.check(maxTxnOps); err != nil {
		return err
	}
	for _, ops := range [2][]Op{o.Txn.Success, o.Txn.Failure} {
		if _, _, err := overlaps(ops); err != nil {
			return err
		}
	}
	return nil
}

func (o *Op) checkSingle(maxTxnOps int) error {
	switch {
	case o.Range != nil:
		if err := checkKey(o.Range.Key); err != nil {
			return err
		}
		if o.Range.Order > Descend || o.Range.Target > ByValue {
			return ErrInvalidSort
		}
		return nil
	case o.Put != nil:
		return o.Put.check()
	case o.Delete != nil:
		return checkKey(o.Delete.Key)
	case o.Txn != nil:
		return o.Txn.check(maxTxnOps)
	case o.Compact != nil, o.Hash != nil:
		return ErrNotCommand
	}
	return ErrKeyNotFound
}

func checkKey(key []byte) error {
	if len(key) == 0 {
		return ErrEmptyKey
	}
	return nil
}

func (p *Put) check() error {
	switch {
	case len(p.Key) == 0:
		return ErrEmptyKey
	case p.IgnoreValue && len(p.Value) > 0:
		return ErrValueProvided
	case p.IgnoreLease && p.Lease != 0:
		return ErrLeaseProvided
	}
	return nil
}

func (t *Txn) check(maxTxnOps int) error {
	most := max(len(t.Compares), len(t.Success), len(t.Failure))
	if most > maxTxnOps {
		return ErrTooManyOps
	}
	for i := range t.Compares {
		if len(t.Compares[i].Key) == 0 {
			return ErrEmptyKey
		}
	}
	for _, ops := range [2][]Op{t.Success, t.Failure} {
		for i := range ops {
			if err := ops[i].checkSingle(maxTxnOps - most); err != nil {
				return err
			}
		}
	}
	return nil
}

// span is the half-open interval of keys that a delete takes.
type span struct{ begin, end []byte }

// spans is a set of keys as sorted, disjoint intervals.
type spans []span

// holds reports whether the set has the key.
func (s spans) holds(key []byte) bool {
	// The first interval that ends above the key is the only one that can hold it.
	i, _ := slices.BinarySearchFunc(s, key, func(at span, key []byte) int {
		if bytes.Compare(at.end, key) <= 0 {
			return -1
		}
		return 1
	})
	return i < len(s) && bytes.Compare(s[i].begin, key) <= 0
}

// union merges two sets.
func union(a, b spans) spans {
	if len(b) == 0 {
		return a
	}
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, func(x, y span) int { return bytes.Compare(x.begin, y.begin) })
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && bytes.Compare(s.begin, out[n-1].end) <= 0 {
			if bytes.Compare(s.end, out[n-1].end) > 0 {
				out[n-1].end = s.end
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// overlaps finds a key that a branch changes twice, and gives the keys that it puts and deletes.
func overlaps(ops []Op) (puts map[string]bool, dels spans, err error) {
	if len(ops) == 1 && ops[0].Txn == nil && ops[0].Delete == nil {
		if ops[0].Put == nil {
			return nil, nil, nil
		}
		return map[string]bool{string(ops[0].Put.Key): true}, nil, nil
	}
	var own spans
	for i := range ops {
		if d := ops[i].Delete; d != nil {
			end := d.End
			if len(end) == 0 {
				end = append(slices.Clone(d.Key), 0)
			}
			if bytes.Compare(d.Key, end) < 0 {
				own = append(own, span{d.Key, end})
			}
		}
	}
	dels = union(nil, own)
	puts = map[string]bool{}
	for i := range ops {
		if ops[i].Txn == nil {
			continue
		}
		if dels, err = nested(ops[i].Txn, puts, dels); err != nil {
			return nil, nil, err
		}
	}
	for i := range ops {
		if p := ops[i].Put; p != nil {
			if puts[string(p.Key)] || dels.holds(p.Key) {
				return nil, nil, ErrDuplicateKey
			}
			puts[string(p.Key)] = true
		}
	}
	return puts, dels, nil
}

// nested adds what a nested transaction changes. Its two branches may change the same key, since
// only one of them is executed.
func nested(t *Txn, puts map[string]bool, dels spans) (spans, error) {
	thenPuts, thenDels, err := overlaps(t.Success)
	if err != nil {
		return nil, err
	}
	elsePuts, elseDels, err := overlaps(t.Failure)
	if err != nil {
		return nil, err
	}
	for k := range thenPuts {
		if puts[k] || dels.holds([]byte(k)) {
			return nil, ErrDuplicateKey
		}
		puts[k] = true
	}
	for k := range elsePuts {
		if puts[k] && !thenPuts[k] || dels.holds([]byte(k)) {
			return nil, ErrDuplicateKey
		}
		puts[k] = true
	}
	return union(union(dels, thenDels), elseDels), nil
}
