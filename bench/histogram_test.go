package main

import (
	"testing"
	"time"
)

func TestBucketHoldsItsMiddle(t *testing.T) {
	for b := range perOctave * (octaves - 1) {
		if got := bucketOf(middleOf(b)); got != b {
			t.Fatalf("bucket of the middle of %d is %d", b, got)
		}
	}
}

func TestQuantileIsNearTheValue(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 501 * time.Microsecond}, {0.99, 991 * time.Microsecond}, {0, time.Microsecond}} {
		if got := h.quantile(c.q); got < c.want*98/100 || got > c.want*102/100 {
			t.Errorf("quantile %v is %v, want about %v", c.q, got, c.want)
		}
	}
}
