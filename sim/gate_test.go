package sim_test

import (
	"flag"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

var seeds = flag.Int("seeds", 0, "how many seeds the gate plays")

// asked is how many seeds a test plays: what -seeds says, or with -short few, or all.
func asked(all, few int) int {
	switch {
	case *seeds > 0:
		return *seeds
	case testing.Short():
		return few
	}
	return all
}

// TestGate plays a few seeds of the key-value workload; `make simulate` plays 500.
func TestGate(t *testing.T) {
	t.Parallel()
	o := workload.KV()
	o.Seeds = asked(10, 1)
	sim.Run(t, o)
}

func TestCounterUnderSimulation(t *testing.T) {
	t.Parallel()
	o := workload.Counter()
	o.Seeds = asked(6, 1)
	sim.Run(t, o)
}

// TestLongRun plays ten minutes of seldom calls, in which what rests wakes up and what expires does; `make soak` plays a
// thousand hours.
func TestLongRun(t *testing.T) {
	t.Parallel()
	o := workload.Long()
	o.Seeds, o.Length = 1, 10*time.Minute
	if *seeds > 0 {
		o.Seeds, o.Length = *seeds, time.Hour
	}
	sim.Run(t, o)
}

// BenchmarkSeeds plays b.N seeds of the key-value workload on three hosts, each twice and with all checks, and says how
// many simulated seconds pass in one second on one processor (with -cpu 1), and how many calls are answered in each of
// them: at the load of the gate; at a hundred and at ten calls in a second, of which faults keep some from being made; and
// without faults at a hundred, and at none.
func BenchmarkSeeds(b *testing.B) {
	calm, idle := workload.KVAt(100), workload.KVAt(100)
	calm.Faults, idle.Faults = sim.None, sim.None
	idle.Client, idle.Calls = nil, 0
	for _, row := range []struct {
		name string
		o    sim.Options
	}{
		{"gate", workload.KV()},
		{"hundred", workload.KVAt(100)},
		{"calm", calm},
		{"ten", workload.KVAt(10)},
		{"idle", idle},
	} {
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
