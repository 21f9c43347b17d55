package lockstep_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// smallSnapshots makes a group write one every 30 commands or so.
func smallSnapshots(_ int, o *lockstep.Options) { o.SnapshotAfterBytes = 4 << 10 }

// addAll adds n times at host i, and keeps the highest answer in acked.
func (c *island) addAll(i, n int, acked *int64) {
	for range n {
		if v, err := c.add(i, 1, 3*time.Second); err == nil {
			*acked = max(*acked, v)
		}
	}
}

// endAt ends host i's process at its k-th disk operation from now on.
func (c *island) endAt(i, k int, power bool) {
	left := k
	c.w.Disk(i).Hook = func(world.Op, string) error {
		if left--; left == 0 {
			c.w.Disk(i).Hook = nil
			c.w.Go(world.Driver, "end", func() {
				if power {
					c.w.PowerOff(i)
				} else {
					c.w.Kill(i)
				}
			})
		}
		return nil
	}
}

// back restarts host i if it has ended, and compares what it answers with what was acknowledged.
func (c *island) back(i int, acked int64) {
	c.w.Disk(i).Hook = nil
	if !c.w.Alive(i) {
		c.w.Start(i)
		if err := c.start(i); err != nil {
			c.t.Errorf("open host %d again: %v", i, err)
			return
		}
	}
	if _, err := c.create(i, 1, 20*time.Second); err != nil {
		c.t.Errorf("host %d does not come back: %v", i, err)
		return
	}
	if n, err := c.get(i, 1, 20*time.Second, lockstep.ReadOptions{}); err != nil || n < acked {
		c.t.Errorf("host %d reads %d, %v; %d were acknowledged", i, n, err, acked)
	}
}

// TestCrashAtAnyDiskOperationAroundSnapshotsBug35Bug37 ends one host at each operation of a run that writes,
// agrees and prunes snapshots and cuts the log, or that receives one; then all of them at once.
func TestCrashAtAnyDiskOperationAroundSnapshotsBug35Bug37(t *testing.T) {
	t.Parallel()
	step := 3
	if testing.Short() {
		step = 21
	}
	for _, behind := range []bool{false, true} {
		for k := 1; k <= 160; k += step {
			n := k / step // k itself is 1 modulo 3 in each round: the victim would be the same
			victim, power := n%3, n/3%2 == 0
			inWorld(t, uint64(1000+k), 3, 20*time.Minute, func(c *island) {
				c.tune = smallSnapshots
				if !c.began() {
					return
				}
				var acked int64
				client := (victim + 1) % 3
				if behind {
					c.w.Kill(victim)
					c.addAll(client, 120, &acked)
					c.w.Start(victim)
					c.endAt(victim, k, power)
					_ = c.start(victim) // it may end in the middle
				} else {
					c.addAll(client, 20, &acked)
					c.endAt(victim, k, power)
				}
				c.addAll(client, 60, &acked)
				c.back(victim, acked)
				c.addAll(client, 20, &acked)
				c.w.PowerOff(0, 1, 2)
				for i := range c.hosts {
					c.w.Start(i)
				}
				c.startAll()
				for i := range c.hosts {
					c.back(i, acked)
				}
				if acked < 60 {
					c.t.Errorf("only %d were acknowledged", acked)
				}
			})
			if t.Failed() {
				t.Fatalf("behind %v, operation %d, power loss %v, host %d", behind, k, power, victim)
			}
		}
	}
}

// agreed lists the agreed snapshots of group 1 on host i, oldest first.
func (c *island) agreed(i int) (names []string) {
	c.w.Do(i, func() {
		infos, err := c.w.Host(i).FS().ReadDir("data/snapshots")
		if err != nil {
			c.t.Error(err)
		}
		for _, info := range infos {
			if strings.HasPrefix(info.Name, fmt.Sprintf("snapshot-%016x-", 1)) && strings.HasSuffix(info.Name, ".agreed") {
				names = append(names, "data/snapshots/"+info.Name)
			}
		}
	})
	slices.Sort(names)
	return names
}

