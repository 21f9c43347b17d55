package lockstep_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

func TestThreeGroupsInOneTurnMakeOneSync(t *testing.T) {
	inWorld(t, 1, 1, time.Minute, func(c *island) {
		c.startAll()
		for id := lockstep.GroupID(1); id <= 3; id++ {
			if _, err := c.create(0, id, 10*time.Second); err != nil {
				t.Error(err)
				return
			}
		}
		c.w.Sleep(time.Second)
		before := c.w.Disk(0).Syncs()
		c.w.Do(0, func() {
			var calls [3]lockstep.Call
			for i := range calls {
				if err := c.hosts[0].Group(lockstep.GroupID(i+1)).Start(addOne, &calls[i]); err != nil {
					t.Error(err)
				}
			}
			for i := range calls {
				if _, err := calls[i].Wait(c.w.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		if n := c.w.Disk(0).Syncs() - before; n != 1 {
			t.Errorf("three groups with a write each made %d syncs before the answers, want 1", n)
		}
	})
}

func TestHeldSyncOfTheLeaderHoldsTheAnswerNotTheFollowers(t *testing.T) {
	inWorld(t, 2, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		lead := c.leader(1)
		follower := (lead + 1) % 3
		applied := c.hosts[follower].Group(1).Status().Applied
		c.w.Disk(lead).Stuck = true
		n, err := c.add(lead, 1, 300*time.Millisecond)
		if err == nil {
			t.Errorf("client has the answer %d while the leader's sync is held", n)
		}
		if lockstep.OutcomeOf(err) != lockstep.Unknown {
			t.Errorf("outcome is %v, want unknown: %v", lockstep.OutcomeOf(err), err)
		}
		if now := c.hosts[follower].Group(1).Status().Applied; now <= applied {
			t.Errorf("follower has applied %d, want more than %d: it holds the entry, and so does the other", now, applied)
		}
		c.w.Disk(lead).Stuck = false
		if n, err := c.get(follower, 1, 5*time.Second, lockstep.ReadOptions{}); err != nil || n != 1 {
			t.Errorf("read after release: %d, %v; want 1", n, err)
		}
	})
}

func TestStuckDiskOfTheLeaderIsReplaced(t *testing.T) {
	inWorld(t, 3, 3, time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		lead := c.leader(1)
		c.w.Disk(lead).Stuck = true
		start := c.w.Now()
		_, _ = c.add(lead, 1, 100*time.Millisecond)
		if _, err := c.add((lead+1)%3, 1, 5*time.Second); err != nil {
			t.Errorf("add elsewhere: %v", err)
		}
		if d := c.w.Now() - start; d > 2*time.Second {
			t.Errorf("a leader whose disk hangs was replaced after %v, want at most 2s", d)
		}
	})
}

func TestWipedDirectoryGetsNoVoteAndSaysWhy(t *testing.T) {
	inWorld(t, 4, 3, 2*time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		if _, err := c.add(0, 1, 5*time.Second); err != nil {
			t.Error(err)
		}
		c.w.Kill(2)
		c.w.Start(2)
		c.w.Do(2, func() {
			if err := c.w.Host(2).FS().RemoveAll("data"); err != nil {
				t.Error(err)
			}
		})
		if err := c.start(2); err != nil {
			t.Errorf("open wiped host: %v", err)
			return
		}
		_, err := c.create(2, 1, 5*time.Second)
		if err == nil || !strings.Contains(err.Error(), "no vote") {
			t.Errorf("create on the wiped host: %v; want the reason why it gets no vote", err)
		}
		if why := c.hosts[2].Status().Why; !strings.Contains(why, "no vote") {
			t.Errorf("status says %q", why)
		}
		c.w.Kill(1)
		if _, err := c.add(0, 1, 5*time.Second); err == nil {
			t.Error("one host of three commits with the help of a wiped one")
		}
		if s := c.hosts[0].Status().Groups[0]; s.State != "recovering" || !strings.Contains(s.Why, "host 3 belongs to no cluster: its directory is empty") ||
			strings.Contains(s.Why, "refuses this one") || strings.Contains(s.Why, "this host's own directory") {
			t.Errorf("a healthy host beside a wiped and a dead one says %s, %q", s.State, s.Why)
		}
		c.w.Start(1)
		if err := c.start(1); err != nil {
			t.Error(err)
		}
		if n, err := c.add(0, 1, 10*time.Second); err != nil || n < 2 {
			t.Errorf("add with the majority back: %d, %v", n, err)
		}
	})
}

func TestFollowerBehindTheLogGetsASnapshot(t *testing.T) {
	inWorld(t, 5, 3, 5*time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) { o.SnapshotAfterBytes = 8 << 10 }
		if !c.began() {
			return
		}
		c.w.Kill(2)
		want := int64(0)
		for range 400 {
			n, err := c.add(0, 1, 5*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			want = n
		}
		c.w.Sleep(2 * time.Second)
		lead := c.leader(1)
		if s := c.hosts[lead].Group(1).Status().Snapshot; s == 0 {
			t.Errorf("no agreed snapshot after 400 commands: %+v", c.hosts[lead].Group(1).Status())
		}
		c.w.Start(2)
		if err := c.start(2); err != nil {
			t.Error(err)
			return
		}
		if _, err := c.create(2, 1, 10*time.Second); err != nil {
			t.Error(err)
			return
		}
		if n, err := c.get(2, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil || n != want {
			t.Errorf("read on the host that was behind: %d, %v; want %d", n, err, want)
		}
		if s := c.hosts[2].Group(1).Status().Snapshot; s == 0 {
			t.Errorf("host that was behind has no snapshot: %+v", c.hosts[2].Group(1).Status())
		}
	})
}

// TestEveryFailingDiskOperationLosesNothing makes the k-th operation of each kind fail on one host, for
// every k of a short run, and looks for what was acknowledged after power loss and restart.
func TestEveryFailingDiskOperationLosesNothing(t *testing.T) {
	t.Parallel()
	for _, op := range []world.Op{
		world.OpOpen, world.OpCreate, world.OpWrite, world.OpWriteSync, world.OpSync, world.OpSyncDir, world.OpRename, world.OpRemove, world.OpAllocate,
	} {
		t.Run(op.String(), func(t *testing.T) {
			for k := uint64(1); k <= 200; k++ {
				if !failingRun(t, op, k) {
					return // the run has fewer than k
				}
			}
		})
	}
}

func failingRun(t *testing.T, op world.Op, k uint64) (more bool) {
	inWorld(t, 100+k, 1, 5*time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) { o.SnapshotAfterBytes = 4 << 10 }
		c.w.Disk(0).FailNth(op, k, syscall.EIO)
		before := c.w.Disk(0).Count(op)
		acked := int64(0)
		if c.start(0) == nil {
			if _, err := c.create(0, 1, 2*time.Second); err == nil {
				for range 60 {
					n, err := c.add(0, 1, time.Second)
					if err != nil {
						break
					}
					acked = n
				}
			}
		}
		if more = c.w.Disk(0).Count(op)-before >= k; !more {
			return
		}
		c.w.PowerOff(0)
		c.w.Start(0)
		if err := c.start(0); err != nil {
			if acked == 0 && errors.Is(err, lockstep.ErrDir) {
				return // founding itself was cut short: nothing was promised
			}
			t.Errorf("%v %d: open after it: %v (%d acknowledged)", op, k, err, acked)
			return
		}
		if _, err := c.create(0, 1, 10*time.Second); err != nil {
			t.Errorf("%v %d: create after it: %v (%d acknowledged)", op, k, err, acked)
			return
		}
		if n, err := c.get(0, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil || n < acked || n > acked+1 {
			t.Errorf("%v %d: counter is %d, %v; %d were acknowledged", op, k, n, err, acked)
		}
	})
	return more
}

