package sim_test

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

// TestGate plays a few seeds of each workload; `make simulate` plays 500.
func TestGate(t *testing.T) {
	o := workload.KV()
	o.Seeds = 16
	if testing.Short() {
		o.Seeds = 4
	}
	sim.Run(t, o)
}

func TestCounterUnderSimulation(t *testing.T) {
	o := workload.Counter()
	o.Seeds = 6
	if testing.Short() {
		o.Seeds = 2
	}
	sim.Run(t, o)
}
