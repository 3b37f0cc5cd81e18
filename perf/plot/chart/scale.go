package chart

import (
	"math"
	"slices"

	"restante/perf/report"
)

// A scale maps values to places between two ends of the frame.
type scale struct {
	log      bool
	from, to float64 // values at the ends
	a, b     float64 // places of the ends
}

// at is the place of v.
func (s scale) at(v float64) float64 {
	from, to := s.from, s.to
	if s.log {
		v, from, to = math.Log(v), math.Log(from), math.Log(to)
	}
	return s.a + (v-from)/(to-from)*(s.b-s.a)
}

// A tick is a line of the grid and its label.
type tick struct {
	at    float64
	label string
}

// heights is the vertical scale. It ends at round values, and begins at zero unless it is
// logarithmic, so that a height tells a ratio.
func heights(axis Axis, lo, hi, a, b float64, most int) (scale, []tick) {
	if axis.Log {
		ends := around(axis.sieves()[0], lo, hi) // the finest, so that little is empty
		from, to := ends[0], ends[len(ends)-1]
		return ticked(scale{log: true, from: from, to: to, a: a, b: b}, within(logMarks(axis, lo, hi, most), from, to), axis)
	}
	marks := linearMarks(min(lo, 0), max(hi, 0), most)
	return ticked(scale{from: marks[0], to: marks[len(marks)-1], a: a, b: b}, marks, axis)
}

// widths is the horizontal scale. It ends at the values, as there is nothing to see
// beside them.
func widths(axis Axis, lo, hi, a, b float64, most int) (scale, []tick) {
	if hi-lo <= 1e-6*max(math.Abs(lo), math.Abs(hi), 1e-99) { // what seems to be one value stands in the middle
		if axis.Log {
			lo, hi = lo/2, hi*2
		} else {
			lo, hi = lo-max(1, math.Abs(lo))/2, hi+max(1, math.Abs(hi))/2
		}
	}
	marks := linearMarks(lo, hi, most)
	if axis.Log {
		marks = logMarks(axis, lo, hi, most)
	}
	return ticked(scale{log: axis.Log, from: lo, to: hi, a: a, b: b}, within(marks, lo, hi), axis)
}

// within leaves out marks that are beyond the ends.
func within(marks []float64, lo, hi float64) []float64 {
	return slices.DeleteFunc(marks, func(v float64) bool { return v < lo || v > hi })
}

func ticked(s scale, marks []float64, axis Axis) (scale, []tick) {
	var ticks []tick
	for _, v := range marks {
		ticks = append(ticks, tick{s.at(v), axis.number(v)})
	}
	return s, ticks
}

// linearMarks are multiples of 1, 2 or 5 times a power of ten around lo and hi.
func linearMarks(lo, hi float64, most int) []float64 {
	if lo == hi {
		hi = lo + 1 // both are zero: see heights and widths
	}
	step := niceStep((hi - lo) / float64(most))
	marks := multiples(step, lo, hi)
	for len(marks) > most && most > 1 {
		step = niceStep(step * 1.5)
		marks = multiples(step, lo, hi)
	}
	return marks
}

// multiples of a step are those from the last at or below lo to the first at or above
// hi, two at least.
func multiples(step, lo, hi float64) []float64 {
	var marks []float64
	for i := math.Floor(lo/step + 1e-9); len(marks) < 2 || marks[len(marks)-1] < hi-step*1e-9; i++ {
		if step < 1 {
			marks = append(marks, i/math.Round(1/step)) // 3/10 is 0.3, and 3*0.1 is not
		} else {
			marks = append(marks, i*step)
		}
	}
	return marks
}

// niceStep is the smallest of 1, 2, 5 times a power of ten that is at least v.
func niceStep(v float64) float64 {
	power := exact(int(math.Floor(math.Log10(v))))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logMarks are 1, 2, 5 in every decade where there is room for them, whole decades, or
// every second one, around the values. Sizes go by powers of two.
func logMarks(axis Axis, lo, hi float64, most int) []float64 {
	var marks []float64
	for _, s := range axis.sieves() {
		if marks = around(s, lo, hi); len(marks) <= most {
			break
		}
	}
	return marks
}

func (a Axis) sieves() []sieve {
	if a.ofSizes() {
		return sizeMarks
	}
	return decadeMarks
}

// A sieve has a mark for every whole number, larger for a larger one.
type sieve func(i int) float64

var (
	decadeMarks = []sieve{
		func(i int) float64 { return exact(floorDiv(i, 3)) * []float64{1, 2, 5}[mod(i, 3)] },
		exact,
		func(i int) float64 { return exact(2 * i) },
		func(i int) float64 { return exact(4 * i) },
	}
	sizeMarks = []sieve{
		func(i int) float64 { return math.Ldexp(1, i) },
		func(i int) float64 { return math.Ldexp(1, 2*i) },
		func(i int) float64 { return math.Ldexp(1, 4*i) },
		func(i int) float64 { return math.Ldexp(1, 10*i) },
	}
)

// exact is a power of ten, without the error of math.Pow below one.
func exact(i int) float64 {
	if i < 0 {
		return 1 / math.Pow10(-i)
	}
	return math.Pow10(i)
}

func floorDiv(i, n int) int { return (i - mod(i, n)) / n }

func mod(i, n int) int { return (i%n + n) % n }

// around are the marks from the last at or below lo to the first at or above hi, two
// at least.
func around(mark sieve, lo, hi float64) []float64 {
	first := 0
	for mark(first) > lo {
		first--
	}
	for mark(first+1) <= lo {
		first++
	}
	marks := []float64{mark(first)}
	for i := first + 1; len(marks) < 2 || marks[len(marks)-1] < hi*(1-1e-9); i++ {
		marks = append(marks, mark(i))
	}
	return marks
}

// sizes are units whose numbers are told in larger ones from 1,024 on.
var sizes = []string{"octets", "KiB", "MiB", "GiB", "TiB"}

// ofSizes says that an axis goes from small sizes to large ones.
func (a Axis) ofSizes() bool { return a.Log && slices.Contains(sizes, a.Unit) }

// number is v at a tick of the axis; a size has its unit with it.
func (a Axis) number(v float64) string {
	if !a.ofSizes() {
		return report.Short(v)
	}
	for _, unit := range sizes[slices.Index(sizes, a.Unit):] {
		if v < 1024 || unit == "TiB" {
			return report.Short(v) + " " + unit
		}
		v /= 1024
	}
	return report.Short(v)
}
