package sim_test

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

// Machines that panic, give errors or come to another state than the others, and snapshots that rot, while hosts
// end and links are cut: at the end every one of them serves, and all have executed the same (H27).
func TestMachinesThatMisbehaveServeAgain(t *testing.T) {
	o := workload.Counter()
	o.Faults = sim.MachineError | sim.BitRot | sim.Crash | sim.Partition
	switch o.Seeds = 12; {
	case *seeds > 0:
		o.Seeds = *seeds
	case testing.Short():
		o.Seeds = 2
	}
	sim.Run(t, o)
}
