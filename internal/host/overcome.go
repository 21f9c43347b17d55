package host

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// overcome is what the directory of quarantine tells of commands at which machines of this host failed: a
// file GROUP-INDEX.ORDINAL-BIRTH.bin with the bytes of each, and beside it GROUP-INDEX.ORDINAL-BIRTH.executed
// once a machine has executed it after all. Clients may have that machine's answers, so that the command is not
// to be passed over any more, whatever build runs here later (H28).
type overcome struct {
	mu       sync.Mutex
	dumps    map[replicaName]map[place]bool
	executed map[string]bool // names of files; true: durable, for this process has written it
}

const (
	dumpSuffix     = ".bin"
	executedSuffix = ".executed"
)

func (h *Host) quarantineDir() string { return h.opts.Dir + "/quarantine" }

func dumpName(n replicaName, at place) string {
	return fmt.Sprintf("%d-%v-%016x%s", n.group, at, uint64(n.birth), dumpSuffix)
}

func executedName(g *group, at place) string {
	return fmt.Sprintf("%d-%v-%016x%s", g.id, at, uint64(g.birth), executedSuffix)
}

// placeOfDump reads what dumpName has written. false: the file is something else.
func placeOfDump(name string) (n replicaName, at place, ok bool) {
	group, rest, _ := strings.Cut(strings.TrimSuffix(name, dumpSuffix), "-")
	where, birth, _ := strings.Cut(rest, "-")
	index, ordinal, _ := strings.Cut(where, ".")
	g, err1 := strconv.ParseUint(group, 10, 64)
	i, err2 := strconv.ParseUint(index, 10, 64)
	o, err3 := strconv.ParseUint(ordinal, 10, 32)
	b, err4 := strconv.ParseUint(birth, 16, 64)
	n, at = replicaName{raft.GroupID(g), raft.Birth(b)}, place{raft.Index(i), uint32(o)}
	return n, at, errors.Join(err1, err2, err3, err4) == nil && dumpName(n, at) == name
}

// readOvercome reads the names in the directory of quarantine.
func (h *Host) readOvercome() error {
	o := &h.overcome
	o.dumps, o.executed = make(map[replicaName]map[place]bool), make(map[string]bool)
	files, err := h.env.FS().ReadDir(h.quarantineDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: read %s: %w", ErrDir, h.quarantineDir(), err)
	}
	for _, f := range files {
		if n, at, ok := placeOfDump(f.Name); ok {
			o.add(n, at)
		}
		if strings.HasSuffix(f.Name, executedSuffix) {
			o.executed[f.Name] = false // it may be in the system's memory alone: written again before anybody counts on it
		}
	}
	return nil
}

// add notes that a machine of this host failed at the command, whose bytes are in a file, or will be.
func (o *overcome) add(n replicaName, at place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dumps[n] == nil {
		o.dumps[n] = make(map[place]bool)
	}
	o.dumps[n][at] = true
}

// removeDumps removes what is there of a group that was destroyed: notes first, so that what an interrupted end leaves is
// known to be there at the next start.
func (h *Host) removeDumps(n replicaName) error {
	files, err := h.env.FS().ReadDir(h.quarantineDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the group's dumps: %w", err)
	}
	removed := false
	for _, suffix := range []string{executedSuffix, dumpSuffix} {
		for _, f := range files {
			name, is := strings.CutSuffix(f.Name, suffix)
			if of, _, ok := placeOfDump(name + dumpSuffix); !is || !ok || of != n {
				continue
			}
			if err := h.env.FS().Remove(h.quarantineDir() + "/" + f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove the group's dumps: %w", err)
			}
			removed = true
			h.overcome.forget(f.Name)
		}
	}
	if !removed {
		return nil
	}
	if err := h.env.FS().SyncDir(h.quarantineDir()); err != nil {
		return fmt.Errorf("remove the group's dumps: %w", err)
	}
	h.overcome.mu.Lock()
	defer h.overcome.mu.Unlock()
	delete(h.overcome.dumps, n)
	return nil
}

func (o *overcome) forget(note string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.executed, note)
}

// has says whether a machine of this host failed at any command of the group.
func (o *overcome) has(n replicaName) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.dumps[n]) > 0
}

// firstBehind gives the index of the first command behind applied at which a machine of this host failed; 0: none.
func (o *overcome) firstBehind(n replicaName, applied raft.Index) (first raft.Index) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at := range o.dumps[n] {
		if at.index > applied && (first == 0 || at.index < first) {
			first = at.index
		}
	}
	return first
}

// wasExecuted says whether a machine of this host has executed the command after one had failed at it.
func (o *overcome) wasExecuted(g *group, at place) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, noted := o.executed[executedName(g, at)]
	return noted
}

// isNoted says whether the note of that is on the disk for good.
func (o *overcome) isNoted(g *group, at place) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.executed[executedName(g, at)]
}

// among gives the commands of a batch at which a machine of this host had failed.
func (o *overcome) among(n replicaName, cmds []machine.Command) (places []place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	of := o.dumps[n]
	for i := range cmds {
		if at := (place{raft.Index(cmds[i].Index), cmds[i].Ordinal}); of[at] {
			places = append(places, at)
		}
	}
	return places
}

// errNoNote says that the disk did not take the note: the machine is made anew, and comes to the command again. No
// snapshot of the others is waited for: they may be stopped there.
var errNoNote = errors.New("command was executed that a machine had failed at, and the disk does not take a note of it")

// noteOvercome puts on disk which commands of the batch were executed that a machine here had failed at. It comes
// before anybody is answered, or sees the state. A disk that is full is waited for, with all that this group has to do;
// another task does what the others have (H15).
func (l *lane) noteOvercome(g *group) error {
	o := &g.h.overcome
	for _, at := range o.among(replicaName{g.id, g.birth}, l.cmds) {
		if slices.Contains(l.skipsNow, at) || o.isNoted(g, at) {
			continue
		}
		name := executedName(g, at)
		err := g.h.dump(g.h.quarantineDir()+"/"+name, []byte("executed\n"))
		if errors.Is(err, syscall.ENOSPC) {
			back := g.h.lanes.standIn(g.h.tasks.run)
			for errors.Is(err, syscall.ENOSPC) && !g.h.closed.Load() && !l.isStopped() {
				_ = g.h.pause(nil, retryEvery) //nolint:staticcheck // nobody waits for it but Close
				err = g.h.dump(g.h.quarantineDir()+"/"+name, []byte("executed\n"))
			}
			back()
		}
		if err != nil {
			return fmt.Errorf("%w: %v: %w", errNoNote, at, err)
		}
		o.mu.Lock()
		o.executed[name] = true
		o.mu.Unlock()
	}
	return nil
}
