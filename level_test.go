package lockstep_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// build replaces host i's program by one that knows feature levels up to level.
func (c *island) build(i int, level uint32) error {
	if c.w.Alive(i) {
		c.w.Kill(i)
	}
	c.builds[i] = level
	c.w.Start(i)
	return c.start(i)
}

// level of the log of group 1 on host i.
func (c *island) level(i int) uint32 { return c.hosts[i].Group(1).Status().FeatureLevel }

func (c *island) levels(want uint32) bool {
	for i := range c.hosts {
		if c.level(i) != want {
			return false
		}
	}
	return true
}

// A cluster is upgraded host by host, under load. An entry raises the level of each log when the last host knows it, not
// before; until then every host may go back.
func TestFeatureLevelRisesOnceAllHostsKnowIt(t *testing.T) {
	inWorld(t, 300, 3, 5*time.Minute, func(c *island) {
		c.builds = []uint32{1, 1, 1}
		if !c.began() {
			return
		}
		var acked int64
		add := func() {
			for i := range c.hosts {
				c.addAll(i, 3, &acked)
			}
		}
		add()
		for _, step := range []struct {
			host  int
			level uint32
			want  uint32
		}{{0, 2, 1}, {1, 2, 1}, {0, 1, 1}, {0, 2, 1}, {2, 2, 2}} {
			if err := c.build(step.host, step.level); err != nil {
				t.Errorf("start host %d with a build of level %d: %v", step.host, step.level, err)
				return
			}
			add()
			if lead := c.leader(1); step.level > 1 && lead != step.host {
				if _, err := c.transfer(lead, step.host); err != nil {
					t.Errorf("host %d does not take over: %v", step.host, err)
				}
			}
			if step.want > 1 {
				c.until("the level to rise", func() bool { return c.levels(step.want) })
			}
			c.w.Sleep(3 * time.Second)
			if !c.levels(step.want) {
				t.Errorf("with builds of levels %v the log's is %d on host 0", c.builds, c.level(0))
			}
		}
		add()
		// A build that does not know the level does not open the directory, and takes nothing from it.
		err := c.build(1, 1)
		if !errors.Is(err, lockstep.ErrDir) || !strings.Contains(err.Error(), "feature level 2, this build knows 1") {
			t.Errorf("an old build opened the directory: %v", err)
		}
		if err := c.build(1, 2); err != nil {
			t.Error(err)
			return
		}
		c.back(1, acked)
	})
}

// A host that is down may come back with any build: what it said before counts for nothing. The level waits for it.
func TestLevelWaitsForHostsThatAreDown(t *testing.T) {
	inWorld(t, 302, 3, 5*time.Minute, func(c *island) {
		c.builds = []uint32{2, 1, 2}
		if !c.began() {
			return
		}
		var acked int64
		c.addAll(0, 5, &acked)
		c.w.Kill(2)
		if err := c.build(1, 2); err != nil {
			t.Error(err)
			return
		}
		c.addAll(0, 5, &acked)
		c.w.Sleep(10 * time.Second)
		if a, b := c.level(0), c.level(1); a != 1 || b != 1 {
			t.Errorf("the level rose to %d and %d while host 2 was down", a, b)
		}
		if err := c.build(2, 1); err != nil {
			t.Error(err)
			return
		}
		c.back(2, acked)
		if err := c.build(2, 2); err != nil {
			t.Error(err)
			return
		}
		c.until("the level to rise", func() bool { return c.levels(2) })
		c.back(2, acked)
	})
}

