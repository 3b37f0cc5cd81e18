package chart

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"restante/perf/report"
)

// Change says in a sentence, from the points alone, what the last value of each series
// is compared with the first. In brackets are the smallest and the largest ratio that
// any two rounds have: one that holds 1 says that nothing was seen to change. A point
// between them that is beyond that is named too, as both ends may agree by chance.
func (c Chart) Change() string {
	var parts []string
	var from, to float64
	same := true
	for i, s := range c.Series {
		first, last := slices.MinFunc(s.Points, byX).X, slices.MaxFunc(s.Points, byX).X
		if i == 0 {
			from, to = first, last
		}
		same = same && first == from && last == to
	}
	for _, s := range c.Series {
		if text := c.change(s, !same); text != "" {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	head := c.Y.Name
	if same {
		head += fmt.Sprintf(" at %s compared with %s", c.X.place(to), c.X.place(from))
	}
	return head + ": " + strings.Join(parts, "; ") + "."
}

// change is the part of one series, or nothing if there is nothing to compare.
func (c Chart) change(s Series, ends bool) string {
	first, last := slices.MinFunc(s.Points, byX), slices.MaxFunc(s.Points, byX)
	if first.X == last.X {
		return ""
	}
	text := s.Name
	if ends {
		text += fmt.Sprintf(" at %s compared with %s", c.X.place(last.X), c.X.place(first.X))
	}
	if first.Min <= 0 || last.Min <= 0 { // there is no ratio to zero
		return text + fmt.Sprintf(" %s after %s", c.Y.value(last.Y), c.Y.value(first.Y))
	}
	ratio, low, high := last.Y/first.Y, last.Min/first.Max, last.Max/first.Min
	text += fmt.Sprintf(" %s ×", ratioText(ratio))
	if low < high {
		text += fmt.Sprintf(" (%s to %s)", ratioText(low), ratioText(high))
	}
	far := ratio
	var at Point
	for _, p := range s.Points {
		r := p.Y / first.Y
		if p.Y > 0 && (r < low || r > high) && math.Abs(math.Log(r)) > math.Abs(math.Log(far)) {
			far, at = r, p
		}
	}
	if far != ratio {
		text += fmt.Sprintf(", but %s × at %s", ratioText(far), c.X.place(at.X))
	}
	return text
}

// place is a value of the axis as one says it in a sentence.
func (a Axis) place(v float64) string {
	if a.ofSizes() {
		return a.number(v)
	}
	return a.value(v)
}

// ratioText has two decimals where more would only look exact.
func ratioText(v float64) string {
	if v >= 0.1 && v < 10 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return report.Number(v)
}

func byX(a, b Point) int { return cmp.Compare(a.X, b.X) }
