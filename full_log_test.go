package lockstep_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// A log that is full by MaxWALBytes clears by itself, whatever happened to its hosts meanwhile. The
// counter's snapshots are small, so that what these tests fill a log with has to stay there by force: no
// snapshot can be written until it is full.

// noSnapshots lets none be written on any host.
func (c *island) noSnapshots() {
	for i := range c.hosts {
		c.w.Disk(i).Hook = func(op world.Op, name string) error {
			if op == world.OpCreate && strings.Contains(name, "snapshots/") {
				return syscall.EDQUOT
			}
			return nil
		}
	}
}

// noAgreement lets no host note that a snapshot is agreed.
func (c *island) noAgreement() {
	for i := range c.hosts {
		c.w.Disk(i).Hook = func(op world.Op, name string) error {
			if op == world.OpRename && strings.HasSuffix(name, ".sealed") {
				return syscall.EIO
			}
			return nil
		}
	}
}

// fill writes to a group until its leader's log has refused an entry.
func (c *island) fill(id lockstep.GroupID, size int) bool {
	for until := c.w.Now() + time.Minute; c.w.Now() < until; {
		if err := c.propose(c.leader(id), id, size); errors.Is(err, lockstep.ErrNoSpace) {
			return true
		}
		c.w.Sleep(5 * time.Millisecond)
	}
	c.t.Error("no log is full")
	return false
}

func (c *island) heal() {
	for i := range c.hosts {
		c.w.Disk(i).Hook, c.w.Disk(i).Slow = nil, 0
	}
}

// writers write entries of size bytes to each of the groups on every host, until stop is set.
func (c *island) writers(size int, stop *bool, groups ...lockstep.GroupID) {
	for i := range c.hosts {
		for _, id := range groups {
			c.w.Go(world.Driver, "writer", func() {
				for !*stop {
					if h := c.hosts[i]; h != nil && c.w.Alive(i) {
						_ = c.propose(i, id, size)
					}
					c.w.Sleep(5 * time.Millisecond)
				}
			})
		}
	}
}

// startAgain ends and starts hosts n times, one or all of them, after lives of up to life.
func (c *island) startAgain(n int, life time.Duration) bool {
	for k := range n {
		c.w.Sleep(time.Duration(c.w.Rand().Int64N(int64(life))))
		victims := []int{k % 3}
		if k%5 == 4 {
			victims = []int{0, 1, 2}
		}
		for _, i := range victims {
			c.w.Disk(i).Slow = float64(1 + c.w.Rand().IntN(10))
		}
		c.w.Sleep(20 * time.Millisecond)
		if k%2 == 0 {
			c.w.PowerOff(victims...)
		} else {
			for _, i := range victims {
				c.w.Kill(i)
			}
		}
		for _, i := range victims {
			c.w.Disk(i).Slow = 0
			c.w.Start(i)
			if err := c.start(i); err != nil {
				c.t.Errorf("start %d of host %d: %v", k, i, err)
				return false
			}
		}
	}
	return true
}

// clears says whether every group takes writes again, within a minute.
func (c *island) clears(groups ...lockstep.GroupID) {
	since := c.w.Now()
	for _, id := range groups {
		for i := range c.hosts {
			for {
				_, err := c.add(i, id, 2*time.Second)
				if err == nil {
					break
				}
				if c.w.Now()-since > time.Minute {
					c.t.Errorf("group %d takes no writes on host %d a minute after all is healed: %v", id, i, err)
					return
				}
				c.w.Sleep(10 * time.Millisecond)
			}
		}
	}
	for i := range c.hosts {
		if s := c.hosts[i].Status(); s.WALBytes > s.WALMaxBytes+512<<10 {
			c.t.Errorf("log of host %d has %d bytes of at most %d", i, s.WALBytes, s.WALMaxBytes)
		}
	}
}

func TestFullLogClearsThoughHostsStartAgainAndAgain(t *testing.T) {
	seeded(t, 300, 8, func(c *island, _ uint64) {
		c.tune = func(_ int, o *lockstep.Options) { o.WALSegmentBytes, o.MaxWALBytes = 512<<10, 8<<20 }
		if !c.began() {
			return
		}
		c.noSnapshots()
		if !c.fill(1, 20<<10) {
			return
		}
		stop := false
		c.writers(20<<10, &stop, 1)
		if !c.startAgain(20, 400*time.Millisecond) {
			return
		}
		stop = true
		c.heal()
		c.clears(1)
	})
}

