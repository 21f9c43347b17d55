package bench

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
)

func TestBucketEndsAboveItsValues(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 31, 32, 33, 1000, 12345, time.Millisecond, 3 * time.Second} {
		b := bucketOf(d)
		if end := endOf(b); end <= d || end > d+d/16+1 {
			t.Errorf("%v is in a bucket that ends at %v", d, end)
		}
		if b > 0 && endOf(b-1) > d {
			t.Errorf("%v is in bucket %d, but the one before ends at %v", d, b, endOf(b-1))
		}
	}
}

func TestQuantiles(t *testing.T) {
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("the median of nothing is not 0")
	}
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond} {
		if got := h.quantile(q); got < want || got > want+want/16 {
			t.Errorf("quantile %v is %v, want %v or a little more", q, got, want)
		}
	}
	sum := uint64(0)
	for i, b := range h.buckets() {
		sum += b.Count
		if i > 0 && h.buckets()[i-1].UpToMicros >= b.UpToMicros {
			t.Errorf("bucket %d does not rise", i)
		}
	}
	if sum != 1000 {
		t.Errorf("the buckets hold %d of 1000", sum)
	}
}

func TestFloorIsARoundTripAndASync(t *testing.T) {
	m := Machine{Direct: Times{P50: 120}, Fdatasync: Times{P50: 150}, RoundTrip: Times{P50: 12}}
	if got, want := m.floor(false), (Floor{132, 12}); got != want {
		t.Errorf("the floor is %v, want %v", got, want)
	}
	if got, want := m.floor(true), (Floor{162, 12}); got != want {
		t.Errorf("the floor with fdatasync is %v, want %v", got, want)
	}
}

// The end of its context ends a run at once, and nothing is left behind.
func TestEndedRunLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	began := time.Now()
	_, err := Run(ctx, Plan{
		Dir: dir, Ops: []string{"write"}, Clients: []int{4}, Sizes: []int{16}, Duration: MaxDuration, Env: env.OS(),
		Progress: func(row string) {
			if strings.HasPrefix(row, "write") {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v, want the end of its context", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the run took %v after its context ended", took)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("it left %v behind, %v", left, err)
	}
}
