package lockstep_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// A machine of two versions is upgraded under load: hosts get the new build one after the other, which serves as the old
// one until an entry raises the version. Until all have it the change is refused, and any host may go back. Each replica
// tells its machine between the same two commands; logs that are executed from their beginning, and snapshots of either
// version, come to the same state (H32).
func TestMachineIsUpgradedUnderLoad(t *testing.T) {
	for _, snapshots := range []string{"", "before", "behind", "before, behind"} {
		t.Run("snapshots "+snapshots, func(t *testing.T) {
			inGauges(t, 310, 3, nil, world.Options{}, func(c *gauges) {
				client := c.callAlways()
				load := client.load
				load()
				for _, step := range []struct {
					host   int
					newest machine.Version
				}{{1, 2}, {2, 2}, {1, 1}, {1, 2}} {
					if err := c.put(step.host, 1, step.newest); err != nil {
						t.Error(err)
						return
					}
					if lead := c.leader(1); step.newest == 2 && lead != step.host { // which says nothing against it itself
						_, _ = c.transfer(lead, step.host)
					}
					load()
					err := c.raise(step.host, 2)
					if !errors.Is(err, lockstep.ErrRefused) || lockstep.OutcomeOf(err) != lockstep.NotCommitted ||
						!strings.Contains(err.Error(), `it has versions 1 to 1 of machine "gauge", not 2`) {
						t.Errorf("with builds up to %v the version was raised: %v", c.newest, err)
					}
				}
				if strings.Contains(snapshots, "before") {
					for i := range c.hosts {
						_ = c.snapshot(i)
					}
				}
				if err := c.put(0, 1, 2); err != nil {
					t.Error(err)
					return
				}
				load()
				c.until("the version to be raised", func() bool { return c.raise(0, 2) == nil })
				if s := c.hosts[0].Group(1).Status(); s.MachineVersion != 2 {
					t.Errorf("status: %+v", s)
				}
				for range 2 { // the log is cut behind the first of them
					load()
					for i := 0; i < len(c.hosts) && strings.Contains(snapshots, "behind"); i++ {
						_ = c.snapshot(i)
					}
				}
				load()
				client.end()
				want := c.serves(0)
				if !strings.HasPrefix(want, "2 ") || !c.until("all to serve the same", func() bool { return c.allServe(want) }) {
					t.Errorf("host 0 serves %s", want)
				}
				for i := range c.hosts {
					if err := c.put(i, 1, 2); err != nil {
						t.Error(err)
					}
				}
				c.until("all to serve the same after a restart", func() bool { return c.allServe(want) })
				c.well()
			})
		})
	}
}

// A version is only raised, to one that the build has; a raise by two is told in two steps.
func TestMachineIsToldOfEachVersion(t *testing.T) {
	inGauges(t, 311, 3, nil, world.Options{}, func(c *gauges) {
		for i := range c.hosts {
			if err := c.put(i, 1, 3); err != nil {
				t.Error(err)
			}
		}
		_, _, _, _ = c.tell(0, 7)
		err := errDied
		c.island.w.Do(0, func() {
			_, err = c.hosts[0].Create(c.island.w.Context(), 2, lockstep.GroupOptions{Machine: "gauge", Settings: lockstep.Settings{Version: 4}})
		})
		if !errors.Is(err, lockstep.ErrOptions) || !strings.Contains(err.Error(), "it has versions 1 to 3") {
			t.Errorf("a group of a version that nobody has: %v", err)
		}
		if err := c.raise(1, 4); !errors.Is(err, lockstep.ErrRefused) {
			t.Errorf("raised to a version that nobody has: %v", err)
		}
		if err := c.raise(1, 3); err != nil {
			t.Error(err)
		}
		if err := c.raise(1, 2); !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(err.Error(), "is only raised") {
			t.Errorf("taken back: %v", err)
		}
		c.until("all to run it", func() bool { return c.allServe("3 700 0") })
		if v, sum, count, err := c.tell(2, 1); v != 3 || sum != 703 || count != 1 || err != nil {
			t.Errorf("a command then: %d %d %d %v", v, sum, count, err)
		}
		c.well()
	})
}

// A build that lacks the version does not open the directory; a host that was put back to it as the entry was on its way
// stops before that; it loses nothing, and goes on with the newer build (H32).
func TestOldBuildStopsBeforeTheVersionIsRaised(t *testing.T) {
	slow := world.Options{Net: world.Latency{Min: 20 * time.Millisecond, Max: 30 * time.Millisecond}}
	inGauges(t, 312, 3, nil, slow, func(c *gauges) {
		w := c.island.w
		c.begin(1, 2)
		lead := c.leader(1)
		late := (lead + 1) % 3
		_, _, _, _ = c.tell(lead, 5)
		c.until("all to serve", func() bool { return c.allServe("1 5 0") })
		done := false
		w.Go(world.Driver, "raise", func() {
			if err := c.raise(lead, 2); err != nil {
				t.Errorf("raise: %v", err)
			}
			done = true
		})
		for end := w.Now() + time.Minute; c.hosts[lead].Group(1).Status().MachineVersion != 2 && w.Now() < end; {
			w.Sleep(time.Millisecond)
		}
		w.Kill(late) // the entry is on its way
		c.until("the version to be raised", func() bool { return done })
		if err := c.put(late, 1, 1); err != nil {
			t.Errorf("the old build does not open a directory that is as it left it: %v", err)
			return
		}
		c.until("the old build to say that it is too old", func() bool {
			s := c.hosts[late].Group(1).Status()
			return s.State == "quarantined" && strings.Contains(s.Why, `runs version 2 of machine "gauge", this build has 1 to 1`)
		})
		if v, sum, _, err := c.tell(lead, 1); v != 2 || sum != 52 || err != nil {
			t.Errorf("the others: %d %d %v", v, sum, err)
		}
		if err := c.put(late, 1, 2); err != nil {
			t.Error(err)
			return
		}
		c.until("all to serve", func() bool { return c.allServe("2 52 1") })
		err := c.put(late, 1, 1)
		if !errors.Is(err, lockstep.ErrDir) || !strings.Contains(err.Error(), `runs version 2 of machine "gauge", this build has 1 to 1`) {
			t.Errorf("an old build opened the directory: %v", err)
		}
		if err := c.put(late, 1, 2); err != nil {
			t.Error(err)
			return
		}
		c.until("all to serve again", func() bool { return c.allServe("2 52 1") })
	})
}

