package lockstep_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
)

// TestHostWhoseReplicaIsDamagedBecomesAnother spoils what a host holds of a group, takes the host out of
// the group, and puts it back: it is another replica then, which needs nothing of the former one, and the
// host's directory is not emptied (H21).
func TestHostWhoseReplicaIsDamagedBecomesAnother(t *testing.T) {
	for name, spoil := range map[string]func(c *island, i int){
		"log":       func(c *island, i int) { c.rotGroup(i, 1) },
		"snapshots": (*island).spoilSnapshots,
	} {
		for _, knows := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, up when it is removed: %v", name, knows), func(t *testing.T) {
				damagedMember(t, spoil, knows)
			})
		}
	}
}

func damagedMember(t *testing.T, spoil func(c *island, i int), knows bool) {
	growing(t, 31, 3, 3, 20*time.Minute, func(c *island) {
		for range 3 {
			for range 15 {
				_, _ = c.add(0, 1, 10*time.Second)
			}
			_ = c.call((c.leader(1)+1)%3, time.Minute, func(ctx context.Context, h *lockstep.Host) error {
				_, err := h.Group(1).Snapshot(ctx)
				return err
			})
			c.w.Sleep(2 * time.Second)
		}
		lead := c.leader(1)
		bad, from := (lead+1)%3, (lead+2)%3
		id := c.hosts[bad].ID()
		c.newTerm(0) // what is left of group 0 is newer than the rot
		c.w.Sleep(time.Second)
		c.w.PowerOff(bad)
		spoil(c, bad)
		start := func() {
			c.w.Start(bad)
			if err := c.start(bad); err != nil {
				t.Error(err)
			}
		}
		if knows {
			start()
			c.w.Sleep(5 * time.Second)
		}
		c.reconfigure(from, 1, func(conf *lockstep.Configuration) {
			conf.Voters = slices.DeleteFunc(conf.Voters, func(h lockstep.HostID) bool { return h == id })
		})
		c.w.Sleep(5 * time.Second)
		if !knows {
			start()
		}
		c.reconfigure(from, 1, func(conf *lockstep.Configuration) {
			conf.Voters = append(conf.Voters, id)
			slices.Sort(conf.Voters)
		})
		for range 2 {
			if !c.until("it serves as another replica", func() bool {
				n, err := c.get(bad, 1, 5*time.Second, lockstep.ReadOptions{})
				return err == nil && n == 45 && c.hosts[bad].Group(1).Status().State == "serving"
			}) {
				return
			}
			c.w.Kill(bad)
			start() // it is there after another start too
		}
	})
}

// spoilSnapshots makes unreadable every snapshot of group 1 on host i.
func (c *island) spoilSnapshots(i int) {
	for _, name := range c.w.Disk(i).Names("data/snapshots") {
		if path := "data/snapshots/" + name; strings.HasPrefix(name, "snapshot-0000000000000001-") {
			c.w.Disk(i).Spoil(path, 0, 512)
		}
	}
}

// TestReplicaTakesItsDataWithIt ends a host at each disk operation of its removal from a group: once it
// is up again nothing is left of the replica, not even what its machine has put into its directory.
func TestReplicaTakesItsDataWithIt(t *testing.T) {
	for k := range 12 {
		growing(t, uint64(400+k), 3, 3, 20*time.Minute, func(c *island) {
			for range 30 {
				_, _ = c.add(0, 1, 10*time.Second)
			}
			lead := c.leader(1)
			gone, from := (lead+1)%3, (lead+2)%3
			id := c.hosts[gone].ID()
			_ = c.call(gone, time.Minute, func(ctx context.Context, h *lockstep.Host) error {
				_, err := h.Group(1).Snapshot(ctx)
				return err
			})
			var dir string
			c.w.Do(gone, func() { // as a machine would
				files := c.w.Host(gone).FS()
				dir = fmt.Sprintf("data/machines/%s", strings.Join(strings.Split(c.w.Disk(gone).Names("data/snapshots")[0], "-")[1:3], "-"))
				dir = strings.Replace(dir, "0000000000000001", "1", 1)
				if err := files.MkdirAll(dir); err != nil {
					t.Error(err)
				}
				if f, err := files.Open(dir+"/state", env.Write|env.Create); err != nil || f.Close() != nil || files.SyncDir(dir) != nil {
					t.Error("no file: ", err)
				}
			})
			if k > 0 {
				c.endAt(gone, k, k%2 == 0)
			}
			c.reconfigure(from, 1, func(conf *lockstep.Configuration) {
				conf.Voters = slices.DeleteFunc(conf.Voters, func(h lockstep.HostID) bool { return h == id })
			})
			c.w.Sleep(time.Second)
			c.w.Disk(gone).Hook = nil
			if !c.w.Alive(gone) {
				c.w.Start(gone)
				if err := c.start(gone); err != nil {
					t.Error(err)
					return
				}
			}
			c.until("nothing is left", func() bool {
				left := slices.DeleteFunc(c.w.Disk(gone).Names("data/snapshots"), func(name string) bool {
					return !strings.HasPrefix(name, "snapshot-0000000000000001-")
				})
				return len(left) == 0 && c.w.Disk(gone).Names(dir) == nil
			})
		})
	}
}
