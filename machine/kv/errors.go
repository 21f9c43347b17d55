package kv

import "github.com/lockstep-rsm/lockstep/machine"

// The refusals of this machine. errors.Is finds them on any host; codes are never reused.
var (
	// ErrEmptyKey refuses an operation or a comparison without a key.
	ErrEmptyKey = &machine.Refusal{Code: 100, Text: "key is empty"}
	// ErrTooManyOps refuses a transaction with more comparisons or operations than MaxTxnOps.
	ErrTooManyOps = &machine.Refusal{Code: 101, Text: "transaction has too many operations"}
	// ErrDuplicateKey refuses a transaction that changes a key twice.
	ErrDuplicateKey = &machine.Refusal{Code: 102, Text: "transaction changes a key twice"}
	// ErrCompacted refuses a read below, or a compaction not above, the compact revision.
	ErrCompacted = &machine.Refusal{Code: 103, Text: "revision has been compacted"}
	// ErrFutureRev refuses a revision that the store has not reached.
	ErrFutureRev = &machine.Refusal{Code: 104, Text: "revision is in the future"}
	// ErrKeyNotFound refuses a Put that keeps the value or the lease of a key that is not there, and
	// an operation of a transaction that is none.
	ErrKeyNotFound = &machine.Refusal{Code: 105, Text: "key is not there"}
	// ErrValueProvided refuses a Put with IgnoreValue and a value.
	ErrValueProvided = &machine.Refusal{Code: 106, Text: "a value is given and is to be ignored"}
	// ErrLeaseProvided refuses a Put with IgnoreLease and a lease.
	ErrLeaseProvided = &machine.Refusal{Code: 107, Text: "a lease is given and is to be ignored"}
	// ErrLeaseNotFound refuses a Put with a lease that does not exist.
	ErrLeaseNotFound = &machine.Refusal{Code: 108, Text: "lease is not there"}
	// ErrNoSpace refuses a write for lack of space. The machine itself never gives it; it is for the
	// server in front of it.
	ErrNoSpace = &machine.Refusal{Code: 109, Text: "space is exhausted"}
	// ErrInvalidSort refuses a Range with an order or a target that there is not.
	ErrInvalidSort = &machine.Refusal{Code: 110, Text: "sort option is not known"}
	// ErrNotQuery refuses a query that would write.
	ErrNotQuery = &machine.Refusal{Code: 111, Text: "operation is not a query"}
	// ErrNotCommand refuses a command that is only a query, and a Compact or Hash within a Txn.
	ErrNotCommand = &machine.Refusal{Code: 112, Text: "operation is not a command"}
)

// refuse is an error as the refusal it is; every error of this package's checks is one.
func refuse(err error) *machine.Refusal {
	if r, ok := err.(*machine.Refusal); ok {
		return r
	}
	return &machine.Refusal{Code: machine.CodeMalformed, Text: err.Error()}
}
