package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The first byte of an operation, in a log for ever: numbers are never reused, and a new form of an
// operation gets a new one.
const (
	tagRange   byte = 1
	tagPut     byte = 2
	tagDelete  byte = 3
	tagTxn     byte = 4
	tagCompact byte = 5
	tagHash    byte = 6
)

// MaxTxnDepth bounds how deep transactions nest: beyond what Check lets pass.
const MaxTxnDepth = MaxTxnOps + 2

var (
	errNoOp   = errors.New("no operation is set, or more than one")
	errNested = fmt.Errorf("transactions nest deeper than %d", MaxTxnDepth)
)

// AppendBinary appends the operation in this package's own form. It fails if the operation, or one
// within it, has not exactly one field set.
func (o *Op) AppendBinary(b []byte) ([]byte, error) {
	b, err := o.append(b, MaxTxnDepth)
	if err != nil {
		return nil, fmt.Errorf("encode operation: %w", err)
	}
	return b, nil
}

// UnmarshalBinary is the twin of AppendBinary. All slices become parts of data, which is not to be
// changed while the operation is in use.
func (o *Op) UnmarshalBinary(data []byte) error {
	c := cursor{rest: data}
	*o = c.op(MaxTxnDepth)
	return c.end("operation")
}

func (o *Op) append(b []byte, depth int) ([]byte, error) {
	set := 0
	for _, is := range [...]bool{o.Range != nil, o.Put != nil, o.Delete != nil, o.Txn != nil, o.Compact != nil, o.Hash != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return nil, errNoOp
	}
	switch {
	case o.Range != nil:
		return appendRange(b, o.Range), nil
	case o.Put != nil:
		p := o.Put
		b = append(b, tagPut, flags(p.PrevKV, p.IgnoreValue, p.IgnoreLease))
		return appendInts(appendBytes(appendBytes(b, p.Key), p.Value), p.Lease), nil
	case o.Delete != nil:
		d := o.Delete
		b = append(b, tagDelete, flags(d.PrevKV))
		return appendBytes(appendBytes(b, d.Key), d.End), nil
	case o.Txn != nil:
		return appendTxn(b, o.Txn, depth-1)
	case o.Compact != nil:
		return appendInts(append(b, tagCompact), o.Compact.Revision), nil
	default:
		return appendInts(append(b, tagHash), o.Hash.Revision), nil
	}
}

func appendRange(b []byte, r *Range) []byte {
	b = append(b, tagRange, flags(r.CountOnly, r.KeysOnly), byte(r.Order), byte(r.Target))
	b = appendBytes(appendBytes(b, r.Key), r.End)
	return appendInts(b, r.Revision, r.Limit,
		r.MinModRevision, r.MaxModRevision, r.MinCreateRevision, r.MaxCreateRevision)
}

func appendTxn(b []byte, t *Txn, depth int) ([]byte, error) {
	if depth < 0 {
		return nil, errNested
	}
	b = binary.AppendUvarint(append(b, tagTxn), uint64(len(t.Compares)))
	for i := range t.Compares {
		p := &t.Compares[i]
		b = append(b, byte(p.Subject), byte(p.Relation))
		b = appendBytes(appendBytes(b, p.Key), p.End)
		b = appendBytes(appendInts(b, p.Number), p.Value)
	}
	for _, ops := range [2][]Op{t.Success, t.Failure} {
		b = binary.AppendUvarint(b, uint64(len(ops)))
		for i := range ops {
			var err error
			if b, err = ops[i].append(b, depth); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func (c *cursor) op(depth int) (o Op) {
	switch tag := c.byte(); tag {
	case tagRange:
		o.Range = c.rangeOp()
	case tagPut:
		f := c.enum("flags of put", 7)
		o.Put = &Put{Key: c.bytes(), Value: c.bytes(), Lease: c.int(), PrevKV: f&1 != 0, IgnoreValue: f&2 != 0, IgnoreLease: f&4 != 0}
	case tagDelete:
		f := c.enum("flags of delete", 1)
		o.Delete = &DeleteRange{Key: c.bytes(), End: c.bytes(), PrevKV: f&1 != 0}
	case tagTxn:
		o.Txn = c.txn(depth - 1)
	case tagCompact:
		o.Compact = &Compact{Revision: c.int()}
	case tagHash:
		o.Hash = &Hash{Revision: c.int()}
	default:
		c.fail(fmt.Errorf("operation is of kind %d", tag))
	}
	return o
}

func (c *cursor) rangeOp() *Range {
	f := c.enum("flags of range", 3)
	r := &Range{CountOnly: f&1 != 0, KeysOnly: f&2 != 0, Order: Order(c.byte()), Target: Target(c.byte())}
	r.Key, r.End = c.bytes(), c.bytes()
	r.Revision, r.Limit = c.int(), c.int()
	r.MinModRevision, r.MaxModRevision = c.int(), c.int()
	r.MinCreateRevision, r.MaxCreateRevision = c.int(), c.int()
	return r
}

func (c *cursor) txn(depth int) *Txn {
	if depth < 0 {
		c.fail(errNested)
		return nil
	}
	t := &Txn{}
	for range c.count(6) {
		t.Compares = append(t.Compares, c.compare())
	}
	for _, ops := range [2]*[]Op{&t.Success, &t.Failure} {
		for range c.count(2) {
			*ops = append(*ops, c.op(depth))
			if c.err != nil {
				return t
			}
		}
	}
	return t
}

func (c *cursor) compare() Compare {
	p := Compare{Subject: Subject(c.byte()), Relation: Relation(c.byte())}
	p.Key, p.End = c.bytes(), c.bytes()
	p.Number, p.Value = c.int(), c.bytes()
	return p
}
