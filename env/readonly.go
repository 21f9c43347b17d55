package env

import "io"

// ReadOnly is e with a disk on which nothing can be changed: files open for reading, whatever is asked for; what
// would change a name or a byte is left undone, without an error. It is for looking at what a process that ended
// has left behind.
func ReadOnly(e Env) Env { return readOnly{e} }

type readOnly struct{ Env }

func (r readOnly) FS() FS { return readOnlyFS{r.Env.FS()} }

type readOnlyFS struct{ FS }

// Open opens the file for reading: one that is not there stays so.
func (f readOnlyFS) Open(name string, _ Mode) (File, error) {
	file, err := f.FS.Open(name, Read)
	if err != nil {
		return nil, err
	}
	return readOnlyFile{file}, nil
}

func (readOnlyFS) MkdirAll(string) error          { return nil }
func (readOnlyFS) Rename(string, string) error    { return nil }
func (readOnlyFS) Remove(string) error            { return nil }
func (readOnlyFS) RemoveAll(string) error         { return nil }
func (readOnlyFS) SyncDir(string) error           { return nil }
func (readOnlyFS) Lock(string) (io.Closer, error) { return noLock{}, nil }

type noLock struct{}

func (noLock) Close() error { return nil }

type readOnlyFile struct{ File }

func (readOnlyFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (readOnlyFile) WriteSync([]byte, int64) error          { return nil }
func (readOnlyFile) Sync() error                            { return nil }
func (readOnlyFile) Truncate(int64) error                   { return nil }
func (readOnlyFile) Allocate(int64) error                   { return nil }
func (readOnlyFile) Reserve(int64) error                    { return nil }
func (readOnlyFile) DropCache() error                       { return nil }
