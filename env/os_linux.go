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
// finds out about lack of space while the zeroes are written.
func reserve(f *os.File, off, n int64) error {
	err := control(f, interrupted, func(fd uintptr) error {
		return unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

func dropCache(f *os.File) error {
	return control(f, interrupted, func(fd uintptr) error {
		return unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED)
	})
}

// lockFile says whether another process, or another open of this one, holds the lock.
func lockFile(f *os.File, shared bool) (held bool, err error) {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
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
