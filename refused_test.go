package lockstep_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// TestHostWithAnotherClustersDirectorySaysWhoRefusesIt founds two clusters at the same addresses, and
// starts one host with the directory of the wrong one.
func TestHostWithAnotherClustersDirectorySaysWhoRefusesIt(t *testing.T) {
	inWorld(t, 22, 3, 2*time.Minute, func(c *island) {
		dirs := []string{"first", "first", "first"}
		c.tune = func(i int, o *lockstep.Options) { o.Dir = dirs[i] }
		clusters := map[string]string{}
		for _, dir := range []string{"first", "second"} {
			for i := range c.hosts {
				dirs[i] = dir
			}
			c.startAll()
			for i := range c.hosts {
				if _, err := c.create(i, 1, 10*time.Second); err != nil {
					t.Error(err)
					return
				}
			}
			clusters[dir] = c.hosts[0].Status().Cluster
			for i := range c.hosts {
				c.w.Kill(i)
				c.w.Start(i)
			}
		}
		dirs[2] = "first"
		c.startAll()
		c.w.Sleep(5 * time.Second)

		alone := c.hosts[2].Status()
		for _, why := range []string{alone.Why, alone.Groups[0].Why, c.hosts[2].Group(1).Status().Why} {
			for _, want := range []string{
				"no leader is known", "host 1 refuses this one", "host 2 refuses this one", clusters["first"], clusters["second"],
				"If first is not this host's own directory, start it with that",
			} {
				if !strings.Contains(why, want) {
					t.Errorf("the refused host says %q, want %q in it", why, want)
				}
			}
		}
		if s := c.hosts[0].Status(); s.Why != "" || s.Groups[0].State != "serving" || s.Groups[0].Why != "" {
			t.Errorf("a host of the majority has a complaint: %q, %+v", s.Why, s.Groups[0])
		}

		c.w.Kill(2)
		c.w.Start(2)
		dirs[2] = "second"
		if err := c.start(2); err != nil {
			t.Error(err)
			return
		}
		c.w.Sleep(5 * time.Second)
		if s := c.hosts[2].Status(); s.Why != "" || s.Groups[0].State != "serving" {
			t.Errorf("with its own directory it says %q, %+v", s.Why, s.Groups[0])
		}
	})
}
