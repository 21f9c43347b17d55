package world

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"syscall"

	"github.com/lockstep-rsm/lockstep/env"
)

// files is the env.FS of one life.
type files struct{ l *life }

func (s files) run(op Op, name string, do func(o *diskOp) error) (*diskOp, error) {
	o := s.l.h.disk.run(s.l, op, diskOp{name: name, do: do})
	return o, wrap(op.String(), name, o.err)
}

func (s files) Open(name string, mode env.Mode) (env.File, error) {
	op := OpOpen
	if mode&env.Create != 0 {
		op = OpCreate
	}
	o, err := s.run(op, name, func(o *diskOp) (err error) {
		if o.op == OpCreate {
			o.f, err = o.d.create(o.name)
			return err
		}
		switch o.f = o.d.find(o.name); {
		case o.f == nil:
			return syscall.ENOENT
		case o.f.dir:
			return syscall.EISDIR
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &file{l: s.l, f: o.f, name: name, mode: mode}, nil
}

func (s files) Stat(name string) (env.FileInfo, error) {
	o, err := s.run(OpLook, name, func(o *diskOp) error {
		if o.f = o.d.find(o.name); o.f == nil {
			return syscall.ENOENT
		}
		return nil
	})
	if err != nil {
		return env.FileInfo{}, err
	}
	return infoOf(path.Base(name), o.f), nil
}

func infoOf(name string, f *inode) env.FileInfo {
	return env.FileInfo{Name: name, Size: f.size, Dir: f.dir}
}

func (s files) ReadDir(dir string) ([]env.FileInfo, error) {
	var infos []env.FileInfo
	_, err := s.run(OpLook, dir, func(o *diskOp) error {
		f := o.d.find(o.name)
		if f == nil {
			return syscall.ENOENT
		}
		if !f.dir {
			return syscall.ENOTDIR
		}
		for _, n := range sorted(f.names) {
			infos = append(infos, infoOf(n, f.names[n]))
		}
		return nil
	})
	return infos, err
}

func (s files) MkdirAll(dir string) error {
	_, err := s.run(OpLook, dir, func(o *diskOp) error { return o.d.mkdirAll(o.name) })
	return err
}

func (s files) Rename(from, to string) error {
	_, err := s.run(OpRename, from, func(o *diskOp) error { return o.d.rename(o.name, to) })
	return err
}

func (s files) Remove(name string) error {
	_, err := s.run(OpRemove, name, func(o *diskOp) error { return o.d.remove(o.name, false) })
	return err
}

func (s files) RemoveAll(name string) error {
	_, err := s.run(OpRemove, name, func(o *diskOp) error { return o.d.remove(o.name, true) })
	return err
}

func (s files) SyncDir(dir string) error {
	_, err := s.run(OpSyncDir, dir, func(o *diskOp) error {
		f := o.d.find(o.name)
		if f == nil {
			return syscall.ENOENT
		}
		if !f.dir {
			return syscall.ENOTDIR
		}
		f.syncNames()
		return nil
	})
	return err
}

func (s files) Free(dir string) (int64, error) {
	free := int64(0)
	_, err := s.run(OpLook, dir, func(o *diskOp) error {
		free = o.d.free()
		return nil
	})
	return free, err
}

func (s files) Lock(name string) (io.Closer, error) {
	var locked *env.LockedError
	o, err := s.run(OpLook, name, func(o *diskOp) (err error) {
		if o.f = o.d.find(o.name); o.f == nil {
			if o.f, err = o.d.create(o.name); err != nil {
				return err
			}
		}
		if o.f.holder != nil {
			locked = &env.LockedError{Name: o.name, Owner: fmt.Sprintf("pid %d", o.f.holder.pid)}
			return nil
		}
		o.f.holder = o.l
		return nil
	})
	if err != nil {
		return nil, err
	}
	if locked != nil {
		return nil, locked
	}
	return &lock{s.l, o.f}, nil
}

func (s files) Locked(name string) error {
	var locked error
	_, err := s.run(OpLook, name, func(o *diskOp) error {
		if f := o.d.find(o.name); f != nil && f.holder != nil {
			locked = &env.LockedError{Name: o.name, Owner: fmt.Sprintf("pid %d", f.holder.pid)}
		}
		return nil
	})
	return errors.Join(err, locked)
}

// lock is a held lock.
type lock struct {
	l *life
	f *inode
}

func (k *lock) Close() error {
	k.l.alive()
	if k.f.holder != k.l {
		return fs.ErrClosed
	}
	k.f.holder = nil
	return nil
}

// unlock gives back what a dead process held.
func (d *Disk) unlock(l *life) {
	d.root.walk(func(i *inode) {
		if i.holder == l {
			i.holder = nil
		}
	})
}

// file is an open env.File.
type file struct {
	l      *life
	f      *inode
	name   string
	mode   env.Mode
	closed bool
}

func (f *file) run(op Op, o diskOp) (*diskOp, error) {
	f.l.alive()
	if f.closed {
		return nil, wrap(op.String(), f.name, fs.ErrClosed)
	}
	switch op {
	case OpWrite, OpWriteSync, OpTruncate, OpAllocate:
		if f.mode&(env.Write|env.Create) == 0 {
			return nil, wrap(op.String(), f.name, syscall.EBADF)
		}
	}
	o.f, o.name = f.f, f.name
	done := f.l.h.disk.run(f.l, op, o)
	return done, wrap(op.String(), f.name, done.err)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, wrap("read", f.name, syscall.EINVAL)
	}
	o, err := f.run(OpRead, diskOp{p: p, off: off, do: func(o *diskOp) error {
		o.n = int(min(max(o.f.size-o.off, 0), int64(len(o.p))))
		if !o.f.read(o.p[:o.n], o.off) {
			return syscall.EIO
		}
		return nil
	}})
	if err != nil {
		return 0, err
	}
	if o.n < len(p) {
		return o.n, io.EOF
	}
	return o.n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, wrap("write", f.name, syscall.EINVAL)
	}
	o, err := f.run(OpWrite, diskOp{p: p, off: off})
	if o == nil {
		return 0, err
	}
	return o.n, err
}

func (f *file) WriteSync(p []byte, off int64) error {
	direct := f.mode&env.Direct != 0
	if direct && !env.IsAligned(p, off) {
		panic(fmt.Sprintf("world: direct write of %d bytes at %d to %s: address, length and offset must be multiples of %d",
			len(p), off, f.name, env.BlockSize))
	}
	_, err := f.run(OpWriteSync, diskOp{p: p, off: off, direct: direct})
	return err
}

func (f *file) Sync() error {
	_, err := f.run(OpSync, diskOp{})
	return err
}

// Size and Close touch no disk: they never park.
func (f *file) Size() (int64, error) {
	f.l.alive()
	if f.closed {
		return 0, wrap("stat", f.name, fs.ErrClosed)
	}
	return f.f.size, nil
}

func (f *file) Close() error {
	f.l.alive()
	if f.closed {
		return wrap("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}

func (f *file) Truncate(size int64) error {
	_, err := f.run(OpTruncate, diskOp{size: size, do: func(o *diskOp) error {
		if size > o.f.size && blocks(size)-blocks(o.f.size) > o.d.free() {
			return syscall.ENOSPC
		}
		o.d.account(o.f, func() { o.f.truncate(size) })
		return nil
	}})
	return err
}

// Allocate grows the file. Zeroes cost no memory here: a page that nobody wrote is zeroes.
func (f *file) Allocate(size int64) error {
	_, err := f.run(OpAllocate, diskOp{size: size, do: func(o *diskOp) error {
		if blocks(size)-blocks(o.f.size) > o.d.free() {
			return syscall.ENOSPC
		}
		o.d.account(o.f, func() { o.f.size = max(o.f.size, size) })
		return nil
	}})
	return err
}

// Reserve is Allocate: that costs nothing here.
func (f *file) Reserve(size int64) error { return f.Allocate(size) }

func (f *file) DropCache() error {
	_, err := f.run(OpDropCache, diskOp{do: func(o *diskOp) error {
		o.f.drop()
		return nil
	}})
	return err
}
