package lockstep_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// propose sends a command of n bytes, which the counter refuses once it is committed.
func (c *island) propose(i int, id lockstep.GroupID, n int) (err error) {
	c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), time.Second)
		defer cancel()
		_, err = c.hosts[i].Group(id).Propose(ctx, make([]byte, n))
	})
	return err
}

// fillAll writes until every host's log refuses entries, wherever the group's leader is.
func (c *island) fillAll(id lockstep.GroupID, size int) bool {
	full := func() (n int) {
		for i := range c.hosts {
			if c.hosts[i].Status().Disk == "full" {
				n++
			}
		}
		return n
	}
	for until := c.w.Now() + time.Minute; c.w.Now() < until; {
		err := c.propose(c.leader(id), id, size)
		if errors.Is(err, lockstep.ErrNoSpace) && full() == len(c.hosts) {
			return true
		}
		c.w.Sleep(5 * time.Millisecond)
	}
	c.t.Errorf("only %d logs are full", full())
	return false
}

// TestElectionWhileAllDisksAreFull ends the leader while no disk has space for entries. A new one is
// elected, and its first entry, an empty one, finds room, so that it serves linearizable reads.
func TestElectionWhileAllDisksAreFull(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { electFull(t, seed) })
	}
}

func electFull(t *testing.T, seed uint64) {
	inWorld(t, 100+seed, 3, 10*time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) { o.SnapshotAfterBytes = 1 << 30 }
		if !c.began() {
			return
		}
		var acked int64
		c.addAll(0, 5, &acked)
		for i := range c.hosts {
			c.w.Disk(i).Capacity = c.w.Disk(i).Used() + 64<<10
		}
		if !c.fillAll(1, 20<<10) {
			return
		}
		for k := range 3 {
			lead := c.leader(1)
			c.w.Kill(lead)
			other, killed := (lead+1)%3, c.w.Now()
			if n, err := c.get(other, 1, 5*time.Second, lockstep.ReadOptions{}); err != nil || n < acked {
				t.Errorf("read %v after the leader ended, disks full: %d, %v; %d were acknowledged", c.w.Now()-killed, n, err, acked)
			}
			d := c.w.Disk(lead)
			d.Capacity = d.Used() + 256<<10 // a start takes a segment
			c.w.Start(lead)
			if err := c.start(lead); err != nil {
				t.Errorf("start %d with room for a segment: %v", k, err)
				return
			}
			c.w.Sleep(2 * time.Second)
		}
		for i := range c.hosts {
			c.w.Disk(i).Capacity = 0
		}
		freed := c.w.Now()
		for {
			_, err := c.add(0, 1, 2*time.Second)
			if err == nil {
				return
			}
			if c.w.Now()-freed > 10*time.Second {
				t.Errorf("writes have not returned 10s after space did: %v", err)
				return
			}
			c.w.Sleep(10 * time.Millisecond)
		}
	})
}

// TestFollowerWhoseDiskWasFullForAnHourCatchesUp: terms and entries of an hour in which the others changed leaders wait there,
// and go in a moment once there is space.
func TestFollowerWhoseDiskWasFullForAnHourCatchesUp(t *testing.T) {
	rounds := int(seedsOf(60, 10)) * 20
	inWorld(t, 7, 3, 3*time.Hour, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) {
			o.WALSegmentBytes = 64 << 10   // what is ahead is filled soon
			o.SnapshotAfterBytes = 1 << 30 // only the log brings it on
		}
		if !c.began() {
			return
		}
		disk := c.w.Disk(2)
		disk.Capacity = disk.Used()
		for range rounds {
			lead := c.leader(1)
			c.w.Do(lead, func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), time.Second)
				defer cancel()
				_ = c.hosts[lead].Group(1).TransferLeader(ctx, lockstep.HostID(1+(lead+1)%2))
			})
			_, _ = c.add(0, 1, time.Second)
			c.w.Sleep(3 * time.Second)
		}
		behind := c.hosts[0].Group(1).Status().Commit
		if s := c.hosts[2].Group(1).Status(); s.Applied+lockstep.Index(rounds) > behind {
			t.Errorf("it executed %d of %d with a full disk", s.Applied, behind)
		}
		disk.Capacity = 0
		freed := c.w.Now()
		c.until("it has executed all", func() bool { return c.hosts[2].Group(1).Status().Applied >= behind })
		if d := c.w.Now() - freed; d > 10*time.Second {
			t.Errorf("it had executed all %v after space was back", d)
		}
	})
}
