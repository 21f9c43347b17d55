package kv

// An Op is one operation: exactly one field is set. Put, Delete, Txn and Compact are commands;
// Range, Hash and a Txn that only reads are queries. Within a Txn there may be Range, Put, Delete and
// Txn.
type Op struct {
	Range   *Range
	Put     *Put
	Delete  *DeleteRange
	Txn     *Txn
	Compact *Compact
	Hash    *Hash
}

// Put writes one key.
type Put struct {
	Key, Value  []byte
	Lease       int64 // 0: none, which detaches the key from a lease it had
	PrevKV      bool  // the result carries what was there before
	IgnoreValue bool  // keep the value that is there; Value must be empty
	IgnoreLease bool  // keep the lease that is there; Lease must be 0
}

// DeleteRange deletes the keys of a span, as End says in Range.
type DeleteRange struct {
	Key, End []byte
	PrevKV   bool // the result carries what was there before
}

// Range reads the keys of a span in ascending order.
//
// End empty: Key alone. End "\x00": Key and all above it (with Key "\x00" too: all there are). Else
// the keys from Key up to, and without, End.
type Range struct {
	Key, End  []byte
	Revision  int64 // at which to read; 0 and below: now
	Limit     int64 // at most so many keys; 0 and below: all
	Order     Order
	Target    Target
	CountOnly bool // no keys, only how many
	KeysOnly  bool // no values

	MinModRevision, MaxModRevision       int64 // keys outside are left out, but counted; 0: no bound
	MinCreateRevision, MaxCreateRevision int64
}

// Order is the direction in which a Range sorts.
type Order uint8

// The orders. With NoOrder and a target other than ByKey, the first Limit+1 keys are taken in the
// order of keys, and are then sorted ascending.
const (
	NoOrder Order = iota
	Ascend
	Descend
)

// Target is what a Range sorts by, or a Compare looks at. Equal ones stay in the order of keys.
type Target uint8

// The targets of a Range.
const (
	ByKey Target = iota
	ByVersion
	ByCreate
	ByMod
	ByValue
)

// A Txn is a transaction: if all comparisons hold, Success is executed, else Failure. All
// comparisons, of nested transactions too, see the store before the first operation. It makes one
// revision if it changes anything.
type Txn struct {
	Compares         []Compare
	Success, Failure []Op
}

// A Compare holds if all keys of the span, as End says in Range, stand in the relation to the
// operand. If there is no key, one on OfValue fails, and the others see a key whose numbers are all 0.
type Compare struct {
	Key, End []byte
	Subject  Subject
	Relation Relation
	Number   int64  // the operand, unless Subject is OfValue
	Value    []byte // the operand if Subject is OfValue
}

// Subject is what a Compare looks at.
type Subject uint8

// The subjects.
const (
	OfVersion Subject = iota
	OfCreate
	OfMod
	OfValue
	OfLease
)

// Relation is how a Compare relates the key to the operand.
type Relation uint8

// The relations.
const (
	Equal Relation = iota
	Greater
	Less
	NotEqual
)

// Compact forgets all versions that are superseded or deleted at Revision; reads and watches at
// Revision and above stay valid. Revision is above the last compact revision, and reached.
type Compact struct{ Revision int64 }

// Hash asks for a hash of all that is held up to Revision; 0: up to now.
type Hash struct{ Revision int64 }

// Writes reports whether the operation may change the store.
func (o *Op) Writes() bool {
	switch {
	case o.Put != nil, o.Delete != nil, o.Compact != nil:
		return true
	case o.Txn != nil:
		return o.Txn.Writes()
	}
	return false
}

// Writes reports whether any branch of the transaction may change the store.
func (t *Txn) Writes() bool {
	for _, ops := range [2][]Op{t.Success, t.Failure} {
		for i := range ops {
			if ops[i].Writes() {
				return true
			}
		}
	}
	return false
}
