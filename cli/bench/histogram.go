package bench

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	stepsPerOctave = 32 // buckets: a value is known to 3 %
	octaves        = 40
)

// histogram counts durations; several clients may add at once. The zero value is empty.
type histogram struct {
	counts  [stepsPerOctave * octaves]atomic.Uint64
	longest atomic.Int64
}

func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < stepsPerOctave {
		return int(n)
	}
	octave := bits.Len64(n) - bits.Len(stepsPerOctave)
	return min((octave+1)*stepsPerOctave|int(n>>octave%stepsPerOctave), stepsPerOctave*octaves-1)
}

// endOf is the first duration that is above a bucket.
func endOf(bucket int) time.Duration {
	if bucket < stepsPerOctave {
		return time.Duration(bucket + 1)
	}
	octave := bucket/stepsPerOctave - 1
	return time.Duration(stepsPerOctave+bucket%stepsPerOctave+1) << octave
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	for {
		old := h.longest.Load()
		if int64(d) <= old || h.longest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func (h *histogram) total() (n uint64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// quantile is a duration that a share q of all does not exceed; 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	n := h.total()
	want, seen := uint64(math.Ceil(q*float64(n))), uint64(0)
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen >= want && n > 0 {
			return min(endOf(i), time.Duration(h.longest.Load()))
		}
	}
	return 0
}

// buckets are those that hold something, coarse enough to draw: ten in each decade.
func (h *histogram) buckets() []Bucket {
	const perDecade = 10
	var out []Bucket
	for i := range h.counts {
		n := h.counts[i].Load()
		if n == 0 {
			continue
		}
		step := math.Ceil(math.Log10(micros(endOf(i)))*perDecade - 1e-9)
		upTo := math.Pow(10, step/perDecade)
		if last := len(out) - 1; last >= 0 && out[last].UpToMicros == upTo {
			out[last].Count += n
		} else {
			out = append(out, Bucket{upTo, n})
		}
	}
	return out
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
