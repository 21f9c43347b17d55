package host

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// TestDirectoryIsNotFollowedBack: a registry that is executed again shows who belonged to the cluster
// before. A host that took that for the news, and ended then, would not know where the voters live whom it
// needs to execute the rest.
func TestDirectoryIsNotFollowedBack(t *testing.T) {
	r := func(id raft.HostID, removed bool) hostRecord {
		return hostRecord{ID: id, Addr: "a", Incarnation: uint64(id) * 100, Removed: removed}
	}
	steps := [][]hostRecord{
		{r(1, false), r(2, false)},
		{r(1, false), r(2, false), r(3, false)},
		{r(1, true), r(2, false), r(3, false)},
		{r(1, true), r(2, false), r(3, false), r(4, false)},
		{r(1, true), r(2, true), r(3, false), r(4, false)},
	}
	newHost := func() *Host {
		h := &Host{env: env.OS(), log: slog.New(slog.DiscardHandler)}
		h.tasks.env = h.env
		h.identity = identityFile{env: h.env, dir: t.TempDir()}
		h.identity.path = h.identity.dir + "/HOST"
		h.identity.is.State = stateFounded
		h.identity.is.Mint.Hosts = []wire.FoundingHost{{Host: 1, Addr: "a", Incarnation: 100}, {Host: 2, Addr: "a", Incarnation: 200}}
		return h
	}
	ids := func(h *Host) (ids []raft.HostID) {
		for _, m := range h.members() {
			ids = append(ids, m.Host)
		}
		return ids
	}
	for newest := range steps {
		h := newHost()
		for i := range newest + 1 {
			h.setHosts(steps[i], nil)
		}
		want := ids(h)
		for i := range newest {
			h.setHosts(steps[i], nil)
			if got := ids(h); !slices.Equal(got, want) {
				t.Errorf("after step %d came step %d again: %v, want %v", newest, i, got, want)
			}
		}
		for i := newest; i < len(steps); i++ {
			h.setHosts(steps[i], nil)
		}
		if got := ids(h); !slices.Equal(got, []raft.HostID{3, 4}) {
			t.Errorf("in the end, from step %d, there are %v", newest, got)
		}
		h.tasks.wait()
	}
}
