package world

import (
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"syscall"
)

// inode is a file or directory. A directory has its names twice: as the cache shows them, and as
// the medium has them; changes tells in order how the first came from the second.
type inode struct {
	extent
	id     uint64
	dir    bool
	linked bool // has a name: counts as space
	holder *life
	losses uint64 // Syncs that failed

	names        map[string]*inode
	durableNames map[string]*inode
	changes      []change
}

// A change of a directory that is not durable yet: name now means f, or, where gone, no more. A
// rename is one change of the directory it led to; from is where it came from.
type change struct {
	name     string
	f        *inode
	gone     bool
	from     *inode
	fromName string
}

func (d *Disk) inode(dir bool) *inode {
	d.inodes++
	i := &inode{id: d.inodes, dir: dir, linked: true}
	i.buffers = &d.buffers
	if dir {
		i.names, i.durableNames = map[string]*inode{}, map[string]*inode{}
	}
	return i
}

// split cuts a name into its parts. All names start at the root.
func split(name string) []string {
	clean := strings.Trim(path.Clean("/"+name), "/")
	if clean == "" {
		return nil
	}
	return strings.Split(clean, "/")
}

// find returns what name means, nil if nothing.
func (d *Disk) find(name string) *inode {
	i := d.root
	for _, part := range split(name) {
		if i == nil || !i.dir {
			return nil
		}
		i = i.names[part]
	}
	return i
}

// parent returns the directory that name is in, and its last part.
func (d *Disk) parent(name string) (dir *inode, last string, err error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", syscall.EINVAL
	}
	dir = d.root
	for _, part := range parts[:len(parts)-1] {
		if dir = dir.names[part]; dir == nil {
			return nil, "", syscall.ENOENT
		}
		if !dir.dir {
			return nil, "", syscall.ENOTDIR
		}
	}
	return dir, parts[len(parts)-1], nil
}

func (i *inode) set(name string, f *inode) {
	i.names[name] = f
	i.changes = append(i.changes, change{name: name, f: f})
}

// sorted is the names in order: maps are never iterated for anything that shows.
func sorted(m map[string]*inode) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// take makes one change durable.
func (i *inode) take(c change) {
	switch {
	case c.gone:
		if i.durableNames[c.name] == c.f {
			delete(i.durableNames, c.name)
		}
		return
	case c.from != nil:
		if c.from.durableNames[c.fromName] == c.f {
			delete(c.from.durableNames, c.fromName)
		}
		if c.from != i { // its making there went with it
			c.from.changes = slices.DeleteFunc(c.from.changes, func(o change) bool {
				return o.name == c.fromName && o.f == c.f
			})
		}
	}
	i.durableNames[c.name] = c.f
}

func (i *inode) syncNames() {
	changes := i.changes
	i.changes = nil
	for _, c := range changes {
		i.take(c)
	}
}

// loseNames is a power failure: each change that no SyncDir has covered comes or stays away.
func (i *inode) loseNames(r *rand.Rand, f fates) {
	var dirs []*inode
	i.walk(func(d *inode) {
		if d.dir {
			dirs = append(dirs, d)
		}
	})
	for _, d := range dirs {
		changes := d.changes
		d.changes = nil
		for _, c := range changes {
			if f.old < 100 && (f.new == 100 || r.IntN(2) == 0) {
				d.take(c)
			}
		}
	}
	for _, d := range dirs {
		d.names = map[string]*inode{}
		for _, n := range sorted(d.durableNames) {
			d.names[n] = d.durableNames[n]
		}
	}
}

// walk visits i and all below, in the cache's view and the medium's, in one order for one state.
// What is in both is visited twice.
func (i *inode) walk(visit func(*inode)) {
	visit(i)
	if !i.dir {
		return
	}
	for _, n := range sorted(i.durableNames) {
		i.durableNames[n].walk(visit)
	}
	for _, n := range sorted(i.names) {
		if i.names[n] != i.durableNames[n] {
			i.names[n].walk(visit)
		}
	}
}

// unlink takes f's space back, as its last name is gone.
func (d *Disk) unlink(f *inode) {
	if f.dir {
		for _, n := range sorted(f.names) {
			d.unlink(f.names[n])
		}
		return
	}
	if f.linked {
		f.linked = false
		d.used -= blocks(f.size)
	}
}

func (d *Disk) create(name string) (*inode, error) {
	dir, last, err := d.parent(name)
	if err != nil {
		return nil, err
	}
	if dir.names[last] != nil {
		return nil, syscall.EEXIST
	}
	if d.free() < pageSize {
		return nil, syscall.ENOSPC
	}
	f := d.inode(false)
	dir.set(last, f)
	return f, nil
}

func (d *Disk) rename(from, to string) error {
	source, a, err := d.parent(from)
	if err != nil {
		return err
	}
	target, b, err := d.parent(to)
	if err != nil {
		return err
	}
	f := source.names[a]
	old := target.names[b]
	switch {
	case f == nil:
		return syscall.ENOENT
	case f == old:
		return nil
	case old != nil && old.dir && (!f.dir || len(old.names) > 0):
		return syscall.EEXIST
	case old != nil && f.dir && !old.dir:
		return syscall.ENOTDIR
	case old != nil:
		d.unlink(old)
	}
	delete(source.names, a)
	target.names[b] = f
	target.changes = append(target.changes, change{name: b, f: f, from: source, fromName: a})
	return nil
}

func (d *Disk) remove(name string, all bool) error {
	dir, last, err := d.parent(name)
	if err == nil && dir.names[last] == nil {
		err = syscall.ENOENT
	}
	if err != nil {
		if all && err == syscall.ENOENT {
			return nil
		}
		return err
	}
	f := dir.names[last]
	if f.dir && len(f.names) > 0 && !all {
		return syscall.ENOTEMPTY
	}
	d.unlink(f)
	delete(dir.names, last)
	dir.changes = append(dir.changes, change{name: last, f: f, gone: true})
	return nil
}

// mkdirAll is durable at once, as the contract says.
func (d *Disk) mkdirAll(name string) error {
	i := d.root
	for _, part := range split(name) {
		next := i.names[part]
		if next == nil {
			next = d.inode(true)
			i.names[part] = next
		}
		if !next.dir {
			return syscall.ENOTDIR
		}
		i.durableNames[part] = next
		i = next
	}
	return nil
}

func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
