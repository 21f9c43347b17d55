package raft

import "testing"

// A full disk has room for a new base and none for entries: in one Save the base would wait with them, and with
// it the space that it gives back. Nor may an acknowledgement go with it: it passes the log that waits.
func TestNewBaseIsSavedAlone(t *testing.T) {
	w := lead(t, 3)
	leader, follower := w.hosts[0], w.hosts[1]
	for range 5 {
		propose(w, leader, "x")
	}
	w.settle(60_000_000)
	bases, entries := map[*host]int{}, map[*host]int{}
	w.seen = func(h *host, rd *Ready) {
		if rd.Save.Base == nil {
			entries[h] += len(rd.Save.Entries)
			return
		}
		bases[h]++
		if len(rd.Save.Entries) > 0 || len(rd.AfterSave) > 0 {
			t.Errorf("replica %d saves %d entries with a base, for which %d messages wait", h.self.Replica, len(rd.Save.Entries), len(rd.AfterSave))
		}
	}
	compact := func(h *host) {
		s, _ := w.snapshot(h, h.applied-1)
		h.r.Step(Input{Kind: InCompact, Snapshot: &s, Now: h.clock(w.now)})
	}
	compact(leader)
	propose(w, leader, "y")
	compact(follower)
	w.drain()
	for _, h := range []*host{leader, follower} {
		if bases[h] != 1 || entries[h] != 1 || h.r.log.saved != leader.r.log.last() {
			t.Errorf("replica %d has saved %d bases and %d entries, through %d of %d", h.self.Replica, bases[h], entries[h], h.r.log.saved, leader.r.log.last())
		}
	}
	w.settle(60_000_000)
	if p := leader.r.follower(follower.self.Replica); p.match != leader.r.log.last() {
		t.Errorf("the follower has not acknowledged %d", leader.r.log.last())
	}
}

// Two snapshots come within one turn, of which the first replaces the log and the second finds its entry in
// what came behind that: on disk nothing of the former log may stay behind the second.
func TestTwoSnapshotsBeforeOneSaveBug50(t *testing.T) {
	w := lead(t, 3)
	leader, behind := w.hosts[0], w.hosts[2]
	for range 2 {
		propose(w, leader, "x")
	}
	w.settle(60_000_000)
	other := behind.r.log.last()
	for id := range ReplicaID(3) {
		w.cut[[2]ReplicaID{3, id}], w.cut[[2]ReplicaID{id, 3}] = true, true
	}
	const later = 5 // a leadership of its own, of whose entries the others have none
	behind.disk.hard = HardState{Term: later}
	for range 8 {
		last := &behind.disk.entries[len(behind.disk.entries)-1]
		behind.disk.entries = append(behind.disk.entries, makeEntry(last, later, KindCommands, []byte("other")))
	}
	w.start(behind)
	for range 8 {
		propose(w, leader, "y")
	}
	w.settle(60_000_000)

	first, second := other+3, other+5
	give := func(at Index) {
		s, _ := w.snapshot(leader, at)
		behind.r.Step(Input{Kind: InInstalled, Now: w.now, Snapshot: &s})
	}
	give(first)
	prev, sum, _ := leader.r.log.position(first)
	behind.r.Step(Input{Kind: InMessage, Now: w.now, Message: &Message{
		Type: MsgAppend, Group: testGroup, Birth: testBirth, From: 1, FromIncarnation: leader.self.Incarnation, FromHost: 1,
		To: 3, ToIncarnation: behind.self.Incarnation, Term: later + 1, Prev: prev, PrevSum: sum,
		Entries: leader.load(leader.r.log.slice(first+1, second+1)), Commit: first,
	}})
	give(second)
	w.pump(behind)
	w.drain()
	if d := &behind.disk; d.base.Index() != second || d.last() != second {
		t.Errorf("the disk has a base at %d and entries through %d, %d and %d were installed", d.base.Index(), d.last(), first, second)
	}
	w.crash(behind)
	w.start(behind)
	if got := behind.r.log.last(); got != second {
		t.Errorf("the log ends at %d after a restart, not at %d", got, second)
	}
}