// TestFullLogOfASleepingGroupClears fills the log with a group that sleeps then, and writes to another one.
func TestFullLogOfASleepingGroupClears(t *testing.T) {
	seeded(t, 400, 8, func(c *island, _ uint64) {
		c.tune = func(_ int, o *lockstep.Options) { o.WALSegmentBytes, o.MaxWALBytes = 512<<10, 8<<20 }
		if !c.began() {
			return
		}
		if !c.createdOnAll(2) {
			return
		}
		c.noSnapshots()
		if !c.fill(2, 20<<10) {
			return
		}
		if !c.startAgain(10, 400*time.Millisecond) {
			return
		}
		c.heal()
		c.clears(1, 2)
	})
}

// TestFullLogClearsThoughSnapshotsFailed lets every snapshot fail for half a minute with a full log, in which
// no mark can be written any more: the view of the newest one has to be kept until its snapshot is on the disk.
func TestFullLogClearsThoughSnapshotsFailed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fail func(*island)
	}{
		{"to be written", (*island).noSnapshots},
		{"to be marked as agreed", (*island).noAgreement},
	} {
		for seed := range seedsOf(3, 1) {
			t.Run(fmt.Sprint(c.name, ", seed ", seed), func(t *testing.T) {
				inWorld(t, 900+seed, 3, 30*time.Minute, func(i *island) {
					i.tune = func(_ int, o *lockstep.Options) { o.WALSegmentBytes, o.MaxWALBytes = 512<<10, 8<<20 }
					if !i.began() {
						return
					}
					c.fail(i)
					if !i.fill(1, 20<<10) {
						return
					}
					stop := false
					i.writers(20<<10, &stop, 1)
					i.w.Sleep(30 * time.Second)
					stop = true
					i.heal()
					i.clears(1)
				})
			})
		}
	}
}

// TestFullLogOfTwoGroupsClears has two groups share logs that are full, with writers that go on, and ends hosts
// and starts them again while the pressure lasts. Every host makes a newer snapshot as long as it has log behind
// the newest one.
func TestFullLogOfTwoGroupsClears(t *testing.T) {
	seeded(t, 1200, 16, func(c *island, seed uint64) {
		c.tune = func(_ int, o *lockstep.Options) {
			o.WALSegmentBytes, o.MaxWALBytes, o.SnapshotAfterBytes = 512<<10, 8<<20, 64<<10
		}
		if !c.began() {
			return
		}
		if !c.createdOnAll(2) {
			return
		}
		c.noSnapshots()
		if !c.fill(1+lockstep.GroupID(seed%2), 20<<10) {
			return
		}
		stop := false
		c.writers(4<<10, &stop, 1, 2)
		if seed%4 >= 2 {
			c.heal()
		}
		if !c.startAgain(12, 2*time.Second) {
			return
		}
		c.heal()
		c.w.Sleep(5 * time.Second)
		stop = true
		c.clears(1, 2)
	})
}

// TestFullLogClearsThoughNobodyKnowsWhatIsCommitted fills the logs of two hosts, and then a longer one of a third,
// which so has entries that the others have no room for, and starts all anew. No leader can commit anything in
// its term before there is room, so that what may be cut has to be known from the disk.
func TestFullLogClearsThoughNobodyKnowsWhatIsCommitted(t *testing.T) {
	seeded(t, 1300, 8, func(c *island, _ uint64) {
		c.tune = func(i int, o *lockstep.Options) {
			o.WALSegmentBytes, o.MaxWALBytes, o.SnapshotAfterBytes = 512<<10, 6<<20, 64<<10
			if i == 0 {
				o.MaxWALBytes = 8 << 20
			}
		}
		if !c.began() {
			return
		}
		c.noSnapshots()
		stop := false
		c.writers(100<<10, &stop, 1)
		full := func() bool {
			for _, h := range c.hosts {
				if h.Status().Disk != "full" {
					return false
				}
			}
			return true
		}
		for until := c.w.Now() + 5*time.Minute; !full(); c.w.Sleep(50 * time.Millisecond) {
			if c.w.Now() > until {
				c.t.Error("not all logs are full")
				return
			}
		}
		stop = true
		c.w.PowerOff(0, 1, 2)
		c.heal()
		for i := range c.hosts {
			c.w.Start(i)
			if err := c.start(i); err != nil {
				c.t.Error(err)
				return
			}
		}
		c.clears(1)
	})
}