// TestRottenSnapshotIsPassedOver damages the newest snapshot of a host that has ended: the one
// before and the log behind that hold all of it.
func TestRottenSnapshotIsPassedOver(t *testing.T) {
	inWorld(t, 31, 1, 5*time.Minute, func(c *island) {
		c.tune = smallSnapshots
		if !c.began() {
			return
		}
		var acked int64
		c.addAll(0, 150, &acked)
		c.w.Sleep(2 * time.Second)
		names := c.agreed(0)
		if len(names) != 2 {
			c.t.Errorf("%d agreed snapshots, want 2", len(names))
			return
		}
		c.w.Kill(0)
		c.w.Start(0)
		c.w.Do(0, func() {
			f, err := c.w.Host(0).FS().Open(names[1], env.Read|env.Write)
			if err != nil {
				c.t.Error(err)
				return
			}
			at := int64(len(c.w.Disk(0).Medium(names[1])) - wire.FooterSize - 1) // the machine's last byte
			var b [1]byte
			if _, err := f.ReadAt(b[:], at); err != nil {
				c.t.Error(err)
			}
			if _, err := f.WriteAt([]byte{b[0] ^ 1}, at); err != nil {
				c.t.Error(err)
			}
		})
		c.reopened(0, acked)
	})
}

// A log begins after a snapshot, and no snapshot at its beginning or behind it can be read. One that ends before
// would leave a gap, and an empty machine would be another group's: the replica serves nothing, and says why.
func TestNoSnapshotThatReachesTheLogServesNothingBug52Bug85(t *testing.T) {
	for _, older := range []bool{true, false} {
		inWorld(t, 33, 1, 5*time.Minute, func(c *island) {
			c.tune = smallSnapshots
			if !c.began() {
				return
			}
			var acked int64
			c.addAll(0, 150, &acked)
			c.w.Sleep(2 * time.Second)
			first := c.agreed(0)[0]
			data := slices.Clone(c.w.Disk(0).Medium(first))
			c.addAll(0, 150, &acked)
			c.w.Sleep(2 * time.Second)
			names := c.agreed(0)
			if len(names) != 2 || slices.Contains(names, first) {
				c.t.Errorf("agreed snapshots %q, the first was %s", names, first)
				return
			}
			c.w.Kill(0)
			c.w.Start(0)
			c.w.Do(0, func() {
				disk := c.w.Host(0).FS()
				for _, name := range names {
					if err := disk.Remove(name); err != nil {
						c.t.Error(err)
					}
				}
				if !older {
					return
				}
				f, err := disk.Open(first, env.Read|env.Write|env.Create)
				if err == nil {
					err = f.WriteSync(data, 0)
				}
				if err != nil {
					c.t.Error(err)
				}
			})
			if err := c.start(0); err != nil {
				c.t.Error(err)
				return
			}
			if n, err := c.get(0, 1, 5*time.Second, lockstep.ReadOptions{}); err == nil {
				c.t.Errorf("older %v: reads %d, of a log without its beginning", older, n)
			}
			if why := c.hosts[0].Status().Why; !strings.Contains(why, "group 1 is not recovered") {
				c.t.Errorf("older %v: the host says %q", older, why)
			}
		})
	}
}

// reopened opens host i and compares as back does.
func (c *island) reopened(i int, acked int64) {
	if err := c.start(i); err != nil {
		c.t.Errorf("open host %d again: %v", i, err)
		return
	}
	c.back(i, acked)
}

// TestSnapshotThatWasReceivedAndNotAdoptedBug53 leaves a host with a snapshot in front of its log, and
// without the one that its log begins after, as two received ones do while the log is full.
func TestSnapshotThatWasReceivedAndNotAdoptedBug53(t *testing.T) {
	inWorld(t, 32, 3, 5*time.Minute, func(c *island) {
		c.tune = smallSnapshots
		if !c.began() {
			return
		}
		var acked int64
		c.addAll(0, 120, &acked)
		c.w.Sleep(2 * time.Second)
		c.w.Kill(2)
		c.addAll(0, 120, &acked)
		c.w.Sleep(2 * time.Second)
		from := c.agreed(0)
		c.w.Start(2)
		own := c.agreed(2)
		if len(from) == 0 || len(own) == 0 || slices.Contains(own, from[len(from)-1]) {
			c.t.Errorf("snapshots %q there, %q here", from, own)
			return
		}
		newest := from[len(from)-1]
		data := c.w.Disk(0).Medium(newest)
		c.w.Do(2, func() {
			disk := c.w.Host(2).FS()
			for _, name := range own {
				if err := disk.Remove(name); err != nil {
					c.t.Error(err)
				}
			}
			f, err := disk.Open(newest, env.Read|env.Write|env.Create)
			if err == nil {
				err = f.WriteSync(data, 0)
			}
			if err != nil {
				c.t.Error(err)
			}
		})
		c.reopened(2, acked)
	})
}
