package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	perOctave = 64 // buckets: a value is known to 1.6 %
	octaves   = 40
)

// A histogram counts durations; it may be added to by several goroutines. The zero value is empty.
type histogram struct {
	counts [perOctave * octaves]atomic.Uint64
}

func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < perOctave {
		return int(n)
	}
	octave := bits.Len64(n) - 7
	return min((octave+1)*perOctave|int(n>>octave%perOctave), perOctave*octaves-1)
}

// middleOf is the duration in the middle of a bucket.
func middleOf(bucket int) time.Duration {
	if bucket < perOctave {
		return time.Duration(bucket)
	}
	octave := bucket/perOctave - 1
	return time.Duration((perOctave+bucket%perOctave)<<octave + 1<<octave/2)
}

func (h *histogram) add(d time.Duration) { h.counts[bucketOf(d)].Add(1) }

func (h *histogram) merge(from *histogram) {
	for i := range h.counts {
		h.counts[i].Add(from.counts[i].Load())
	}
}

func (h *histogram) total() (n uint64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// quantile is the duration that a share q of all is at most; 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	n := h.total()
	want, seen := uint64(q*float64(n)), uint64(0)
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen > want {
			return middleOf(i)
		}
	}
	return 0
}
