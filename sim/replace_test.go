package sim_test

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

// TestHostsAreReplacedUnderSimulation loses hosts with their directories again and again, among few other
// faults. It fails too if no bad token was tried, or no removed host came back.
func TestHostsAreReplacedUnderSimulation(t *testing.T) {
	t.Parallel()
	o := workload.KV()
	o.Faults = sim.Replacement | sim.Crash | sim.Partition
	o.Seeds = asked(4, 1)
	sim.Run(t, o)
}
