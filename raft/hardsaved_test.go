package raft

import "testing"

// TestVoteThatPassesEntriesOnAFullDiskCounts: a candidate whose entries wait for space leads by a vote
// that is durable, and still counts none of those entries.
func TestVoteThatPassesEntriesOnAFullDiskCounts(t *testing.T) {
	w := lead(t, 3)
	h := w.hosts[0]
	propose(w, h, "x")
	r := h.r
	r.o.Check = false // the saves below are made up
	before := r.log.saved
	r.saving = append(r.saving,
		pendingSave{seq: 1000, through: r.log.last() + 1},
		pendingSave{seq: 1001, hard: HardState{Term: 9, Vote: 1}, hardSet: true, twoBatch: true})
	r.Step(Input{Kind: InHardSaved, Seq: 1001, Now: r.now})
	if want := (HardState{Term: 9, Vote: 1}); r.durable != want {
		t.Errorf("durable is %v, want %v", r.durable, want)
	}
	if r.log.saved != before {
		t.Errorf("saved moved from %d to %d by a vote", before, r.log.saved)
	}
	r.saving = append(r.saving[:0], pendingSave{seq: 999, hard: HardState{Term: 8}, hardSet: true})
	r.Step(Input{Kind: InSaved, Seq: 999, Now: r.now})
	if want := (HardState{Term: 9, Vote: 1}); r.durable != want {
		t.Errorf("durable is %v after an older save, want %v", r.durable, want)
	}
}
