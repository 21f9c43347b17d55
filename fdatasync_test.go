package lockstep_test

import (
	"path"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// modes is the real world, and remembers how files of logs are opened.
type modes struct {
	env.Env
	mu             sync.Mutex
	direct, cached int
}

func (m *modes) FS() env.FS { return modeFS{m.Env.FS(), m} }

type modeFS struct {
	env.FS
	m *modes
}

func (f modeFS) Open(name string, mode env.Mode) (env.File, error) {
	f.m.mu.Lock()
	switch {
	case path.Ext(name) != ".wal" || mode&env.Write == 0:
	case mode&env.Direct != 0:
		f.m.direct++
	default:
		f.m.cached++
	}
	f.m.mu.Unlock()
	return f.FS.Open(name, mode)
}

func TestLogIsWrittenDirectlyUnlessAskedOtherwise(t *testing.T) {
	dir := t.TempDir()
	for _, fdatasync := range []bool{false, true, false} { // the same directory: the bytes are the same
		world := &modes{Env: env.OS()}
		h, err := lockstep.Open(t.Context(), lockstep.Options{
			Dir: dir, Machines: map[string]machine.Kind{"counter": counter.Machine.Kind()}, Env: world, Fdatasync: fdatasync,
			WALSegmentBytes: 1 << 20, MaxWALBytes: 64 << 20, CallTimeout: 30 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		g, err := h.Create(t.Context(), 1, lockstep.GroupOptions{Machine: "counter"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lockstep.Typed(g, counter.Machine).Propose(t.Context(), counter.Add{N: 1}); err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if (world.direct > 0) == fdatasync || (world.cached > 0) != fdatasync {
			t.Errorf("with Fdatasync %v, %d files were opened for direct writes, %d for cached ones", fdatasync, world.direct, world.cached)
		}
	}
}
