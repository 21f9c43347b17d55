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
