package sim_test

import (
	"flag"
	"testing"

	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

var seeds = flag.Int("seeds", 0, "how many seeds the gate plays")

// TestGate plays a few seeds of the key-value workload; `make simulate` plays 500.
func TestGate(t *testing.T) {
	o := workload.KV()
	switch o.Seeds = 10; {
	case *seeds > 0:
		o.Seeds = *seeds
	case testing.Short():
		o.Seeds = 1
	}
	sim.Run(t, o)
}

func TestCounterUnderSimulation(t *testing.T) {
	o := workload.Counter()
	switch o.Seeds = 6; {
	case *seeds > 0:
		o.Seeds = *seeds
	case testing.Short():
		o.Seeds = 1
	}
	sim.Run(t, o)
}