// A member that is down may come back with any build: nothing is raised without its word. One that is new
// has to have the build before it becomes one.
func TestVersionWaitsForHostsThatAreDownAndOldOnesDoNotJoin(t *testing.T) {
	inGauges(t, 313, 4, []lockstep.HostID{1, 2, 3}, world.Options{}, func(c *gauges) {
		for i := range 3 {
			if err := c.put(i, 1, 2); err != nil {
				t.Error(err)
			}
		}
		c.until("they serve", func() bool { return c.serves(0) == "1 0 0" && c.serves(2) == "1 0 0" })
		c.island.w.Kill(2)
		if err := c.raise(0, 2); !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(err.Error(), "host 3 does not answer") {
			t.Errorf("raised while a member was down: %v", err)
		}
		if err := c.put(2, 1, 2); err != nil {
			t.Error(err)
		}
		c.until("the version to be raised", func() bool { return c.raise(0, 2) == nil })
		add := func(learns bool) error {
			_, err := c.under(0, 30*time.Second, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
				conf, err := g.Configuration(ctx)
				if err != nil {
					return lockstep.Result{}, err
				}
				if conf.Voters = append(conf.Voters, 4); learns {
					conf.Voters, conf.Learners = conf.Voters[:3], []lockstep.HostID{4}
				}
				_, err = g.Reconfigure(ctx, conf)
				return lockstep.Result{}, err
			})
			return err
		}
		for _, learns := range []bool{false, true} {
			if err := add(learns); !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(err.Error(), "the build on host 4 cannot run it") {
				t.Errorf("a host with an old build became a member: %v", err)
			}
		}
		if err := c.put(3, 2, 2); err != nil { // the first version is forgotten there: the others' snapshot serves
			t.Error(err)
		}
		if err := add(false); err != nil {
			t.Errorf("with the new build: %v", err)
		}
		c.until("it serves", func() bool { return c.serves(3) == "2 0 0" })
	})
}

// An Upgrade that fails is the machine's failure: the replicas are quarantined before the next command, others
// live, and a mended build goes on.
func TestUpgradeThatFailsQuarantines(t *testing.T) {
	for _, fails := range []func(machine.Version) error{
		func(machine.Version) error { return errors.New("planted") },
		func(machine.Version) error { panic("planted") },
	} {
		inGauges(t, 314, 3, nil, world.Options{}, func(c *gauges) {
			c.spoil = fails
			for i := range c.hosts {
				if err := c.put(i, 1, 2); err != nil {
					t.Error(err)
				}
			}
			if _, err := c.create(0, 2, 20*time.Second); err != nil {
				t.Error(err)
			}
			_, _, _, _ = c.tell(0, 5)
			_ = c.raise(0, 2)
			c.until("all to be quarantined", func() bool {
				for i := range c.hosts {
					s := c.hosts[i].Group(1).Status()
					if s.State != "quarantined" || !strings.Contains(s.Why, "machine gauge in Upgrade to version 2 at entry") || !strings.Contains(s.Why, "planted") {
						return false
					}
				}
				return true
			})
			if _, err := c.add(0, 2, 10*time.Second); err != nil {
				t.Errorf("another group: %v", err)
			}
			c.spoil = nil
			for i := range c.hosts {
				if err := c.put(i, 1, 2); err != nil {
					t.Error(err)
				}
			}
			c.until("all to serve", func() bool { return c.allServe("2 50 0") })
		})
	}
}

// A group may begin as a version above the oldest; a build that has only later ones waits for a snapshot of the others
// where its log begins before them.
func TestBuildsBeginAsTheLogSays(t *testing.T) {
	inGauges(t, 315, 3, nil, world.Options{}, func(c *gauges) {
		for i := range c.hosts {
			if err := c.put(i, 1, 2); err != nil {
				t.Error(err)
			}
		}
		_, _, _, _ = c.tell(0, 5)
		c.until("the version to be raised", func() bool { return c.raise(0, 2) == nil })
		c.until("all to serve", func() bool { return c.allServe("2 50 0") })
		if err := c.put(1, 2, 2); err != nil {
			t.Errorf("a build without the first version: %v", err)
			return
		}
		if !c.until("it to serve from a snapshot of the others", func() bool { return c.allServe("2 50 0") }) {
			return
		}
		if err := c.put(1, 3, 3); !errors.Is(err, lockstep.ErrNoMachine) || !strings.Contains(err.Error(), "it has versions 3 to 3") {
			t.Errorf("a build that is too new: %v", err)
		}
		if err := c.put(1, 2, 3); err != nil {
			t.Error(err)
		}
		c.until("it to serve", func() bool { return c.allServe("2 50 0") })
	})
}
