package env

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

func interrupted(err error) bool { return errors.Is(err, unix.EINTR) }

func isUnsupported(error) bool { return false }

// openDirect: darwin has no direct synchronous writes.
func openDirect(string) *os.File { return nil }

// fdatasync is os.File.Sync, which asks darwin for F_FULLFSYNC: its plain fsync leaves the data
// in the drive's cache.
func fdatasync(f *os.File) error { return f.Sync() }

func syncNames(d *os.File) error { return d.Sync() }

func reserve(*os.File, int64, int64) (reserved bool, err error) { return false, nil }

func dropCache(*os.File) error { return nil }

func lockFile(f *os.File) (held bool, err error) { return flock(f, unix.LOCK_EX) }

// isLocked takes the lock for a moment, shared with others who only look: a process that starts just then is refused.
func isLocked(f *os.File) (held bool, err error) { return flock(f, unix.LOCK_SH) }

func flock(f *os.File, how int) (held bool, err error) {
	err = control(f, interrupted, func(fd uintptr) error {
		return unix.Flock(int(fd), how|unix.LOCK_NB)
	})
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// bootID is the time of the last boot. It is empty where the kernel does not tell: then every
// start counts as one after power loss.
func bootID() string {
	t, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return strconv.FormatInt(t.Sec, 10) + "." + strconv.FormatInt(int64(t.Usec), 10)
}
