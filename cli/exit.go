package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1   // see the message
	exitUsage       = 2   // wrong usage: nothing was tried
	exitNotDone     = 3   // not done, safe to retry
	exitUnknown     = 4   // it may have been done: look before you retry
	exitNo          = 5   // the answer is "no"
	exitInterrupted = 130 // by Ctrl-C
)

// codedError is an error that knows its exit code.
type codedError struct {
	code int
	err  error // nil: nothing is to be said
}

func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return &codedError{exitUsage, err}
}

// each is several errors in one line; those that are nil are left out.
type each []error

func (e each) Error() string {
	var texts []string
	for _, err := range e {
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	return strings.Join(texts, "; ")
}

func (e each) Unwrap() []error {
	return slices.DeleteFunc(slices.Clone(e), func(err error) bool { return err == nil })
}

// notSent says that no server was reached at all.
type notSent struct{ err error }

func (e *notSent) Error() string { return e.err.Error() }
func (e *notSent) Unwrap() error { return e.err }

// exitCode is what a script is told.
func exitCode(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

// asked gives the error of a request its exit code; writes that got no answer are unknown.
func asked(err error, write bool, timeout time.Duration) error {
	if err == nil {
		return nil
	}
	var unsent *notSent
	if errors.As(err, &unsent) {
		return &codedError{exitNotDone, err}
	}
	text := errors.New(status.Convert(err).Message())
	if text.Error() == context.DeadlineExceeded.Error() || strings.Contains(text.Error(), "RST_STREAM") { // gRPC's words for a call that its timeout cut
		text = fmt.Errorf("no answer within %v: lockstep status tells why", timeout)
	}
	var told *outcomeError
	never := errors.As(err, &told) && told.outcome == "not_committed"
	switch status.Code(err) {
	case codes.InvalidArgument, codes.OutOfRange, codes.NotFound, codes.FailedPrecondition, codes.AlreadyExists, codes.PermissionDenied:
		return &codedError{exitNo, text}
	case codes.ResourceExhausted:
		return &codedError{exitNotDone, text}
	case codes.Canceled:
		return &codedError{exitInterrupted, text}
	case codes.Unavailable, codes.DeadlineExceeded:
		if write && !never {
			return &codedError{exitUnknown, errors.New(text.Error() + ". The write may have been done, or may yet be: read before you repeat it")}
		}
		if !strings.Contains(text.Error(), "lockstep status") {
			text = fmt.Errorf("%w. lockstep status tells why", text)
		}
		return &codedError{exitNotDone, text}
	}
	return &codedError{exitFailed, text}
}
