package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

// Outcome is what is known about a command after a call.
type Outcome uint8

// The outcomes; the zero value promises nothing.
const (
	Unknown Outcome = iota
	NotCommitted
	Committed
)

// The errors of calls. Package lockstep gives them to users, and documents them there.
var (
	ErrBusy        = errors.New("too much is waiting: a byte budget is full")
	ErrTooLarge    = errors.New("command is longer than the group's MaxEntryBytes")
	ErrNoSpace     = errors.New("disk is full")
	ErrHalted      = errors.New("group is halted")
	ErrDropped     = errors.New("a new leader's log lacks the command")
	ErrNoQuorum    = errors.New("no majority answered in time")
	ErrQuarantined = errors.New("replica is quarantined")
	ErrEvicted     = errors.New("session was evicted, or closed")
	ErrClosed      = errors.New("host is closed")
	ErrSkipped     = errors.New("a snapshot passed over the command's place")
	ErrForgotten   = errors.New("too long ago: what became of it is not kept any more")
	ErrNever       = errors.New("command was never committed and is refused from now on")
	ErrRefused     = errors.New("configuration change refused")
	ErrExists      = errors.New("group exists with other options")
	ErrNoGroup     = errors.New("no such group")
	ErrNoReplica   = errors.New("no replica of the group on this host")
	ErrNoMachine   = errors.New("no such machine on this host")
	ErrStale       = errors.New("replica is older than MaxAge")
	ErrRecovering  = errors.New("recovering")
	ErrBehind      = errors.New("replica did not get to the read in time")
	ErrOptions     = errors.New("impossible option")
	ErrDir         = errors.New("data directory cannot be used")
	ErrLog         = errors.New("log failed: this host is stopped until restarted")
	ErrContext     = env.ErrContext
)

// Fault is the error of one call: what is known of its command, and why there is no plain result.
type Fault struct {
	Outcome    Outcome
	RetryAfter time.Duration
	Err        error
}

// Error implements error.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap gives the reason.
func (f *Fault) Unwrap() error { return f.Err }

func notCommitted(err error) *Fault { return &Fault{Outcome: NotCommitted, Err: err} }
func unknown(err error) *Fault      { return &Fault{Outcome: Unknown, Err: err} }

// asError is what callers are told of why a replica serves no more; nil: it does.
func (g *group) asError(why error) error {
	switch {
	case why == nil:
		return nil
	case errors.Is(why, errDestroyed):
		return fmt.Errorf("%w: group %d was destroyed", ErrNoGroup, g.id)
	case errors.Is(why, errRemoved):
		return fmt.Errorf("%w: group %d: it was removed", ErrNoReplica, g.id)
	}
	return fmt.Errorf("%w: %w", ErrQuarantined, why)
}
