package kv

// A KeyValue is one version of a key. What the package hands out is shared: it must not be changed,
// nor the slices in it; it stays valid as long as it is held, also after its View is closed.
type KeyValue struct {
	Key            []byte
	CreateRevision int64 // of the write that made the key, since it was last deleted
	ModRevision    int64 // of the write that made this version
	Version        int64 // counts the writes since the key was made; the first is 1
	Value          []byte
	Lease          int64 // 0: none
}

// A Result is the answer to an Op, and has the field set that the Op had.
type Result struct {
	// Revision is that of the store after the operation. Within a Txn it is what the operation saw:
	// the next revision once something was written; that of a nested Txn is 0.
	Revision int64

	Range   *RangeResult
	Put     *PutResult
	Delete  *DeleteResult
	Txn     *TxnResult
	Compact *CompactResult
	Hash    *HashResult
}

// RangeResult answers a Range.
type RangeResult struct {
	Revision int64       // of the store when it was read, whatever revision was asked for
	KVs      []*KeyValue // shared; see KeyValue
	Count    int64       // keys in the span, whatever the limit and the bounds
	More     bool        // the limit cut something off
}

// PutResult answers a Put.
type PutResult struct{ Prev *KeyValue } // nil if there was none, or it was not asked for

// DeleteResult answers a DeleteRange.
type DeleteResult struct {
	Deleted int64
	Prevs   []*KeyValue // in the order of keys, if asked for
}

// TxnResult answers a Txn: which branch was executed, and one Result per operation of it.
type TxnResult struct {
	Succeeded bool
	Results   []Result
}

// CompactResult answers a Compact.
type CompactResult struct{}

// HashResult answers a Hash. Two replicas with equal Revision and CompactRevision have equal hashes,
// or one of them is wrong.
type HashResult struct {
	Hash            uint64
	Revision        int64 // up to which was hashed
	CompactRevision int64 // −1: none yet
}
