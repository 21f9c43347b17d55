package host

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/internal/snapshot"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

func marks(indexes ...raft.Index) (ms []raft.Mark) {
	for _, i := range indexes {
		ms = keepMark(ms, raft.Mark{Index: i, Digest: raft.Digest(i) * 7})
	}
	return ms
}

// A machine that is always a few marks behind the majority still finds its snapshots agreed: its
// log would never be cut otherwise.
func TestSnapshotIsAgreedByAnyMarkBehindIt(t *testing.T) {
	s := snapshots{agreed: marks(10, 20, 30, 40, 50), own: marks(10, 20)}
	for index, want := range map[raft.Index]bool{5: true, 10: true, 20: true, 21: false, 50: false} {
		if got := s.agreedAt(index); got != want {
			t.Errorf("snapshot at %d agreed: %t, want %t", index, got, want)
		}
	}
	s.own[1].Digest++
	if s.agreedAt(15) {
		t.Error("a state that differs is agreed")
	}
}

func TestMarksAreBoundedAndAscend(t *testing.T) {
	var ms []raft.Mark
	for i := range raft.Index(3 * keptMarks) {
		ms = keepMark(ms, raft.Mark{Index: i + 1})
		ms = keepMark(ms, raft.Mark{Index: i}) // late mail
	}
	if len(ms) != keptMarks || ms[0].Index != 2*keptMarks+1 || ms[keptMarks-1].Index != 3*keptMarks {
		t.Errorf("%d marks, from %d to %d", len(ms), ms[0].Index, ms[len(ms)-1].Index)
	}
}

// An own snapshot that is written while a newer one is received must not take its place (bug 40).
func TestSnapshotOlderThanTheReceivedOneIsForgotten(t *testing.T) {
	newest := &raft.SnapshotMeta{Identity: raft.Identity{Index: 100}}
	g := &group{snapshots: snapshots{newest: newest, pinning: true, agreed: marks(50), own: marks(50)}}
	g.handleSealed(&raft.SnapshotMeta{Identity: raft.Identity{Index: 50}}, 0, nil)
	if s := &g.snapshots; s.newest != newest || s.sealed != nil || s.pinning {
		t.Errorf("newest is %d, sealed %v, pinning %t", s.newest.Index(), s.sealed, s.pinning)
	}
}

// pinnedAt executes an entry that changes the configuration, and one of commands behind it, and gives the header
// of the snapshot that is pinned at the one which is marked.
func pinnedAt(t *testing.T, marked raft.Index) (header snapshot.Header) {
	alone(t, func(w *world.World, h *Host) {
		g := &group{h: h, id: 1, rebuild: rebuild{why: errNoState}} // no raft behind it is to hear of the mark
		m, err := counter.Machine.Kind().New(&machine.Place{Version: 1})
		if err != nil {
			t.Error(err)
			return
		}
		conf := func(next raft.ReplicaID) *raft.Configuration {
			return &raft.Configuration{NextReplica: next, Settings: defaultSettings("counter")}
		}
		g.lane.machine, g.lane.conf, g.lane.execution = m, conf(1), &execution{}
		newest := *conf(3)
		newest.Index = 99 // appended, and not committed
		g.conf.Store(&newest)
		entries := []raft.Entry{
			{Identity: raft.Identity{Kind: raft.KindConfiguration, Index: 7, Term: 2}, Data: wire.AppendConfiguration(nil, conf(2))},
			{Identity: raft.Identity{Kind: raft.KindEmpty, Index: 8, Term: 2}},
		}
		for i := range entries {
			e := &entries[i]
			e.Length = uint32(len(e.Data))
			if e.Index == marked {
				e.Flags = raft.FlagMark
			}
		}
		g.lane.holds.Store(true)
		w.Do(0, func() {
			if err := g.lane.execute(g, entries); err != nil {
				t.Error(err)
			}
		})
		if g.lane.held == nil {
			t.Error("nothing is pinned")
			return
		}
		header = g.lane.held.header
		w.Do(0, g.dropHeld)
	})
	return header
}

// A change that is not committed may be truncated yet: it is in no snapshot.
func TestSnapshotLacksAnUncommittedChangeBug9(t *testing.T) {
	if c := pinnedAt(t, 8).Meta.Configuration; c.Index != 7 {
		t.Errorf("a snapshot of entry 8 has configuration %d, not that of entry 7", c.Index)
	}
}

// A snapshot of the very entry that changes the configuration has the new one.
func TestSnapshotHasTheChangeOfItsOwnEntryBug10(t *testing.T) {
	if c := pinnedAt(t, 7).Meta.Configuration; c.Index != 7 || c.NextReplica != 2 {
		t.Errorf("a snapshot of entry 7 has configuration %d", c.Index)
	}
}
