package sim

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Run plays o.Seeds simulations, each twice, on the production engine, and fails t at the first
// broken promise or differing trace. With the environment's LOCKSTEP_SEED it plays that seed alone,
// once, and writes its trace to the file that LOCKSTEP_TRACE names.
func Run(t testing.TB, o Options) {
	t.Helper()
	o.fill()
	if o.Seeds == 0 {
		if o.Seeds = 100; testing.Short() {
			o.Seeds = 10
		}
	}
	if one := os.Getenv("LOCKSTEP_SEED"); one != "" {
		replay(t, one, o)
		return
	}
	sum, err := Campaign(context.Background(), o.First, o.Seeds, o, func(r Result, err error) error {
		if err != nil {
			return fmt.Errorf("%w\n\tagain: LOCKSTEP_SEED=%d LOCKSTEP_TRACE=trace.txt go test -run '^%s$'", err, r.Seed, t.Name())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	var b writer
	_, _ = sum.WriteTo(&b)
	t.Log(string(b))
}

// writer collects text.
type writer []byte

func (w *writer) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

func replay(t testing.TB, one string, o Options) {
	t.Helper()
	seed, err := strconv.ParseUint(one, 10, 64)
	if err != nil {
		t.Fatalf("parse LOCKSTEP_SEED: %v", err)
	}
	if name := os.Getenv("LOCKSTEP_TRACE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		o.Trace = f
	}
	r, err := Play(seed, o)
	t.Logf("seed %d: hash %016x, %d events, %v simulated, %d calls\n%v\n%v", seed, r.Hash, r.Events, r.Time, r.Calls, r.Faults, r.Probes)
	if err != nil {
		t.Error(err)
	}
}
