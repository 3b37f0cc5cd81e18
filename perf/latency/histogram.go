// Package latency counts durations in buckets that grow with the value, so that
// a load generator can tell percentiles of millions of operations from a few
// kilobytes, at a known error.
package latency

import (
	"math/bits"
	"time"
)

// Each power of two is cut into subBuckets linear steps, so a bucket is never
// wider than 1/subBuckets of the values in it.
const (
	subBits    = 5
	subBuckets = 1 << subBits
	buckets    = (64 - subBits) * subBuckets
)

// A Histogram counts durations. A percentile it tells is at most 1/32 above the
// true one, and never below; the largest and the smallest value are exact. The
// zero value is empty and ready. It is not safe for concurrent use: give each
// worker its own and merge them.
type Histogram struct {
	counts   [buckets]uint64
	total    uint64
	sum      time.Duration
	min, max time.Duration
}

// Record counts d; a negative duration counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	if h.total == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.total++
	h.sum += d
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	if other.total == 0 {
		return
	}
	for i, n := range other.counts {
		h.counts[i] += n
	}
	if h.total == 0 || other.min < h.min {
		h.min = other.min
	}
	h.max = max(h.max, other.max)
	h.total += other.total
	h.sum += other.sum
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Min is the smallest duration recorded, zero if there is none.
func (h *Histogram) Min() time.Duration { return h.min }

// Max is the largest duration recorded, zero if there is none.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is the exact average, zero if nothing was recorded.
func (h *Histogram) Mean() time.Duration {
	if h.total == 0 {
		return 0
	}
	return h.sum / time.Duration(h.total)
}

// Quantile is a duration that at least the share q (0 to 1) of those recorded
// does not exceed; zero if nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := min(uint64(q*float64(h.total)+0.999999), h.total)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return min(time.Duration(upper(i)), h.max)
		}
	}
	return h.max
}

// bucket is the number of the bucket that holds v: values below subBuckets have
// one each, others are found by their exponent and their next subBits bits.
func bucket(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return (shift+1)*subBuckets + int(v>>shift) - subBuckets
}

// upper is the largest value that falls into bucket i.
func upper(i int) uint64 {
	if i < subBuckets {
		return uint64(i)
	}
	shift := i/subBuckets - 1
	return (uint64(i%subBuckets+subBuckets)+1)<<shift - 1
}
