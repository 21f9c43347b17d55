package lockstep_test

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// atRest has the hosts of c hold n groups that nobody has asked for anything for long.
func atRest(c *island, n lockstep.GroupID) {
	c.startAll()
	for id := lockstep.GroupID(1); id <= n; id++ {
		if _, err := c.create(0, id, 10*time.Second); err != nil {
			c.t.Error(err)
		}
	}
	c.w.Sleep(20 * time.Second) // a mark comes after ten
}

// What a pair of hosts says in ten seconds is the same for one group and for forty, which are more than a turn looks
// at in one go: the hosts speak for all of them, once in a heartbeat's time.
func TestGroupsAtRestSendNothing(t *testing.T) {
	var bytes [2]int64
	for i, groups := range []lockstep.GroupID{1, 40} {
		inWorld(t, 1, 3, 2*time.Minute, func(c *island) {
			atRest(c, groups)
			before := c.w.Traffic()
			c.w.Sleep(10 * time.Second)
			after := c.w.Traffic()
			bytes[i] = int64(after.Bytes - before.Bytes)
			if _, err := c.add(1, 1, 5*time.Second); err != nil {
				t.Errorf("a command after the rest: %v", err)
			}
		})
	}
	// Beats go from every host to every other, at most; links look after themselves, too.
	const beats = 100 * 6 * 100
	if bytes[0] > beats || bytes[1] > beats || bytes[1] > 2*bytes[0] {
		t.Errorf("%d bytes in ten seconds for one group, %d for forty", bytes[0], bytes[1])
	}
}

// Nobody asks a group at rest for anything, and its leader's host goes. The others find it as they would
// have by heartbeats.
func TestLeaderOfGroupsAtRestIsReplaced(t *testing.T) {
	for name, leave := range map[string]func(c *island, i int){
		"killed":    func(c *island, i int) { c.w.Kill(i) },
		"cut off":   func(c *island, i int) { c.w.Isolate(i) },
		"paused":    func(c *island, i int) { c.w.Pause(i) },
		"heard not": func(c *island, i int) { c.w.Cut(i, (i+1)%3); c.w.Cut(i, (i+2)%3) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, 3, 2*time.Minute, func(c *island) {
				atRest(c, 3)
				old := c.leader(1)
				leave(c, old)
				began := c.w.Now()
				for c.w.Now() < began+1600*time.Millisecond { // two rounds of elections; a dead link takes longer
					c.w.Sleep(10 * time.Millisecond)
					for i := range c.hosts {
						if i != old && c.hosts[i].Group(1).Status().Role == "leader" {
							return
						}
					}
				}
				t.Errorf("no other leader within %v", c.w.Now()-began)
			})
		})
	}
}
