package env

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func interrupted(err error) bool { return errors.Is(err, unix.EINTR) }

func isUnsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
}

// openDirect returns nil where the file system has no direct writes (tmpfs, some overlays).
func openDirect(path string) *os.File {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_DIRECT|unix.O_DSYNC, 0)
	if err != nil {
		return nil
	}
	return f
}

func fdatasync(f *os.File) error {
	return control(f, interrupted, func(fd uintptr) error { return unix.Fdatasync(int(fd)) })
}

func syncNames(d *os.File) error { return d.Sync() }

// reserve takes the blocks without moving the end of the file. A file system without the call
// finds out about lack of space while zeroes are written.
func reserve(f *os.File, off, n int64) (reserved bool, err error) {
	err = control(f, interrupted, func(fd uintptr) error {
		return unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return false, nil
	}
	return err == nil, err
}

func dropCache(f *os.File) error {
	return control(f, interrupted, func(fd uintptr) error {
		return unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED)
	})
}

// lockFile takes the lock, and says whether another process, or another open of this one, holds it. It is one of the
// open file, as flock's is, of the kind that can be asked about without being taken: who only looks never is in the way
// of a process that starts.
func lockFile(f *os.File) (held bool, err error) {
	err = fcntl(f, unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return true, nil
	}
	return false, err
}

// isLocked says whether somebody holds the lock.
func isLocked(f *os.File) (held bool, err error) {
	l := unix.Flock_t{Type: unix.F_WRLCK}
	err = fcntl(f, unix.F_OFD_GETLK, &l)
	return err == nil && l.Type != unix.F_UNLCK, err
}

// fcntl does one with a lock of the whole file: from its start, without an end.
func fcntl(f *os.File, cmd int, l *unix.Flock_t) error {
	return control(f, interrupted, func(fd uintptr) error { return unix.FcntlFlock(fd, cmd, l) })
}

func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	for {
		err := unix.Statfs(dir, &s)
		if err == nil {
			return int64(s.Bavail) * s.Bsize, nil
		}
		if !interrupted(err) {
			return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
		}
	}
}

// bootID is empty where the kernel does not tell: then every start counts as one after power loss.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
