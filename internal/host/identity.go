package host

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
)

// The states of a directory, as its identity file says them.
const (
	stateEmpty   = wire.StateEmpty
	stateBound   = wire.StateBound
	stateFounded = wire.StateFounded
)

const (
	identityCopies = 4
	identityBlock  = 64 * 1024 // one copy's place; far enough apart that one bad block is one copy
)

// identityFile is who the owner of the directory is: {cluster, host, format, feature level, epoch},
// in four checksummed copies outside the log. It is written at founding, hardly ever after.
type identityFile struct {
	env  env.Env
	path string
	dir  string
	is   wire.HostIdentity
}

// load reads the file, or makes it for an empty directory: the incarnation is durable before
// anybody hears of it.
func (f *identityFile) load(e env.Env, dir string) error {
	f.env, f.dir, f.path = e, dir, dir+"/HOST"
	// A killed process may have renamed the file and not synced the name. What is read here is acted
	// on, so no power loss may take it back.
	if err := e.FS().SyncDir(dir); err != nil {
		return fmt.Errorf("%w: sync %s: %w", ErrDir, dir, err)
	}
	file, err := e.FS().Open(f.path, env.Read)
	if errors.Is(err, fs.ErrNotExist) {
		return f.create()
	}
	if err != nil {
		return fmt.Errorf("%w: open %s: %w", ErrDir, f.path, err)
	}
	defer file.Close()
	var first error
	found := false
	for i := range identityCopies {
		buf := make([]byte, identityBlock)
		n, err := file.ReadAt(buf, int64(i)*identityBlock)
		if n == 0 {
			first = errors.Join(first, err)
			continue
		}
		is, err := wire.DecodeHostIdentity(buf[:n])
		if err != nil {
			first = errors.Join(first, fmt.Errorf("copy %d: %w", i+1, err))
			continue
		}
		// A later state was written over an earlier one: the furthest copy is the newest, and
		// whoever acted on it had all four.
		if !found || is.State > f.is.State || is.State == f.is.State && is.Epoch > f.is.Epoch {
			f.is, found = is, true
		}
	}
	if !found {
		return fmt.Errorf("%w: no copy in %s is readable: %w", ErrDir, f.path, first)
	}
	return nil
}

// IsFounded says whether a directory belongs to a host of a cluster, be it in use or not. One that is not there, or holds
// nothing, does not. It writes nothing. Errors: of one whose identity cannot be read.
func IsFounded(e env.Env, dir string) (bool, error) {
	e = env.ReadOnly(e)
	if _, err := e.FS().Stat(dir + "/HOST"); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var f identityFile
	err := f.load(e, dir)
	return f.is.State == stateFounded, err
}

// Standing is what a directory is to a cluster that it does not belong to.
type Standing uint8

// The standings.
const (
	Taken   Standing = iota // it belongs to a cluster, or is bound to the founding of one, or to join another
	Blank                   // it is not bound to anything: there is nothing in it, or little more
	Joining                 // it is bound to join this one, which may have taken it in
)

// StandingOf says what a directory is to the cluster that another one belongs to, be they in use or not. It writes
// nothing. Errors: of one whose identity cannot be read.
func StandingOf(e env.Env, dir, member string) (Standing, error) {
	e = env.ReadOnly(e)
	infos, err := e.FS().ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Blank, nil
	} else if err != nil {
		return Taken, err
	}
	if !slices.ContainsFunc(infos, func(i env.FileInfo) bool { return !isNascent(i.Name) }) {
		return Blank, nil
	}
	var f, of identityFile
	if err := errors.Join(f.load(e, dir), of.load(e, member)); err != nil {
		return Taken, err
	}
	switch {
	case f.is.State == stateEmpty:
		return Blank, nil
	case f.is.State == stateBound && of.is.State == stateFounded && f.is.Nonce == joiningNonce(of.is.Mint.Cluster):
		return Joining, nil
	}
	return Taken, nil
}

// isNascent says whether a directory may have this file before it has an identity: what an earlier start left, and what a
// file system puts into its root.
func isNascent(name string) bool { return name == "LOCK" || name == "HOST.new" || name == "lost+found" }

// create makes the file of a directory that was empty. A directory with a log but without it is
// not empty: somebody took the file away.
func (f *identityFile) create() error {
	infos, err := f.env.FS().ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("%w: read %s: %w", ErrDir, f.dir, err)
	}
	for _, i := range infos {
		if !isNascent(i.Name) {
			return fmt.Errorf("%w: %s holds %s but no HOST file; it is not this program's, or damaged. Give an empty directory, or one of its own", ErrDir, f.dir, i.Name)
		}
	}
	f.is = wire.HostIdentity{
		FeatureLevel: foundingLevel, State: stateEmpty, Incarnation: f.env.Rand().Uint64() | 1,
	}
	return f.save(f.is)
}

// save replaces the file by one that says is, durably.
func (f *identityFile) save(is wire.HostIdentity) error {
	body := wire.AppendHostIdentity(nil, &is)
	if len(body) > identityBlock {
		return fmt.Errorf("%w: identity of %d bytes, at most %d", ErrDir, len(body), identityBlock)
	}
	all := make([]byte, identityCopies*identityBlock)
	for i := range identityCopies {
		copy(all[i*identityBlock:], body)
	}
	if err := f.replace(all); err != nil {
		return fmt.Errorf("%w: write %s: %w", ErrDir, f.path, err)
	}
	f.is = is
	return nil
}

func (f *identityFile) replace(all []byte) error {
	disk := f.env.FS()
	next := f.path + ".new"
	if err := disk.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := disk.Open(next, env.Read|env.Write|env.Create)
	if err != nil {
		return err
	}
	err = file.WriteSync(all, 0)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := disk.Rename(next, f.path); err != nil {
		return err
	}
	return disk.SyncDir(f.dir)
}
