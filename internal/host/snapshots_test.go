package host

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/raft"
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
