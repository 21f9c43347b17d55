//go:build !linux && !darwin

package env

import (
	"math"
	"os"
	"runtime"
)

// This file lets the engine compile everywhere: the simulator runs in a browser. It promises
// nothing for data on such a system: no lock, no knowledge of boots or space.

func isUnsupported(error) bool { return false }

func openDirect(string) *os.File { return nil }

func fdatasync(f *os.File) error { return f.Sync() }

func writeNow(uintptr, []byte) (int, error) { return 0, nil }

// syncNames: Windows cannot sync a directory, and needs not to.
func syncNames(d *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return d.Sync()
}

func reserve(*os.File, int64, int64) (reserved bool, err error) { return false, nil }

func dropCache(*os.File) error { return nil }

func lockFile(*os.File) (held bool, err error) { return false, nil }
func isLocked(*os.File) (held bool, err error) { return false, nil }

func freeBytes(string) (int64, error) { return math.MaxInt64, nil }

func bootID() string { return "" }
