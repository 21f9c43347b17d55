package etcdapi

import "errors"

// What a Group reports, beside refusals of the machine.
var (
	ErrBusy        = errors.New("byte budget is full")            // ErrBusy: not committed, later it may be
	ErrTooLarge    = errors.New("command is too long")            // ErrTooLarge: not committed
	ErrNoSpace     = errors.New("disk is full")                   // ErrNoSpace: not committed, clears by itself
	ErrDropped     = errors.New("leader's log lacks the command") // ErrDropped: not committed
	ErrHalted      = errors.New("group is halted")                // ErrHalted: not committed
	ErrNoQuorum    = errors.New("no majority answers")            // ErrNoQuorum: of a proposal, its outcome is unknown
	ErrQuarantined = errors.New("replica is quarantined")         // ErrQuarantined: this replica cannot
	ErrClosed      = errors.New("host is closed")                 // ErrClosed: this host has stopped
	ErrStale       = errors.New("state is too old")               // ErrStale: this host is behind
)
