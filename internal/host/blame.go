package host

import (
	"errors"
	"fmt"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// machineError is a failure of a machine itself, as against one of the disk under it.
type machineError struct {
	err   error
	at    place  // the command, if it is known; else zero
	data  []byte // of that command
	batch bool   // of many commands one did it: given one at a time they would say which
}

// ofMachine is the machine's failure that err is of; nil: it is of something else.
func ofMachine(err error) *machineError {
	var own *machineError
	if !errors.As(err, &own) {
		return nil
	}
	return own
}

// place of a command in the order of all commands of a group.
type place struct {
	index   raft.Index
	ordinal uint32
}

func (p place) String() string { return fmt.Sprintf("%d.%d", p.index, p.ordinal) }

func (e *machineError) Error() string { return e.err.Error() }
func (e *machineError) Unwrap() error { return e.err }

// panicked is the error of a panic that the calling deferred function has recovered from.
func panicked(where string, p any) *machineError {
	return &machineError{err: fmt.Errorf("%s panicked: %v [%s]", where, p, machine.PanicFrames())}
}

// blame says which of the commands [from, to) of the batch the machine failed at, as far as that can be known
// from outside: of many, the first that it had not answered, as the two functions of machine.Define are asked
// one command at a time; a machine that answers later than it executes may have failed at a later one.
func (l *lane) blame(from, to int) string {
	cmds, n := l.cmds[from:to], l.results.Len()-from
	if len(cmds) == 1 {
		return nameCommand(&cmds[0])
	}
	text := fmt.Sprintf("entries %d..%d, with %d of %d commands answered", cmds[0].Index, cmds[len(cmds)-1].Index, n, len(cmds))
	if n < len(cmds) {
		text += ", the next being " + nameCommand(&cmds[n])
	}
	return text
}

// failedAt adds to a machine's failure at commands [from, to) which of them it was, if that is known.
func (l *lane) failedAt(from, to int, err *machineError) error {
	if to-from > 1 {
		err.batch = true
		return err
	}
	c := &l.cmds[from]
	err.at, err.data = place{raft.Index(c.Index), c.Ordinal}, append([]byte(nil), c.Data...)
	return err
}

// maxNamedBytes bounds how much of a command an error shows.
const maxNamedBytes = 64

func nameCommand(c *machine.Command) string {
	if c.Tick {
		return fmt.Sprintf("tick %d", c.Index)
	}
	if len(c.Data) > maxNamedBytes {
		return fmt.Sprintf("command %d.%d %q… of %d bytes", c.Index, c.Ordinal, c.Data[:maxNamedBytes], len(c.Data))
	}
	return fmt.Sprintf("command %d.%d %q", c.Index, c.Ordinal, c.Data)
}

// remedy is what a person does about a replica that was stopped.
func remedy(err error) string {
	var own *machineError
	switch {
	case errors.Is(err, errDiverged):
		return "its state differs though it was made anew: look at this host's memory and disk, then replace it; the others serve on"
	case errors.As(err, &own) && own.at.index != 0:
		return "fix the machine and restart this host: it goes on before the command that failed. Where every replica stopped at it, it may be " +
			"passed over instead: lockstep group skip " + own.at.String() + ". Other groups, and replicas that did not fail, serve on"
	case errors.As(err, &own):
		return "fix the machine and restart this host: it goes on before the command that failed. Other groups, and replicas that did not fail, serve on"
	}
	return "see the disk of this host, then restart or replace it; the others serve on"
}
