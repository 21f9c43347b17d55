package lockstep_test

import (
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// asked has host 0, which leads n groups, take two commands for each of them at one moment. It gives how many entries
// that made, and how long it took until all were answered.
func asked(c *island, n lockstep.GroupID) (entries int, took time.Duration) {
	applied := func() (sum int) {
		for id := lockstep.GroupID(1); id <= n; id++ {
			sum += int(c.hosts[0].Group(id).Status().Applied)
		}
		return sum
	}
	before, at := applied(), c.w.Now()
	c.w.Do(0, func() {
		calls := make([]lockstep.Call, 2*n)
		cmd, _ := counter.Machine.EncodeCommand(counter.Add{N: 1})
		for i := range calls {
			if err := c.hosts[0].Group(lockstep.GroupID(i/2+1)).Start(cmd, &calls[i]); err != nil {
				c.t.Error(err)
			}
		}
		for i := range calls {
			if _, err := calls[i].Wait(c.w.Context()); err != nil {
				c.t.Error(err)
			}
		}
	})
	return applied() - before, c.w.Now() - at
}

// leads has host 0 of c lead n groups.
func leads(c *island, n lockstep.GroupID) {
	c.startAll()
	for id := lockstep.GroupID(1); id <= n; id++ {
		if _, err := c.create(0, id, 10*time.Second); err != nil {
			c.t.Error(err)
			return
		}
	}
	c.w.Sleep(time.Second)
	for id := lockstep.GroupID(1); id <= n; id++ {
		if lead := c.leader(id); lead != 0 {
			c.t.Errorf("host %d leads group %d", lead, id)
		}
	}
}

// A host with one lane has 64 groups' entries under way. The other groups' fill meanwhile: of two commands each, in one
// entry. They wait until the former are executed, not until these are late, after 5 ms.
func TestEntriesOfGroupsInLineFill(t *testing.T) {
	const groups, first, late = 100, 64, 5 * time.Millisecond
	near := world.Options{
		Net:  world.Latency{Min: 100 * time.Microsecond, Max: 200 * time.Microsecond},
		Sync: world.Latency{Min: 200 * time.Microsecond, Max: 300 * time.Microsecond},
	}
	inWorldOf(t, 12, 3, time.Minute, near, func(c *island) {
		leads(c, groups)
		n, took := asked(c, groups)
		if n != 2*first+groups-first {
			t.Errorf("two commands for each of %d groups made %d entries, want %d", groups, n, 2*first+groups-first)
		}
		if took >= late {
			t.Errorf("they took %v", took)
		}
	})
}

// Groups do not stand in line for long while the others' entries wait for a majority that is far away: the last of them
// is answered with little more than its own round trip.
func TestGroupsInLineDoNotWaitForOthersMajority(t *testing.T) {
	const groups, way = 100, 30 * time.Millisecond
	far := world.Options{Net: world.Latency{Min: way, Max: way + time.Millisecond}}
	inWorldOf(t, 13, 3, time.Minute, far, func(c *island) {
		leads(c, groups)
		if _, took := asked(c, groups); took > 2*way*3/2 {
			t.Errorf("commands of %d groups took %v, one way takes %v", groups, took, way)
		}
	})
}
