//go:build linux || darwin

package env

import (
	"errors"

	"golang.org/x/sys/unix"
)

// writeNow writes what a descriptor that does not block takes of p.
func writeNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := unix.Write(int(fd), p)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		case !interrupted(err):
			return 0, err
		}
	}
}
