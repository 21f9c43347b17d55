package wire

import (
	"errors"
	"fmt"
)

// ErrCorrupt is what every decoder's error is, by errors.Is: the bytes are not what an encoder of
// a known version has written.
var ErrCorrupt = errors.New("corrupt bytes")

// A CorruptError says which bytes are not what they should be. It satisfies errors.Is(err,
// ErrCorrupt).
type CorruptError struct {
	What     string // the format's word for the thing, with its file where there is one
	Offset   int    // in bytes, from the start of what was decoded, or of the file
	Expected string
	Found    string
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("decode %s at offset %d: expected %s, found %s", e.What, e.Offset, e.Expected, e.Found)
}

// Is makes every CorruptError an ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// short is the error of a decoder that ran out of bytes.
func short(what string, offset, want, have int) error {
	return &CorruptError{
		What: what, Offset: offset,
		Expected: fmt.Sprintf("%d bytes", want), Found: fmt.Sprintf("%d bytes", have),
	}
}
