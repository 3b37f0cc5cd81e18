package chart

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyAxis is linear or logarithmic, of numbers or of sizes.
func anyAxis(t *rapid.T, name string) Axis {
	return Axis{Unit: rapid.SampledFrom([]string{"ms", "KiB", "octets", ""}).Draw(t, name), Log: rapid.Bool().Draw(t, name+" log")}
}

// anyValue is what an axis can show.
func anyValue(t *rapid.T, axis Axis, name string) float64 {
	v := math.Pow(10, rapid.Float64Range(-4, 9).Draw(t, name))
	if axis.Log {
		return v
	}
	return v * float64(rapid.IntRange(-1, 1).Draw(t, name+" sign"))
}

func TestLargerValuesAreFurtherAndAllAreInTheFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		axis := anyAxis(t, "unit")
		a, b := anyValue(t, axis, "a"), anyValue(t, axis, "b")
		lo, hi := min(a, b), max(a, b)
		for name, make := range map[string]func(Axis, float64, float64, float64, float64, int) (scale, []tick){"widths": widths, "heights": heights} {
			s, ticks := make(axis, lo, hi, 100, 500, 7)
			at := []float64{s.at(lo), s.at((lo + hi) / 2), s.at(hi)}
			if !slices.IsSorted(at) || at[0] < 99.99 || at[2] > 500.01 {
				t.Fatalf("%s of %v to %v: %v", name, lo, hi, at)
			}
			if hi > lo*(1+1e-5) && lo > 0 && name == "widths" && at[2]-at[0] < 399 {
				t.Fatalf("%s of %v to %v are %v wide", name, lo, hi, at[2]-at[0])
			}
			for i, tick := range ticks {
				if tick.at < 99.99 || tick.at > 500.01 || i > 0 && tick.at <= ticks[i-1].at {
					t.Fatalf("%s of %v to %v: ticks %v", name, lo, hi, ticks)
				}
			}
			if name == "heights" && (len(ticks) < 2 || len(ticks) > 8) {
				t.Fatalf("%v to %v has %d ticks", lo, hi, len(ticks))
			}
		}
	})
}

func TestTicksAreRoundNumbers(t *testing.T) {
	for _, c := range []struct {
		axis   Axis
		lo, hi float64
		want   string
	}{
		{Axis{Unit: "ms"}, 1.6, 9.9, "0 2 4 6 8 10"},
		{Axis{Unit: "ms"}, 0, 0, "0 0.2 0.4 0.6 0.8 1"},
		{Axis{Unit: "ms"}, 0.011, 0.032, "0 0.01 0.02 0.03 0.04"},
		{Axis{Unit: "mails/s"}, 900, 2300, "0 500 1,000 1,500 2,000 2,500"},
		{Axis{Unit: "ms", Log: true}, 2, 70, "2 5 10 20 50 100"},
		{Axis{Unit: "messages", Log: true}, 10, 100_000, "10 100 1,000 10,000 100,000"},
		{Axis{Unit: "ms", Log: true}, 0.3, 150, "1 10 100"},
		{Axis{Unit: "KiB", Log: true}, 1, 25600, "1 KiB|16 KiB|256 KiB|4 MiB"},
		{Axis{Unit: "octets", Log: true}, 100, 4000, "64 octets|128 octets|256 octets|512 octets|1 KiB|2 KiB|4 KiB"},
	} {
		_, ticks := heights(c.axis, c.lo, c.hi, 0, 1, 7)
		var labels []string
		for _, tick := range ticks {
			labels = append(labels, tick.label)
		}
		separator := " "
		if strings.Contains(c.want, "|") {
			separator = "|"
		}
		if got := strings.Join(labels, separator); got != c.want {
			t.Errorf("%+v from %v to %v has %q, not %q", c.axis, c.lo, c.hi, got, c.want)
		}
	}
}

func TestAnAxisOfHeightsBeginsAtZero(t *testing.T) {
	s, _ := heights(Axis{}, 99, 101, 0, 100, 7)
	if got := s.at(50.5) / s.at(101); math.Abs(got-0.5) > 1e-9 {
		t.Errorf("half of a value is %v of its height", got)
	}
}

func TestValuesThatHardlyDifferStandInTheMiddle(t *testing.T) {
	for _, lo := range []float64{1e9, -1e9, 0, 1e-4, 3} {
		for _, hi := range []float64{lo, math.Nextafter(lo, math.Inf(1))} {
			s, ticks := widths(Axis{}, lo, hi, 100, 500, 7)
			if at := s.at(hi); math.Abs(at-300) > 1 || len(ticks) == 0 || len(ticks) > 8 {
				t.Errorf("%v and %v are at %v and %v, with ticks %v", lo, hi, s.at(lo), at, ticks)
			}
		}
	}
}

func TestLabelsDoNotCoverEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		boxes := make([]box, rapid.IntRange(1, 6).Draw(t, "labels"))
		for i := range boxes {
			boxes[i] = box{rapid.Float64Range(0, 300).Draw(t, "at"), 22 * float64(rapid.IntRange(1, 2).Draw(t, "lines"))}
		}
		moved := apart(boxes, 0, 300)
		order := slices.Clone(moved)
		slices.SortFunc(order, func(a, b box) int { return int(math.Copysign(1, a.middle-b.middle)) })
		end := -1e-6
		for _, b := range order {
			if b.middle-b.height/2 < end-1e-6 || b.middle+b.height/2 > 300+1e-6 {
				t.Fatalf("%v became %v", boxes, moved)
			}
			end = b.middle + b.height/2
		}
		for i := range boxes {
			for k := range boxes {
				if boxes[i].middle < boxes[k].middle && moved[i].middle > moved[k].middle {
					t.Fatalf("%v changed its order: %v", boxes, moved)
				}
			}
		}
	})
}

func TestEverythingHasRoom(t *testing.T) {
	long := strings.Repeat("a long name of a line ", 4)
	c := delays()
	for i := range c.Series {
		c.Series[i].Name = long
	}
	c.Title = strings.Repeat(long, 3)
	d := layOut(c)
	if len(d.Title) < 2 || d.Right-d.Left < 250 {
		t.Errorf("the title has %d lines, the frame is %v wide", len(d.Title), d.Right-d.Left)
	}
	for _, l := range d.Lines {
		for _, text := range l.Label {
			if end := d.Right + 40 + width(text, textSize); end > d.Width {
				t.Errorf("%q ends at %v", text, end)
			}
		}
	}
}
