package sim_test

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

// Machines that panic, give errors or come to another state than the others, and snapshots that rot, while hosts
// end and links are cut: at the end every one of them serves, and all have executed the same (H27).
func TestMachinesThatMisbehaveServeAgain(t *testing.T) {
	t.Parallel()
	misbehave(t, 12, sim.Crash|sim.Partition)
}

// The same while voters are removed, learn, and come back as other replicas, or hosts are lost and others join in their place.
func TestMachinesThatMisbehaveServeAgainWhileMembersChange(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]sim.Faults{"membership": sim.Membership | sim.PowerLoss, "replacement": sim.Replacement | sim.Partition} {
		t.Run(name, func(t *testing.T) { misbehave(t, 8, change|sim.Crash) })
	}
}

func misbehave(t *testing.T, most int, others sim.Faults) {
	t.Helper()
	o := workload.Counter()
	o.Faults = sim.MachineError | sim.BitRot | others
	o.Seeds = asked(most, 2)
	sim.Run(t, o)
}
