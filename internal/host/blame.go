package host

import (
	"errors"
	"fmt"

	"github.com/lockstep-rsm/lockstep/machine"
)

// machineError is a failure of a machine itself, as against one of the disk under it.
type machineError struct{ err error }

func (e *machineError) Error() string { return e.err.Error() }
func (e *machineError) Unwrap() error { return e.err }

// panicked is the error of a panic that the calling deferred function has recovered from.
func panicked(where string, p any) error {
	return &machineError{fmt.Errorf("%s panicked: %v [%s]", where, p, machine.PanicFrames())}
}

// blame says which command of the batch the machine failed at, as far as that can be known from outside: of
// many, the first that it had not answered, as the two functions of machine.Define are asked one command at a
// time; a machine that answers later than it executes may have failed at a later one. The machine is not
// called again to find out.
func (l *lane) blame() string {
	n := l.results.Len()
	if len(l.cmds) == 1 {
		return nameCommand(&l.cmds[0])
	}
	text := fmt.Sprintf("entries %d..%d, with %d of %d commands answered", l.spans[0].entry.Index, l.spans[len(l.spans)-1].entry.Index, n, len(l.cmds))
	if n < len(l.cmds) {
		text += ", the next being " + nameCommand(&l.cmds[n])
	}
	return text
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
		return "its state is not to be trusted: replace this host; the others serve on"
	case errors.As(err, &own):
		return "fix the machine and restart this host: it goes on before the command that failed. Other groups, and replicas that did not fail, serve on"
	}
	return "see the disk of this host, then restart or replace it; the others serve on"
}