// TestFullDiskRefusesWritesServesReadsAndClears fills the disks of all hosts while clients write.
func TestFullDiskRefusesWritesServesReadsAndClears(t *testing.T) {
	inWorld(t, 6, 3, 10*time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) { o.SnapshotAfterBytes = 1 << 30 }
		if !c.began() {
			return
		}
		for i := range c.hosts {
			c.w.Disk(i).Capacity = c.w.Disk(i).Used() + 64<<10
		}
		acked, refused := int64(0), 0
		for range 2000 {
			n, err := c.add(c.leader(1), 1, 2*time.Second)
			switch {
			case err == nil:
				acked = n
			case errors.Is(err, lockstep.ErrNoSpace):
				if lockstep.OutcomeOf(err) != lockstep.NotCommitted {
					t.Errorf("outcome of a refused write is %v", lockstep.OutcomeOf(err))
				}
				refused++
			}
			if refused > 5 {
				break
			}
		}
		if refused == 0 {
			t.Errorf("no write was refused for lack of space, %d acknowledged", acked)
			return
		}
		lead := c.leader(1)
		if n, err := c.get((lead+1)%3, 1, 5*time.Second, lockstep.ReadOptions{}); err != nil || n < acked {
			t.Errorf("read while the disks are full: %d, %v; %d were acknowledged", n, err, acked)
		}
		if d := c.hosts[lead].Status().Disk; d != "full" {
			t.Errorf("status says disk %q, want full", d)
		}
		c.w.Kill(lead) // votes go on
		other := (lead + 1) % 3
		for c.hosts[other].Group(1).Status().Leader == lockstep.HostID(lead+1) || c.hosts[other].Group(1).Status().Leader == 0 {
			c.w.Sleep(10 * time.Millisecond)
		}
		for i := range c.hosts {
			c.w.Disk(i).Capacity = 0
		}
		freed := c.w.Now()
		for {
			n, err := c.add(other, 1, 2*time.Second)
			if err == nil {
				if n <= acked {
					t.Errorf("counter is %d after %d were acknowledged", n, acked)
				}
				break
			}
			c.w.Sleep(10 * time.Millisecond) // a refusal takes no time
			if c.w.Now()-freed > 10*time.Second {
				t.Errorf("writes have not returned 10s after space did: %v", err)
				break
			}
		}
	})
}

