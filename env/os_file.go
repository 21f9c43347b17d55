package env

import (
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
)

// osFile is an open file. A Direct file has a second descriptor for its synchronous writes; all
// else goes through the first, so that reads and preparation need no alignment. The kernel keeps
// the two coherent: a direct write drops the pages it covers.
type osFile struct {
	f       *os.File
	aligned bool        // opened Direct: WriteSync demands alignment, whatever the file system can
	direct  *os.File    // nil where the file system has no direct writes
	refused atomic.Bool // the file system took the flag but not the write
}

func (f *osFile) ReadAt(p []byte, off int64) (int, error)  { return f.f.ReadAt(p, off) }
func (f *osFile) WriteAt(p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }
func (f *osFile) Truncate(size int64) error                { return f.f.Truncate(size) }

func (f *osFile) Close() error {
	if f.direct != nil {
		_ = f.direct.Close() // its writes were synchronous: nothing is left to fail
	}
	return f.f.Close()
}

func (f *osFile) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Sync() error {
	if err := fdatasync(f.f); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) WriteSync(p []byte, off int64) error {
	if f.aligned && !IsAligned(p, off) {
		panic(fmt.Sprintf("direct write of %d bytes at %d to %s: address, length and offset must be multiples of %d",
			len(p), off, f.f.Name(), BlockSize))
	}
	if f.direct != nil && !f.refused.Load() {
		_, err := f.direct.WriteAt(p, off)
		if err == nil || !isUnsupported(err) {
			return err
		}
		// Some file systems accept O_DIRECT at open and refuse it at the first write. Nothing
		// was written, so the slower way is safe.
		f.refused.Store(true)
	}
	if _, err := f.f.WriteAt(p, off); err != nil {
		return err
	}
	return f.Sync()
}

// zeroes is what Allocate writes: one piece, never written to.
var zeroes [1 << 20]byte

// Allocate reserves the whole first, so that lack of space shows before anything is written and
// the blocks lie together. Then it writes zeroes from the end of the file on: reserved blocks
// that were never written would cost the first sync over each a change of metadata. The file
// grows only as the zeroes do, so an Allocate cut short is taken up where it ended.
func (f *osFile) Allocate(size int64) error {
	end, _, err := f.reserve(size)
	if err != nil {
		return err
	}
	for end < size {
		n := min(size-end, int64(len(zeroes))-end%int64(len(zeroes)))
		if _, err := f.f.WriteAt(zeroes[:n], end); err != nil {
			return err
		}
		end += n
	}
	return nil
}

// Reserve moves the end of the file over the blocks that it has reserved. Without those it would
// promise space that is not there: then it writes.
func (f *osFile) Reserve(size int64) error {
	end, reserved, err := f.reserve(size)
	if err != nil || size <= end {
		return err
	}
	if !reserved {
		return f.Allocate(size)
	}
	return f.f.Truncate(size)
}

// reserve takes the blocks behind the end of the file, and leaves the end where it is.
func (f *osFile) reserve(size int64) (end int64, reserved bool, err error) {
	if end, err = f.Size(); err != nil || size <= end {
		return end, false, err
	}
	if reserved, err = reserve(f.f, end, size-end); err != nil {
		return end, false, &fs.PathError{Op: "allocate", Path: f.f.Name(), Err: err}
	}
	return end, reserved, nil
}

func (f *osFile) DropCache() error {
	if err := dropCache(f.f); err != nil {
		return &fs.PathError{Op: "drop cache", Path: f.f.Name(), Err: err}
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = syncNames(d)
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

// control runs f on the descriptor of file, which cannot be closed meanwhile, and again when a
// signal interrupts it.
func control(file *os.File, again func(error) bool, f func(fd uintptr) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		for {
			if inner = f(fd); !again(inner) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return inner
}