// TestFullFollowerWhoseMarksNobodyKnowsClears has a log full at one host, which then executes, and marks, no more;
// the others go on, make snapshots, and start anew from these, so that they know nothing of the state at those marks.
// Their logs still hold what it lacks, for which it has no room.
func TestFullFollowerWhoseMarksNobodyKnowsClears(t *testing.T) {
	seeded(t, 1400, 4, func(c *island, _ uint64) {
		c.tune = func(i int, o *lockstep.Options) {
			o.WALSegmentBytes, o.MaxWALBytes, o.SnapshotAfterBytes = 64<<10, 8<<20, 1<<20
			if i == 2 {
				o.MaxWALBytes = 6 * o.WALSegmentBytes
			}
		}
		if !c.began() {
			return
		}
		c.noSnapshots()
		stop := false
		c.writers(4<<10, &stop, 1)
		for c.hosts[2].Status().Disk != "full" {
			c.w.Sleep(20 * time.Millisecond)
		}
		c.w.Sleep(2 * time.Second)
		stop = true
		c.w.Sleep(2 * time.Second)
		for i := range 2 {
			c.w.Disk(i).Hook = nil
			if err := c.call(i, 10*time.Second, func(ctx context.Context, h *lockstep.Host) error {
				_, err := h.Group(1).Snapshot(ctx)
				return err
			}); err != nil {
				c.t.Errorf("snapshot on host %d: %v", i, err)
				return
			}
		}
		for i := range 2 {
			c.w.Kill(i)
			c.w.Start(i)
			if err := c.start(i); err != nil {
				c.t.Error(err)
				return
			}
		}
		c.heal()
		c.clears(1)
	})
}

// TestPressureDoesNotStormTheDisk lets every snapshot fail while the logs are full, and counts how often they are begun.
func TestPressureDoesNotStormTheDisk(t *testing.T) {
	t.Parallel()
	inWorld(t, 1500, 3, 30*time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) { o.WALSegmentBytes, o.MaxWALBytes = 512<<10, 8<<20 }
		if !c.began() {
			return
		}
		begun := make([]int, len(c.hosts))
		for i := range c.hosts {
			c.w.Disk(i).Hook = func(op world.Op, name string) error {
				if op == world.OpCreate && strings.Contains(name, "snapshots/") {
					begun[i]++
					return syscall.EDQUOT
				}
				return nil
			}
		}
		if !c.fill(1, 20<<10) {
			return
		}
		c.w.Sleep(10 * time.Second)
		clear(begun)
		c.w.Sleep(80 * time.Second)
		for i, n := range begun {
			if n < 8 || n > 24 { // of the user's group and the engine's own
				t.Errorf("host %d begins %d snapshots in 80s", i, n)
			}
		}
		c.heal()
		c.clears(1)
	})
}

// TestFullLogsOfManySizesClear draws the lengths of segments, logs and entries, and what happens to the hosts while one to
// three of the logs are full.
func TestFullLogsOfManySizesClear(t *testing.T) {
	t.Parallel()
	seeds := []uint64{51, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}
	for _, seed := range seeds[:seedsOf(uint64(len(seeds)), 1)] {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			inWorld(t, 7000+seed, 3, 60*time.Minute, fillAndClear)
		})
	}
}

func fillAndClear(c *island) {
	r := c.w.Rand()
	segment := []int64{64 << 10, 128 << 10, 512 << 10}[r.IntN(3)]
	size := []int{1 << 10, 4 << 10, 20 << 10, 50 << 10}[r.IntN(4)]
	segments := [3]int64{6 + r.Int64N(12), 6 + r.Int64N(12), 6 + r.Int64N(12)}
	after := []int64{4 << 10, 64 << 10, segment}[r.IntN(3)]
	c.tune = func(i int, o *lockstep.Options) {
		o.WALSegmentBytes, o.MaxWALBytes, o.SnapshotAfterBytes = segment, segments[i]*segment, after
	}
	if !c.began() {
		return
	}
	if !c.createdOnAll(2) {
		return
	}
	c.noSnapshots()
	stop := false
	c.writers(size, &stop, 1, 2)
	for until := c.w.Now() + 2*time.Minute; c.w.Now() < until && c.full() < 1+r.IntN(3); {
		c.w.Sleep(50 * time.Millisecond)
	}
	if r.IntN(2) == 0 {
		c.heal()
	}
	if !c.startAgain(5+r.IntN(20), time.Duration(100+r.IntN(3000))*time.Millisecond) {
		return
	}
	if r.IntN(2) == 0 {
		stop = true
	}
	if r.IntN(2) == 0 {
		c.w.PowerOff(0, 1, 2)
		for i := range c.hosts {
			c.w.Start(i)
			if err := c.start(i); err != nil {
				c.t.Error(err)
				return
			}
		}
	}
	c.heal()
	c.w.Sleep(5 * time.Second)
	stop = true
	c.clears(1, 2)
}

// full is how many logs are.
func (c *island) full() (n int) {
	for _, h := range c.hosts {
		if h.Status().Disk == "full" {
			n++
		}
	}
	return n
}
