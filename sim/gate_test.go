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

// BenchmarkSeeds plays b.N seeds of the key-value workload on three hosts, each twice, with all checks, and says
// how many simulated seconds pass in one second on one processor, and how many calls are answered in each of
// them.
func BenchmarkSeeds(b *testing.B) {
	o := workload.KV()
	o.Hosts = 3
	r, err := sim.Simulate(b.Context(), 1, b.N, o, func(sim.Result, error) {})
	if err == nil {
		err = r.Verdict()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(r.Speed(), "simulated-s/s")
	b.ReportMetric(float64(r.Calls)/r.Time.Seconds(), "calls/simulated-s")
}
