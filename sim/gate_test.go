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

// BenchmarkSeeds plays b.N seeds of the key-value workload on three hosts, each twice and with all checks, and says how
// many simulated seconds pass in one second on one processor (with -cpu 1), and how many calls are answered in each of
// them: at the load of the gate, at a hundred calls in a second that faults keep some of from being made, and at a hundred
// without faults.
func BenchmarkSeeds(b *testing.B) {
	calm := workload.KVAt(100)
	calm.Faults = sim.None
	for _, row := range []struct {
		name string
		o    sim.Options
	}{{"gate", workload.KV()}, {"hundred", workload.KVAt(100)}, {"calm", calm}} {
		b.Run(row.name, func(b *testing.B) {
			row.o.Hosts = 3
			r, err := sim.Campaign(b.Context(), 1, b.N, row.o, func(_ sim.Result, err error) error { return err })
			if err != nil {
				b.Fatal(err)
			}
			seconds := r.Time.Seconds()
			b.ReportMetric(2*seconds/b.Elapsed().Seconds(), "simulated-s/s")
			b.ReportMetric(float64(r.Calls)/seconds, "calls/simulated-s")
			b.ReportMetric(float64(r.Events)/seconds, "events/simulated-s")
		})
	}
}
