package raft

import (
	"strings"
	"testing"
)

// An entry that is changed where it lies is found by the walk over the log (R2), and one that is appended in a batch
// and not linked is found at once, wherever in the batch it is.
func TestChangedEntryIsFoundByTheWalk(t *testing.T) {
	const entries = 40
	for _, c := range []struct {
		name  string
		at    Index // of the entry that is changed
		steps int   // in which it has to be found
		new   bool  // the whole log is new to the check
	}{
		{"old", 5, entries, false},
		{"new in the middle of many", 17, 1, true},
		{"newest", entries, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &Replica{configurations: []*Configuration{{}}}
			for i := Index(1); i <= entries; i++ {
				_, prev := r.log.lastIdentity()
				e := Entry{Identity: Identity{Kind: KindCommands, Term: 1, Index: i, Time: 1, Prev: prev}}
				e.Sum = e.Identity.Digest()
				r.log.push(e)
			}
			if !c.new {
				r.checkLog()
				r.former.cursor = c.at + 1 // the walk has just passed it
			}
			r.log.at(c.at).Payload = 2
			found := 0
			for step := 1; step <= c.steps && found == 0; step++ {
				func() {
					defer func() {
						if v := recover(); v != nil && strings.Contains(v.(string), "R2") {
							found = step
						}
					}()
					r.checkLog()
				}()
			}
			if found == 0 {
				t.Errorf("not found in %d steps", c.steps)
			}
		})
	}
}
