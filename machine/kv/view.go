package kv

import (
	"io"

	"github.com/lockstep-rsm/lockstep/machine"
)

// A View is the store at one moment. A server in the same process gets it with Group.View and calls
// its methods; they are safe for concurrent use until Close. What they give out is shared and must
// not be changed; it stays valid after Close.
type View struct{ state state }

// Revision is the store's newest revision.
func (v *View) Revision() int64 { return v.state.revision }

// CompactRevision is the revision of the last compaction; −1: there was none. Reads below it are
// refused.
func (v *View) CompactRevision() int64 { return v.state.compacted }

// Compacting reports whether versions below CompactRevision are still held, to be freed.
func (v *View) Compacting() bool { return v.state.pending() }

// Len is the number of keys.
func (v *View) Len() int { return v.state.live.Len() }

// Size gives the bytes of the keys and values that are there, and about what all that is held takes
// in memory: with its history, and with what a compaction has still to free.
func (v *View) Size() (logical, inUse int64) { return v.state.logical, v.state.held }

// Range reads keys. It is refused as by Op.Check, with ErrCompacted and with ErrFutureRev. A page of
// a large span costs the page; sorts, filters, and reads at an old revision cost the span.
func (v *View) Range(r *Range) (*RangeResult, error) {
	if err := (&Op{Range: r}).Check(MaxTxnOps); err != nil {
		return nil, err
	}
	return v.state.read(r, v.state.revision)
}

// Get is the newest version of a key, or nil if it is not there.
func (v *View) Get(key []byte) *KeyValue {
	if at := v.state.get(key); at != nil {
		return &at.KeyValue
	}
	return nil
}

// Txn executes a transaction that only reads; one that may write is refused with ErrNotQuery.
func (v *View) Txn(t *Txn) (*TxnResult, error) {
	if t.Writes() {
		return nil, ErrNotQuery
	}
	if err := (&Op{Txn: t}).Check(MaxTxnOps); err != nil {
		return nil, err
	}
	own := v.state // run sets fields of the state, to what they were
	result, err := own.txn(t)
	return result.Txn, err
}

// Hash is over all that is held up to a revision; 0: the newest. It is refused with ErrCompacted and
// ErrFutureRev.
func (v *View) Hash(revision int64) (HashResult, error) { return v.state.hash(revision) }

// Query answers an encoded Op, which must not write, with an encoded Result; see machine.View.
func (v *View) Query(q []byte, w io.Writer) error {
	var op Op
	if err := op.UnmarshalBinary(q); err != nil {
		return &machine.Refusal{Code: machine.CodeMalformed, Text: err.Error()}
	}
	result, err := v.answer(&op)
	if err != nil {
		return refuse(err)
	}
	b, err := result.AppendBinary(nil)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

func (v *View) answer(op *Op) (r Result, err error) {
	r.Revision = v.state.revision
	switch {
	case op.Range != nil:
		r.Range, err = v.Range(op.Range)
	case op.Txn != nil:
		r.Txn, err = v.Txn(op.Txn)
	case op.Hash != nil:
		var h HashResult
		h, err = v.Hash(op.Hash.Revision)
		r.Hash = &h
	default:
		err = ErrNotQuery
	}
	return r, err
}

// Save writes the store; equal states give equal bytes. See machine.View.
func (v *View) Save(w *machine.Writer) error { return v.state.save(w) }

// Close gives the view up. It is called once.
func (v *View) Close() error {
	v.state = state{}
	return nil
}
