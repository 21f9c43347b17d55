package sim

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "play this seed only, with its trace on the standard error")
	seedsFlag = flag.Int("sim.seeds", 0, "how many seeds the gate plays")
)

func counting(ctx context.Context, c *Client) {
	count := lockstep.Typed(c, counter.Machine)
	for ctx.Err() == nil {
		if c.Rand().IntN(3) > 0 {
			_, _ = count.Propose(ctx, counter.Add{N: c.Rand().Int64N(1000) - 400})
		} else {
			_, _ = count.Read(ctx, counter.Get{}, lockstep.ReadOptions{})
		}
		c.Sleep(time.Duration(c.Rand().Int64N(int64(200 * time.Millisecond))))
	}
}

func TestOne(t *testing.T) {
	o := Options{Machine: counter.Machine.Kind(), Client: counting, Calls: 300}
	seeds := 20
	if *seedFlag > 0 {
		seeds = 1
	}
	if *seedsFlag > 0 {
		seeds = *seedsFlag
	}
	first := uint64(1)
	if *seedFlag > 0 {
		first = *seedFlag
		if os.Getenv("T") != "" {
			f, _ := os.Create(os.Getenv("T"))
			o.Trace = f
		}
	}
	for seed := first; seed < first+uint64(seeds); seed++ {
		r, err := Play(seed, o)
		if err != nil {
			t.Errorf("%v", err)
		}
		t.Logf("seed %d: %016x %d events %v %d hosts calls %d/%d/%d\n%v\n%v", seed, r.Hash, r.Events, r.Time, r.Hosts, r.Calls, r.Failed, r.Open, r.Faults, r.Probes)
	}
}
