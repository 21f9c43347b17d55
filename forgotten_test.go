package lockstep_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// TestGroupWhoseHistoryRottedIsNotFoundedAnew rots every batch that a host has of a group, on a host
// that still knows from group 0 that it belongs to it. It has acknowledged and voted there, so it
// must not begin anew as if it had not.
func TestGroupWhoseHistoryRottedIsNotFoundedAnew(t *testing.T) {
	for _, lost := range []raft.GroupID{1, 0} {
		for _, power := range []bool{false, true} {
			t.Run(fmt.Sprintf("group %d, power loss %v", lost, power), func(t *testing.T) { historyRots(t, lost, power) })
		}
	}
}

func historyRots(t *testing.T, lost raft.GroupID, power bool) {
	inWorld(t, 7, 3, 5*time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		other := lockstep.GroupID(1 - lost)
		victim := (c.leads(lockstep.GroupID(lost)) + 1) % 3
		c.newTerm(other) // so that what is left of the other group is newer than the rot
		c.w.Sleep(time.Second)
		if power {
			c.w.PowerOff(victim)
		} else {
			c.w.Kill(victim)
		}
		if n := c.rotGroup(victim, lost); n == 0 {
			t.Error("nothing of the group was found in the log")
			return
		}
		for range 2 { // a second start must not know less than the first
			c.w.Start(victim)
			err := c.start(victim)
			c.w.Sleep(5 * time.Second)
			why := ""
			if err != nil {
				why = err.Error()
			} else {
				why = c.hosts[victim].Status().Why
			}
			if want := fmt.Sprintf("group %d", lost); !strings.Contains(why, want) || !strings.Contains(why, "no vote") {
				t.Errorf("after the rot the host says %q", why)
			}
			if s := c.hosts[victim]; s != nil {
				for _, g := range s.Status().Groups {
					if g.Group == lockstep.GroupID(lost) && g.Term > 0 {
						t.Errorf("the host has a replica of the lost group: %+v", g)
					}
				}
			}
			c.w.Kill(victim)
		}
	})
}

// TestHostWhoseOwnGroupIsDamagedSaysSo: group 0 is in no list of groups, and what becomes of the others
// on this host hangs on it.
func TestHostWhoseOwnGroupIsDamagedSaysSo(t *testing.T) {
	inWorld(t, 7, 3, 5*time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		c.w.Do(0, func() { // something of group 0 behind what rots: it is not forgotten, but damaged
			ctx, cancel := c.w.WithTimeout(c.w.Context(), 5*time.Second)
			defer cancel()
			if err := c.hosts[0].Announce(ctx, "a note"); err != nil {
				t.Error(err)
			}
		})
		c.w.Sleep(time.Second)
		c.w.Kill(1)
		c.rotGroup(1, 1) // in batches that hold something of group 0 too
		c.w.Start(1)
		if err := c.start(1); err != nil {
			t.Error(err)
			return
		}
		c.w.Sleep(5 * time.Second)
		if why := c.hosts[1].Status().Why; !strings.Contains(why, "group 0") {
			t.Errorf("the host says %q", why)
		}
	})
}

// leads waits until some host leads the group, be it the engine's own.
func (c *island) leads(id lockstep.GroupID) int {
	if id != 0 {
		return c.leader(id)
	}
	for {
		for i, h := range c.hosts {
			if h != nil && c.w.Alive(i) && h.LeadsSystem() {
				return i
			}
		}
		c.w.Sleep(10 * time.Millisecond)
	}
}

// newTerm has another replica lead the group.
func (c *island) newTerm(id lockstep.GroupID) {
	lead := c.leads(id)
	c.w.Do(lead, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), 5*time.Second)
		defer cancel()
		h, err := c.hosts[lead], error(nil)
		if id == 0 {
			err = h.TransferSystem(ctx)
		} else {
			err = h.Group(id).TransferLeader(ctx, 0)
		}
		if err != nil {
			c.t.Errorf("transfer the leadership of group %d: %v", id, err)
		}
	})
	c.leads(id)
}

// rotGroup flips bits in every batch of host i's log that holds something of the group.
func (c *island) rotGroup(i int, id raft.GroupID) (rotten int) {
	for n := 1; n < 100; n++ {
		name := fmt.Sprintf("data/wal/%08d.wal", n)
		raw := c.w.Disk(i).Medium(name)
		for at := 0; at+wire.BlockSize <= len(raw); at += wire.BlockSize {
			b, err := wire.DecodeBlock(raw[at : at+wire.BlockSize])
			if err != nil || b.Kind != wire.BlockBatch {
				continue
			}
			for rest := b.Body; len(rest) > 0; {
				r, tail, err := wire.DecodeRecord(rest)
				if err != nil {
					break
				}
				if r.Kind != wire.RecordRepeat && r.Group == id {
					c.w.Disk(i).Rot(name, int64(at), wire.BlockSize)
					rotten++
					break
				}
				rest = tail
			}
		}
	}
	return rotten
}
