package env

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// osFS is the operating system's disk. Errors are *fs.PathError and *os.LinkError: they name the
// operation and the file, and unwrap to the system's error number.
type osFS struct{}

func (osFS) Open(name string, mode Mode) (File, error) {
	flag := os.O_RDONLY
	if mode&(Write|Create) != 0 {
		flag = os.O_RDWR
	}
	if mode&Create != 0 {
		flag |= os.O_CREATE | os.O_EXCL
	}
	path := filepath.FromSlash(name)
	f, err := os.OpenFile(path, flag, 0o644)
	if err != nil {
		return nil, err
	}
	file := &osFile{f: f}
	if mode&Direct != 0 && mode&(Write|Create) != 0 {
		file.aligned = true
		file.direct = openDirect(path)
	}
	return file, nil
}

func (osFS) Stat(name string) (FileInfo, error) {
	info, err := os.Stat(filepath.FromSlash(name))
	if err != nil {
		return FileInfo{}, err
	}
	return infoOf(info), nil
}

func (osFS) ReadDir(dir string) ([]FileInfo, error) {
	entries, err := os.ReadDir(filepath.FromSlash(dir)) // sorted by name
	if err != nil {
		return nil, err
	}
	infos := make([]FileInfo, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since the directory was read
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, infoOf(info))
	}
	return infos, nil
}

func infoOf(info fs.FileInfo) FileInfo {
	return FileInfo{Name: info.Name(), Size: info.Size(), Dir: info.IsDir()}
}

// MkdirAll makes the missing directories from the top and syncs the parent of each, and the
// parent of dir in any case: a process that died between the two steps may have made it.
func (s osFS) MkdirAll(dir string) error {
	path := filepath.Clean(filepath.FromSlash(dir))
	var missing []string
	for p := path; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err == nil && info.IsDir() {
			break
		}
		if err == nil {
			return &fs.PathError{Op: "mkdir", Path: p, Err: errors.New("a file is in the way")}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, p)
		if filepath.Dir(p) == p {
			break
		}
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(missing[i], 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := syncDir(filepath.Dir(missing[i])); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return syncDir(filepath.Dir(path))
	}
	return nil
}

func (osFS) Rename(from, to string) error {
	return os.Rename(filepath.FromSlash(from), filepath.FromSlash(to))
}

func (osFS) Remove(name string) error    { return os.Remove(filepath.FromSlash(name)) }
func (osFS) RemoveAll(name string) error { return os.RemoveAll(filepath.FromSlash(name)) }
func (osFS) SyncDir(dir string) error    { return syncDir(filepath.FromSlash(dir)) }

func (osFS) Free(dir string) (int64, error) { return freeBytes(filepath.FromSlash(dir)) }

// Lock takes the lock, then writes the holder's process id into the file, for the message of
// whoever comes second.
func (osFS) Lock(name string) (io.Closer, error) {
	path := filepath.FromSlash(name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = taken(f, name, lockFile)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "pid %d\n", os.Getpid()), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Locked asks the kernel who holds the lock. Where it cannot say, as on darwin, it takes it for a moment.
func (osFS) Locked(name string) error {
	f, err := os.Open(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return taken(f, name, isLocked)
}

// taken asks for the lock of an open file, or about it, and says who else holds it.
func taken(f *os.File, name string, ask func(*os.File) (held bool, err error)) error {
	held, err := ask(f)
	if err == nil && held {
		owner := make([]byte, 64)
		n, _ := f.ReadAt(owner, 0) // unreadable is the same as unknown
		err = &LockedError{Name: name, Owner: strings.TrimSpace(string(owner[:n]))}
	}
	return err
}