func TestHostWhoseLogWasTakenAwayDoesNotStart(t *testing.T) {
	inWorld(t, 7, 1, time.Minute, func(c *island) {
		c.startAll()
		if _, err := c.create(0, 1, 10*time.Second); err != nil {
			t.Error(err)
			return
		}
		c.w.Kill(0)
		c.w.Start(0)
		c.w.Do(0, func() {
			if err := c.w.Host(0).FS().RemoveAll("data/wal"); err != nil {
				t.Error(err)
			}
		})
		if err := c.start(0); !errors.Is(err, lockstep.ErrDir) || !strings.Contains(err.Error(), "log is gone") {
			t.Errorf("open without the log: %v", err)
		}
	})
}

func TestCommandsGatherWhileTheDiskWrites(t *testing.T) {
	inWorld(t, 8, 1, time.Minute, func(c *island) {
		c.startAll()
		if _, err := c.create(0, 1, 10*time.Second); err != nil {
			t.Error(err)
			return
		}
		g := c.hosts[0].Group(1)
		before := g.Status().Applied
		c.w.Do(0, func() {
			calls := make([]lockstep.Call, 64)
			for i := range calls {
				if err := g.Start(addOne, &calls[i]); err != nil {
					t.Error(err)
				}
			}
			for i := range calls {
				if _, err := calls[i].Wait(c.w.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		if n := g.Status().Applied - before; n != 2 {
			t.Errorf("64 commands at once made %d entries, want 2: the first, and all that came while it was written", n)
		}
	})
}
