package lockstep

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/host"
	"github.com/lockstep-rsm/lockstep/machine"
)

// Outcome is what is known about a command after a call.
type Outcome uint8

// The outcomes.
const (
	Unknown      Outcome = iota // it may be in the log, now or later: never retry it as a new command
	NotCommitted                // it is not in the log and never will be: retry as you like
	Committed                   // it is in the log for ever: do not retry; the error says why there is no plain result
)

// String names the outcome.
func (o Outcome) String() string {
	switch o {
	case Unknown:
		return "unknown"
	case NotCommitted:
		return "not committed"
	case Committed:
		return "committed"
	}
	return "outcome(" + strconv.Itoa(int(o)) + ")"
}

// OutcomeOf tells what an error says of its command: nil and *machine.Refusal are Committed, an
// error that is not of this package is Unknown. It sees through wrapping.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Committed
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	var no *machine.Refusal
	if errors.As(err, &no) {
		return Committed
	}
	return Unknown
}

// Error wraps every error of a call on a Host, a Group, a Session or a Client, but for a machine's Refusal, which is an
// answer. errors.Is finds in it one of the sentinels, or what the call's context ended with. A call that a majority has
// to answer and whose time is over is ErrNoQuorum, one that only this replica has to is ErrBehind; by its context's
// deadline either is also context.DeadlineExceeded.
type Error struct {
	Op         string        // the method, such as "Propose"
	Group      GroupID       // 0: the call concerns none
	Outcome    Outcome       // what is known of the command
	RetryAfter time.Duration // with ErrBusy: a hint
	Err        error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Group == 0 {
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s on group %d: %v (%s)", e.Op, e.Group, e.Err, e.Outcome)
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// Errors of calls. NotCommitted; in a Session and under a Token the Outcome says, as an earlier try may be in the log.
var (
	ErrBusy      = host.ErrBusy      // a byte budget is full; Error.RetryAfter hints when to come again
	ErrTooLarge  = host.ErrTooLarge  // the command is longer than Settings.MaxEntryBytes
	ErrNoSpace   = host.ErrNoSpace   // the leader's disk is full; clears by itself
	ErrHalted    = host.ErrHalted    // the group is halted: see Settings.Halt; or its end was begun: Destroy it again
	ErrDropped   = host.ErrDropped   // a new leader's log lacks the command; Propose sends it anew, as sessions and tokens do: of them it is the last word where ctx ends
	ErrExists    = host.ErrExists    // the group exists with other options
	ErrNoGroup   = host.ErrNoGroup   // the group was destroyed, or never created
	ErrNoReplica = host.ErrNoReplica // this host holds no replica of the group
	ErrNoMachine = host.ErrNoMachine // Options.Machines lacks the group's machine, or its version
	ErrStale     = host.ErrStale     // no state as young as ReadOptions.MaxAge
	ErrRefused   = host.ErrRefused   // a change of a configuration was not begun: see *RefusedError
	// ErrRecovering: with Stale, and of NewToken, this replica has not yet executed all that was committed before its
	// process started. It ends as soon as the machine has, after there was a leader.
	ErrRecovering = host.ErrRecovering
	// ErrBehind: the time of a read at AtLeast or Stale is over, and this replica has not executed what it must see, or
	// not got to it. No majority is asked for these.
	ErrBehind = host.ErrBehind
)

// Errors of calls whose Outcome says what is known.
var (
	ErrNoQuorum    = host.ErrNoQuorum    // no majority answered in time; NotCommitted if the command was never sent
	ErrQuarantined = host.ErrQuarantined // the machine failed on this replica
	ErrClosed      = host.ErrClosed      // the host is closed
	ErrSkipped     = host.ErrSkipped     // Unknown: a snapshot passed over the command's place
	ErrEvicted     = host.ErrEvicted     // the session is no more: evicted, unused for too long, or closed
	ErrForgotten   = host.ErrForgotten   // Committed: it ran, and its result is kept no more. Unknown: its token is older than what is remembered
	ErrNever       = host.ErrNever       // NotCommitted: a Lookup was there first; it never runs
)

// Errors of Open, and of a host's life.
var (
	ErrOptions = host.ErrOptions // which field, and what it may be
	ErrDir     = host.ErrDir     // directory in use, of another host or cluster, wiped, or damaged
	ErrLog     = host.ErrLog     // a failed write or sync: this host is stopped until restarted
	ErrContext = host.ErrContext // in a simulation: a context that can end on the real clock
)

// RefusedError says why a change of a configuration was not begun, and what is in force: errors.Is(err, ErrRefused), and
// NotCommitted. Where Begun, it is neither, and Unknown: somebody whose answer was lost may have begun the change before
// it was refused.
type RefusedError struct {
	Reason  string
	InForce Configuration
	Begun   bool
}

// Error implements error.
func (e *RefusedError) Error() string {
	return (&host.RefusedError{Reason: e.Reason, Begun: e.Begun}).Error()
}

// Is makes every RefusedError of a change that was not begun an ErrRefused.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused && !e.Begun }

// queryFault is fault for a call that carries no command: none of it is in the log.
func queryFault(op string, group GroupID, err error) error {
	return nothingSent(fault(op, group, err))
}

func nothingSent(err error) error {
	if e, ok := err.(*Error); ok {
		e.Outcome = NotCommitted
	}
	return err
}

// fault turns the engine's error into the caller's. A deadline that ends a call is no other reason than CallTimeout:
// nobody's answer came in time.
func fault(op string, group GroupID, err error) error {
	err = faultOfWait(op, group, err)
	e, ok := err.(*Error)
	switch {
	case !ok || !errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, ErrNoQuorum) || errors.Is(e.Err, ErrBehind):
	case e.Err == context.DeadlineExceeded:
		e.Err = errLate
	default:
		e.Err = fmt.Errorf("%w: %w", ErrNoQuorum, e.Err)
	}
	return err
}

// errLate is one value, as the sentinels are: it may be compared and counted.
var errLate = fmt.Errorf("%w: %w", ErrNoQuorum, context.DeadlineExceeded)

// faultOfWait is fault for what ctx alone ends, and no majority has to answer.
func faultOfWait(op string, group GroupID, err error) error {
	if err == nil {
		return nil
	}
	var no *machine.Refusal
	if errors.As(err, &no) {
		return no
	}
	e := &Error{Op: op, Group: group, Err: err}
	var f *host.Fault
	if errors.As(err, &f) {
		e.Outcome, e.RetryAfter, e.Err = Outcome(f.Outcome), f.RetryAfter, f.Err
	}
	var refused *host.RefusedError
	if errors.As(err, &refused) {
		e.Err = &RefusedError{Reason: refused.Reason, InForce: configuration(&refused.InForce), Begun: refused.Begun}
		if e.Outcome = NotCommitted; refused.Begun {
			e.Outcome = Unknown
		}
	}
	return e
}