// A host that died before its disk had the entry that raises the level, and comes back with its old build, stops each group
// before that, and says so; with the new build it goes on with all that it had.
func TestOldBuildStopsBeforeTheEntryThatRaisesTheLevel(t *testing.T) {
	slow := world.Options{Net: world.Latency{Min: 20 * time.Millisecond, Max: 30 * time.Millisecond}}
	inWorldOf(t, 301, 3, 5*time.Minute, slow, func(c *island) {
		c.builds = []uint32{2, 1, 2}
		if !c.began() {
			return
		}
		var acked int64
		c.addAll(0, 5, &acked)
		c.until("all to have it", func() bool {
			return c.hosts[2].Group(1).Status().Applied == c.hosts[0].Group(1).Status().Commit
		})
		if err := c.build(1, 2); err != nil {
			t.Error(err)
			return
		}
		for end := c.w.Now() + time.Minute; c.level(0) != 2 && c.level(1) != 2 && c.w.Now() < end; {
			c.w.Sleep(time.Millisecond)
		}
		c.w.Kill(2) // the entry is on its way
		c.until("the level to rise without host 2", func() bool { return c.level(0) == 2 && c.level(1) == 2 })
		if err := c.build(2, 1); err != nil {
			t.Errorf("the old build does not open a directory that is as it left it: %v", err)
			return
		}
		c.until("host 2 to say that it is too old", func() bool {
			s := c.hosts[2].Group(1).Status()
			return s.State == "quarantined" && strings.Contains(s.Why, "feature level 2, this build knows 1")
		})
		c.addAll(0, 5, &acked)
		if err := c.build(2, 2); err != nil {
			t.Error(err)
			return
		}
		c.back(2, acked)
	})
}

// A build that does not know the cluster's level does not join: it would have to stop before the first entry of it. Its token
// stays good, for the newer build.
func TestOldBuildDoesNotJoin(t *testing.T) {
	growing(t, 303, 3, 4, 10*time.Minute, func(c *island) {
		c.builds = []uint32{2, 2, 2, 1}
		for i := range 3 {
			if err := c.build(i, 2); err != nil {
				t.Error(err)
			}
		}
		c.until("the level to rise", func() bool { return c.hosts[0].Status().FeatureLevel == 2 && c.level(0) == 2 && c.level(1) == 2 })
		c.token(3, 0)
		if err := c.start(3); err != nil {
			t.Error(err)
			return
		}
		c.until("it to be told", func() bool {
			return strings.Contains(c.hosts[3].Status().Why, "the cluster is at feature level 2, and the build that is to join knows 1")
		})
		if err := c.build(3, 2); err != nil {
			t.Error(err)
			return
		}
		c.until("the newer build to join", func() bool { return c.hosts[3].ID() == 4 })
	})
}

// Nor does it become a member where it is up, however short the time is for asking it. One that is down learns when it comes.
func TestOldBuildDoesNotBecomeAMember(t *testing.T) {
	inWorld(t, 305, 3, 10*time.Minute, func(c *island) {
		c.builds = []uint32{2, 2, 1}
		if !c.began() {
			return
		}
		var acked int64
		c.addAll(0, 5, &acked)
		without := c.reconfigure(0, 1, func(conf *lockstep.Configuration) { conf.Voters = conf.Voters[:2] })
		c.until("the level to rise", func() bool { return c.level(0) == 2 && c.level(1) == 2 })
		lead := c.leader(1)
		conf := c.configuration(lead, 1)
		if len(conf.Voters) != 2 {
			t.Errorf("in force is %+v, asked for was %+v", conf, without)
			return
		}
		var err error
		conf.Learners = []lockstep.HostID{3}
		for _, patience := range []time.Duration{time.Microsecond, 100 * time.Microsecond, time.Second} {
			c.w.Do(lead, func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), patience)
				defer cancel()
				if _, err = c.hosts[lead].Group(1).Reconfigure(ctx, conf); err == nil {
					t.Error("a host with an old build became a learner")
				}
			})
		}
		if !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(err.Error(), "host 3 knows feature levels up to 1") {
			t.Errorf("with time to ask it: %v", err)
		}
		c.w.Sleep(5 * time.Second)
		if now := c.configuration(lead, 1); now.Index != conf.Index {
			t.Errorf("in force is %+v", now)
		}
	})
}
