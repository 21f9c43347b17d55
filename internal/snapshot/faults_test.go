package snapshot

import (
	"io/fs"
	"syscall"

	"github.com/lockstep-rsm/lockstep/env"
)

// faults is a world whose failAt-th file operation that writes fails with ENOSPC, as does none
// after it.
type faults struct {
	env.Env
	n, failAt int
	syncs     int
	ops       []string // in order
	op        string
	rot       bool // what is written is not what was handed over
}

func (f *faults) FS() env.FS { return faultFS{f.Env.FS(), f} }

func (f *faults) hit(op, name string) error {
	f.n++
	f.ops = append(f.ops, op)
	if f.n != f.failAt {
		return nil
	}
	f.op = op
	return &fs.PathError{Op: op, Path: name, Err: syscall.ENOSPC}
}

type faultFS struct {
	env.FS
	f *faults
}

func (s faultFS) Open(name string, mode env.Mode) (env.File, error) {
	if err := s.f.hit("open", name); err != nil {
		return nil, err
	}
	file, err := s.FS.Open(name, mode)
	return faultFile{file, name, s.f, mode&env.Write != 0}, err
}

func (s faultFS) Rename(from, to string) error {
	if err := s.f.hit("rename", from); err != nil {
		return err
	}
	return s.FS.Rename(from, to)
}

func (s faultFS) SyncDir(dir string) error {
	if err := s.f.hit("sync directory", dir); err != nil {
		return err
	}
	return s.FS.SyncDir(dir)
}

type faultFile struct {
	env.File
	name  string
	f     *faults
	dirty bool // open for writing: a failed Close of another tells nothing
}

func (f faultFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.f.hit("write", f.name); err != nil {
		return 0, err
	}
	if f.f.rot && len(p) > 2000 {
		p = append([]byte(nil), p...)
		p[1500] ^= 1
	}
	return f.File.WriteAt(p, off)
}

func (f faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.f.hit("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f faultFile) Sync() error {
	f.f.syncs++
	if err := f.f.hit("sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f faultFile) DropCache() error {
	if err := f.f.hit("drop cache", f.name); err != nil {
		return err
	}
	return f.File.DropCache()
}

func (f faultFile) Close() error {
	err := f.File.Close()
	if f.dirty {
		if e := f.f.hit("close", f.name); e != nil {
			return e
		}
	}
	return err
}
