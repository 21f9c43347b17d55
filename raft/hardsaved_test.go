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

// TestTermsThatPassEntriesAreForgotten: others elect while a disk takes terms only, behind entries that wait. What is pending
// stays short (A9), and once there is space all is saved.
func TestTermsThatPassEntriesAreForgotten(t *testing.T) {
	w := lead(t, 3)
	h := w.hosts[1]
	h.stuck = true
	propose(w, w.hosts[0], "x")
	w.settle(20_000_000)
	r := h.r
	if len(r.saving) != 1 || r.log.saved == r.log.last() {
		t.Fatalf("%d saves are pending, entry %d of %d is saved", len(r.saving), r.log.saved, r.log.last())
	}
	before := r.log.saved
	for n := range Term(1000) {
		m := w.hosts[2].r.to(MsgHeartbeat, &h.self)
		m.Group, m.Birth, m.From, m.FromIncarnation, m.FromHost = testGroup, testBirth, 3, w.hosts[2].self.Incarnation, 3
		m.Term = 10 + n
		w.step(h, Input{Kind: InMessage, Message: &m})
		r.Step(Input{Kind: InHardSaved, Seq: h.queue[len(h.queue)-1].save.Seq, Now: r.now})
		if len(r.saving) > 2 || r.durable != r.hard || r.log.saved != before {
			t.Fatalf("in term %d durable %v, %d saves are pending, entry %d is saved", r.hard.Term, r.durable, len(r.saving), r.log.saved)
		}
	}
	for len(h.queue) > 0 {
		w.sync(h, true)
	}
	if len(r.saving) != 0 || r.durable != r.hard || r.log.saved != before+1 {
		t.Errorf("%d saves are pending; durable %v, want %v; entry %d is saved, want %d", len(r.saving), r.durable, r.hard, r.log.saved, before+1)
	}
}
