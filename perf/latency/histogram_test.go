package latency

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestEveryValueFallsIntoABucketNoWiderThanTheError(t *testing.T) {
	for shift := range 63 {
		for _, v := range []uint64{1 << shift, 1<<shift + 1, 1<<(shift+1) - 1} {
			i := bucket(v)
			if i >= buckets {
				t.Fatalf("value %d is in bucket %d of %d", v, i, buckets)
			}
			if up := upper(i); up < v || up-v > v/subBuckets {
				t.Errorf("value %d is told as %d", v, up)
			}
			if i > 0 && upper(i-1) >= v {
				t.Errorf("value %d belongs below bucket %d", v, i)
			}
		}
	}
}

func TestQuantilesAgreeWithTheSortedValues(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	var h Histogram
	for range 4 {
		var part Histogram
		for range 5000 {
			d := time.Duration(rnd.ExpFloat64() * float64(time.Millisecond))
			all = append(all, d)
			part.Record(d)
		}
		h.Merge(&part)
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 0.999} {
		want := all[int(q*float64(len(all))+0.999999)-1]
		got := h.Quantile(q)
		if got < want || got-want > want/subBuckets+1 {
			t.Errorf("quantile %v is %v, want %v to %v", q, got, want, want+want/subBuckets)
		}
	}
	if h.Min() != all[0] || h.Max() != all[len(all)-1] || h.Quantile(1) != h.Max() {
		t.Errorf("extremes %v, %v, %v; want %v and %v", h.Min(), h.Max(), h.Quantile(1), all[0], all[len(all)-1])
	}
	if h.Count() != uint64(len(all)) {
		t.Errorf("%d counted, %d recorded", h.Count(), len(all))
	}
}

func TestAnEmptyHistogramTellsZero(t *testing.T) {
	var h, other Histogram
	h.Merge(&other)
	if h.Quantile(0.99) != 0 || h.Mean() != 0 || h.Min() != 0 || h.Max() != 0 {
		t.Errorf("an empty histogram tells %v, %v, %v, %v", h.Quantile(0.99), h.Mean(), h.Min(), h.Max())
	}
	other.Record(-time.Second)
	if h.Merge(&other); h.Count() != 1 || h.Max() != 0 {
		t.Errorf("a negative duration: %d counted, at most %v", h.Count(), h.Max())
	}
}

func TestMeanIsExact(t *testing.T) {
	var h Histogram
	h.Record(1000003)
	h.Record(1000001)
	if h.Mean() != 1000002 {
		t.Errorf("the mean is %d", h.Mean())
	}
}
