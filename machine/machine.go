package machine

import (
	"encoding"
	"fmt"
	"io"
	"strconv"
	"time"
)

// A StateMachine is a deterministic program: equal commands in equal order give equal state and
// equal results on every replica, however the log is cut into batches. The engine never calls two of
// its methods at once, and none of them may lock, park, start goroutines, or read the clock, the
// order of a map or the value of a pointer.
type StateMachine interface {
	// Apply executes the batch in log order and gives out one result per command. An error or a
	// panic quarantines this replica of this group, no more: it means "cannot". "No" to a client is
	// out.Refuse. Neither the batch nor the Data in it may be kept or changed.
	Apply(batch []Command, out *Results) error

	// View pins the state as it is now, in O(1). The View is used on other goroutines, beside later
	// Applies, until it is closed.
	View() View

	// Load replaces the state by one that a machine running as version v saved, by this build or
	// another one; from then on the machine runs as v, which may be above or below what it ran as. On
	// error the old state stands.
	Load(v Version, r *Reader) error

	// Upgrade says that the log has raised the running version to v, by one: a raise by two is two
	// calls. It is called between two commands, the same two on every replica, and changes the state
	// equally on all. Until then the machine answers, digests and saves as the version before did. An
	// error or a panic quarantines this replica of this group.
	Upgrade(v Version) error

	// Deadline is the log time at which Apply wants a Tick; ok is false if it wants none. It is asked
	// after each batch and after Load.
	Deadline() (t Time, ok bool)

	// Digest is a digest of the whole state, kept incrementally: equal states of equal history give
	// equal digests on every replica, also after Load. ok is false if the machine has none; the chain
	// over its results serves alone then.
	Digest() (d Digest, ok bool)
}

// A View is one state, unchanged until Close. Several goroutines may ask it at once.
type View interface {
	// Query answers q into w. A *Refusal is an answer ("no such key"); any other error sends the
	// reader to another replica. It may not keep q.
	Query(q []byte, w io.Writer) error

	// Save writes the whole state. If equal states give equal bytes, a broken transfer resumes from
	// any replica, else from the same one only.
	Save(w *Writer) error

	// Close unpins the state. It is called exactly once, and nothing after it.
	Close() error
}

// A Kind is what a host is told about a machine, under the name that the group's configuration
// gives. It is asked before an instance exists, from any goroutine.
type Kind struct {
	// Oldest and Newest bound the versions of itself that the machine can run, load and save; the log
	// says which one runs. Zero: 1; Newest below Oldest: Oldest.
	Oldest, Newest Version

	// New makes an empty machine, or opens the one that lies in p.Dir. It may not keep p.
	New func(p *Place) (StateMachine, error)
}

// Index is the place of an entry in a group's log; the first is 1.
type Index uint64

// String is the decimal number.
func (i Index) String() string { return strconv.FormatUint(uint64(i), 10) }

// Version is a version of a machine's behaviour; the first is 1. Two builds of which one may answer
// a command differently have different versions.
type Version uint32

// String is the decimal number.
func (v Version) String() string { return strconv.FormatUint(uint64(v), 10) }

// Time is log time in nanoseconds: it never goes back, runs within 1 % of elapsed time, and stands
// still while there is no leader. It is not a date.
type Time int64

// String is the time as a duration since the log began, such as 1m30s.
func (t Time) String() string { return time.Duration(t).String() }

// Digest is a digest of a state, compared between replicas at marks. As text and in JSON it is 16
// hex digits.
type Digest uint64

// String is the 16 hex digits.
func (d Digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }

// MarshalText gives the 16 hex digits. It never fails.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText takes exactly 16 hex digits.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != 16 {
		return fmt.Errorf("parse digest %q: want 16 hex digits", text)
	}
	n, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil {
		return fmt.Errorf("parse digest %q: want 16 hex digits", text)
	}
	*d = Digest(n)
	return nil
}

var (
	_ encoding.TextMarshaler   = Digest(0)
	_ encoding.TextUnmarshaler = (*Digest)(nil)
)
