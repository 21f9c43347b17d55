package kv

import (
	"encoding/binary"
	"fmt"
)

// AppendBinary appends the result in this package's own form. It fails if the result has not exactly
// one field set.
func (r *Result) AppendBinary(b []byte) ([]byte, error) {
	b, ok := r.append(b)
	if !ok {
		return nil, fmt.Errorf("encode result: %w", errNoOp)
	}
	return b, nil
}

// UnmarshalBinary is the twin of AppendBinary. All slices become parts of data, which is not to be
// changed while the result is in use.
func (r *Result) UnmarshalBinary(data []byte) error {
	c := cursor{rest: data}
	*r = c.result(MaxTxnDepth)
	return c.end("result")
}

func (r *Result) append(b []byte) ([]byte, bool) {
	switch {
	case r.Range != nil:
		b = append(b, tagRange, flags(r.Range.More))
		b = appendInts(b, r.Revision, r.Range.Revision, r.Range.Count)
		return appendKVs(b, r.Range.KVs), true
	case r.Put != nil:
		b = appendInts(append(b, tagPut, flags(r.Put.Prev != nil)), r.Revision)
		if r.Put.Prev != nil {
			b = appendKV(b, r.Put.Prev)
		}
		return b, true
	case r.Delete != nil:
		b = appendInts(append(b, tagDelete), r.Revision, r.Delete.Deleted)
		return appendKVs(b, r.Delete.Prevs), true
	case r.Txn != nil:
		b = appendInts(append(b, tagTxn, flags(r.Txn.Succeeded)), r.Revision)
		b = binary.AppendUvarint(b, uint64(len(r.Txn.Results)))
		ok := true
		for i := range r.Txn.Results {
			if b, ok = r.Txn.Results[i].append(b); !ok {
				break
			}
		}
		return b, ok
	case r.Compact != nil:
		return appendInts(append(b, tagCompact), r.Revision), true
	case r.Hash != nil:
		b = appendInts(append(b, tagHash), r.Revision, r.Hash.Revision, r.Hash.CompactRevision)
		return binary.LittleEndian.AppendUint64(b, r.Hash.Hash), true
	}
	return b, false
}

func appendKVs(b []byte, kvs []*KeyValue) []byte {
	b = binary.AppendUvarint(b, uint64(len(kvs)))
	for _, kv := range kvs {
		b = appendKV(b, kv)
	}
	return b
}

func appendKV(b []byte, kv *KeyValue) []byte {
	b = appendBytes(b, kv.Key)
	b = appendInts(b, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease)
	return appendBytes(b, kv.Value)
}

func (c *cursor) result(depth int) (r Result) {
	switch tag := c.byte(); tag {
	case tagRange:
		f := c.enum("flags of range", 1)
		r.Revision = c.int()
		r.Range = &RangeResult{Revision: c.int(), Count: c.int(), More: f&1 != 0, KVs: c.kvs()}
	case tagPut:
		f := c.enum("flags of put", 1)
		r.Revision = c.int()
		r.Put = &PutResult{}
		if f&1 != 0 {
			r.Put.Prev = c.kv()
		}
	case tagDelete:
		r.Revision = c.int()
		r.Delete = &DeleteResult{Deleted: c.int(), Prevs: c.kvs()}
	case tagTxn:
		f := c.enum("flags of transaction", 1)
		r.Revision = c.int()
		r.Txn = &TxnResult{Succeeded: f&1 != 0, Results: c.results(depth - 1)}
	case tagCompact:
		r.Revision = c.int()
		r.Compact = &CompactResult{}
	case tagHash:
		r.Revision = c.int()
		r.Hash = &HashResult{Revision: c.int(), CompactRevision: c.int()}
		if len(c.rest) < 8 {
			c.fail(errShort)
			return r
		}
		r.Hash.Hash = binary.LittleEndian.Uint64(c.rest)
		c.rest = c.rest[8:]
	default:
		c.fail(fmt.Errorf("result is of kind %d", tag))
	}
	return r
}

func (c *cursor) results(depth int) (rs []Result) {
	if depth < 0 {
		c.fail(errNested)
		return nil
	}
	for range c.count(2) {
		rs = append(rs, c.result(depth))
		if c.err != nil {
			return nil
		}
	}
	return rs
}

func (c *cursor) kvs() (kvs []*KeyValue) {
	for range c.count(6) {
		kvs = append(kvs, c.kv())
		if c.err != nil {
			return nil
		}
	}
	return kvs
}

func (c *cursor) kv() *KeyValue {
	kv := &KeyValue{Key: c.bytes()}
	kv.CreateRevision, kv.ModRevision = c.int(), c.int()
	kv.Version, kv.Lease = c.int(), c.int()
	kv.Value = c.bytes()
	return kv
}
