package sim_test

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

// TestHostsAreReplacedUnderSimulation loses hosts with their directories again and again, among few other
// faults. It fails too if no bad token was tried, or no removed host came back.
func TestHostsAreReplacedUnderSimulation(t *testing.T) {
	o := workload.KV()
	o.Faults = sim.Replacement | sim.Crash | sim.Partition
	switch o.Seeds = 4; {
	case *seeds > 0:
		o.Seeds = *seeds
	case testing.Short():
		o.Seeds = 1
	}
	sim.Run(t, o)
}
