package kv_test

import (
	"fmt"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// recent gives the revisions that a follower who has seen from is told; none: it has to look for itself.
func recent(t *testing.T, v *kv.View, from int64) (revisions []int64) {
	t.Helper()
	changes, err := v.Recent(from)
	if err == kv.ErrCompacted {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for e := range changes {
		revisions = append(revisions, e.KV.ModRevision)
	}
	return revisions
}

// TestRecentSeesThroughCompactions follows a store that is compacted twice. A store that was loaded
// has only what its snapshot had.
func TestRecentSeesThroughCompactions(t *testing.T) {
	d := newDB(t)
	for i := range 8 {
		d.must(put("a", fmt.Sprint(i))) // 2..9
	}
	pinned := d.view()
	d.must(compact(4))
	d.must(compact(8))
	for from := range int64(9) {
		want := max(from+1, 2)
		if got := recent(t, d.view(), from); len(got) != int(10-want) || got[0] != want || got[len(got)-1] != 9 {
			t.Errorf("who has seen %d is told of %v", from, got)
		}
	}
	if _, err := d.view().Events(2, 0); err != kv.ErrCompacted {
		t.Errorf("changes below the compact revision are read: %v", err)
	}
	if got := recent(t, pinned, 1); len(got) != 8 {
		t.Errorf("a view from before the compactions has %v", got)
	}
	loaded := load(t, d.save()).view()
	if got := recent(t, loaded, 2); got != nil {
		t.Errorf("a loaded store remembers %v", got)
	}
	if got := recent(t, loaded, 8); len(got) != 1 {
		t.Errorf("a loaded store does not have what its snapshot had: %v", got)
	}
}

// TestRecentIsBounded compacts more than is kept: the newest of it is there, the oldest is not.
func TestRecentIsBounded(t *testing.T) {
	d := newDB(t)
	value := string(make([]byte, 1<<20))
	for range 10 {
		d.must(put("a", value)) // 2..11
	}
	d.must(compact(11))
	if got := recent(t, d.view(), 2); got != nil {
		t.Errorf("10 MiB are kept: %v", got)
	}
	if got := recent(t, d.view(), 8); len(got) != 3 || got[0] != 9 {
		t.Errorf("the newest are not kept: %v", got)
	}
}
