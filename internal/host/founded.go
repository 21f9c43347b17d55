package host

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wal"
	"github.com/lockstep-rsm/lockstep/raft"
)

// Which groups have begun on this host stands outside the log too, one empty file for each: a group
// all of whose batches are rotten looks, to the log, as one that was never here, and founding it
// anew would give it back the votes that it has cast (H13).

// replicaName is one replica's beginning: a group that was destroyed and created again is another.
type replicaName struct {
	group raft.GroupID
	birth raft.Birth
}

// lengthOfFile is that of replicaName.file; what joined such a group has a longer one.
const lengthOfFile = 16 + 1 + 16

func (n replicaName) file() string {
	return fmt.Sprintf("%016x-%016x", uint64(n.group), uint64(n.birth))
}

func (h *Host) foundedDir() string { return h.opts.Dir + "/founded" }

// loadFounded reads which groups have begun here, and notes those that the log holds and whose note a
// killed process did not live to write.
func (h *Host) loadFounded(found *wal.Recovered) error {
	disk := h.env.FS()
	if err := disk.MkdirAll(h.foundedDir()); err != nil {
		return fmt.Errorf("%w: make %s: %w", ErrDir, h.foundedDir(), err)
	}
	for _, dir := range []string{h.opts.Dir, h.foundedDir()} { // no power loss may take back what is read
		if err := disk.SyncDir(dir); err != nil {
			return fmt.Errorf("%w: sync %s: %w", ErrDir, dir, err)
		}
	}
	infos, err := disk.ReadDir(h.foundedDir())
	if err != nil {
		return fmt.Errorf("%w: list %s: %w", ErrDir, h.foundedDir(), err)
	}
	for _, info := range infos {
		h.remember(info.Name)
	}
	for _, id := range slices.Sorted(maps.Keys(found.Groups)) {
		g := found.Groups[id]
		if name := (replicaName{g.Group, g.Birth}); !g.Destroyed && !h.hasBegun(name) {
			if err := h.noteBegun(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *Host) hasBegun(n replicaName) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.begun[n.file()]
}

// noteBegun makes durable that a group has begun here: after its founding entry, before it acts.
func (h *Host) noteBegun(n replicaName) error { return h.note(n.file()) }

// note makes an empty file of this name durable.
func (h *Host) note(name string) error {
	path := h.foundedDir() + "/" + name
	f, err := h.env.FS().Open(path, env.Read|env.Write|env.Create)
	switch {
	case err == nil:
		err = f.Close()
	case errors.Is(err, fs.ErrExist):
		err = nil // noted by a life that ended before it could act on it, or sync the name
	}
	if err == nil {
		err = h.env.FS().SyncDir(h.foundedDir())
	}
	if err != nil {
		return fmt.Errorf("%w: make %s: %w", ErrDir, path, err)
	}
	h.remember(name)
	return nil
}

// remember takes up the name of a file that is there.
func (h *Host) remember(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.begun[name] {
		return
	}
	h.begun[name] = true
	if len(name) > lengthOfFile {
		file := name[:lengthOfFile]
		h.joins[file] = append(h.joins[file], name)
	}
}

// forgotten says that a group has begun here and that nothing is left of it.
func (h *Host) forgotten(id raft.GroupID) {
	h.log.Error("group's history is lost", "host", h.identity.is.Host, "group", id,
		"do", "replace this host's replica; the others serve on")
	h.setWhy(fmt.Sprintf("group %d has begun on this host, and its log holds nothing of it any more: it gets no vote, for it may have promised one. The other hosts serve on; replace this one", id))
}
