package raft

import "testing"

// fullWorld is a group of three whose leader has appended an entry, and the replicas whose disks are to be full.
func fullWorld(t *testing.T) (w *world, lead *host, others []*host) {
	w = newWorld(3, Configuration{Voters: members(1, 2, 3), NextReplica: 4}, testOptions())
	w.settle(4 * testElection)
	if lead = w.leader(); lead == nil {
		t.Fatal("nobody leads")
	}
	for _, h := range w.hosts {
		if h != lead {
			others = append(others, h)
		}
	}
	return w, lead, others
}

// goOn lets time pass, in which full logs refuse entries again and again; bound: as they are as long as they may be.
func (w *world) goOn(d int64, bound bool, full ...*host) {
	for ; d > 0; d -= 100_000_000 {
		for _, h := range full {
			h.stuck = true
			w.step(h, Input{Kind: InStorageFull, Bound: bound})
		}
		w.settle(100_000_000)
	}
}

// TestLeaderWhoseLogStaysFullHandsOver to a voter that has saved what it could not. Where all are full, nobody is asked.
func TestLeaderWhoseLogStaysFullHandsOver(t *testing.T) {
	w, lead, _ := fullWorld(t)
	lead.stuck = true
	propose(w, lead, "x")
	w.goOn((fullPatience-2)*testElection, true, lead)
	if w.leader() != lead {
		t.Fatal("it led no more before it was full for long")
	}
	w.goOn(6*testElection, true, lead)
	if l := w.leader(); l == lead || l == nil || l.r.commit < 3 {
		t.Fatalf("%d leads, whose disk is full", l.self.Replica)
	}

	w, lead, others := fullWorld(t)
	for _, h := range w.hosts {
		h.stuck = true
	}
	propose(w, lead, "x")
	asked := false
	w.seen = func(_ *host, rd *Ready) {
		for i := range rd.Messages {
			asked = asked || rd.Messages[i].Type == MsgTransfer
		}
	}
	w.goOn(3*fullPatience*testElection, true, append(others, lead)...)
	if asked {
		t.Error("a voter whose disk is full as well was asked to lead")
	}
}

// TestFullFollowerIsGivenASnapshot has a follower without room for entries that the others have committed. The leader
// offers a snapshot, though its log holds those entries; it stands in their place, and what follows it comes again.
func TestFullFollowerIsGivenASnapshot(t *testing.T) {
	w, lead, others := fullWorld(t)
	f := others[0]
	f.stuck = true
	for range 5 {
		propose(w, lead, "x")
		w.settle(10_000_000)
	}
	var needs []ReplicaID
	w.seen = func(_ *host, rd *Ready) { needs = append(needs, rd.NeedSnapshot...) }
	w.goOn(2*fullPatience*testElection, false, f)
	if len(needs) > 0 {
		t.Fatal("a snapshot is sent though the disk has no room for it")
	}
	w.goOn((fullPatience-2)*testElection, true, f)
	if len(needs) > 0 {
		t.Fatal("a snapshot is sent before it was full for long")
	}
	w.goOn(6*testElection, true, f)
	if len(needs) != 1 || needs[0] != f.self.Replica {
		t.Fatalf("snapshots are sent to %v, replica %d is full", needs, f.self.Replica)
	}
	at := lead.r.commit - 2
	s, ok := w.snapshot(lead, at)
	if saved := f.r.log.saved; !ok || at <= saved || f.r.commit <= at {
		t.Fatalf("snapshot of %d: %v; it has saved %d, and knows that %d are committed", at, ok, saved, f.r.commit)
	}
	w.step(f, Input{Kind: InInstalled, Snapshot: &s})
	if f.r.log.base.Index != at || f.r.log.last() != lead.r.log.last() {
		t.Fatalf("its log begins after %d and ends at %d", f.r.log.base.Index, f.r.log.last())
	}
	installed := 0
	w.seen = func(_ *host, rd *Ready) {
		if rd.Install != nil {
			installed++
		}
	}
	w.step(f, Input{Kind: InStorageFull, Bound: true})
	if w.step(f, Input{Kind: InInstalled, Snapshot: &s}); installed > 0 {
		t.Error("a snapshot that is on its way to the disk is taken once more")
	}
	// The disk has room for the snapshot, and so for what comes after: what waited before it is taken back.
	for len(f.queue) > 0 && f.queue[0].save.Base == nil {
		f.queue = f.queue[1:]
	}
	f.stuck = false
	w.step(lead, Input{Kind: InSnapshotSent, Replica: f.self.Replica})
	w.settle(4 * testElection)
	propose(w, lead, "y")
	w.settle(testElection)
	if f.r.log.saved != lead.r.log.last() || f.applied != lead.applied || f.r.commit != lead.r.commit {
		t.Errorf("it has saved %d, executed %d, committed %d; the leader's log ends at %d, its commit index is %d",
			f.r.log.saved, f.applied, f.r.commit, lead.r.log.last(), lead.r.commit)
	}
	if !f.disk.holds(at+1, lead.disk.entries[at-lead.disk.base.Index()].Sum) || f.disk.base.Index() != at {
		t.Errorf("its disk begins after %d and ends at %d", f.disk.base.Index(), f.disk.last())
	}
}
