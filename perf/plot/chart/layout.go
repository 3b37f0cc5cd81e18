package chart

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"restante/perf/report"
)

// Text is set at one of two sizes, by how wide the picture is shown (chart.svg.tmpl):
// there is always room for the larger.
const (
	breadth   = 720.0
	edge      = 16.0
	textSize  = 18.0
	titleSize = 21.0
	lineStep  = 22.0
	plotRise  = 258.0 // of the frame

	maxLabel = 200.0 // width of the labels beside the lines
	mostX    = 8     // ticks
	mostY    = 7
)

// A drawing is a chart with a place for everything, as the template writes it.
type drawing struct {
	Width, Height            float64
	Left, Right, Top, Bottom float64 // the frame
	Title                    []string
	TitleText, Description   string
	NameY                    string
	NameYAt, TickXAt, NameAt float64
	NameX                    string
	TicksX, TicksY           []placed
	Lines                    []line
	Finding                  []string
	FindingAt                float64
}

// A placed is a tick and where it is.
type placed struct {
	At    float64
	Label string
}

// A line is one series.
type line struct {
	Class  int
	Path   string
	Bars   string // from the smallest to the largest, with caps
	Points []mark
	// Label stands beside the last point, with a marker before it and a leader to it
	// where it had to move.
	Label   []string
	LabelAt float64 // middle of the first line of the label
	Marker  string
	Leader  string
}

// A mark is one point: its shape and what it says when it is asked.
type mark struct{ Shape, Says string }

func layOut(c Chart) drawing {
	d := drawing{Width: breadth, TitleText: c.Title, NameX: c.X.label(), NameY: c.Y.label(), Description: describe(c)}
	d.Title = wrap(c.Title, titleSize, breadth-2*edge)
	d.NameYAt = 38 + lineStep*float64(len(d.Title))
	d.Top = d.NameYAt + 20
	d.Bottom = d.Top + plotRise
	d.TickXAt = d.Bottom + 22
	d.NameAt = d.TickXAt + lineStep + 4
	d.Finding = wrap(c.Finding, textSize, breadth-2*edge)
	d.FindingAt = d.NameAt + lineStep + 14
	d.Height = d.NameAt + 18
	if n := len(d.Finding); n > 0 {
		d.Height = d.FindingAt + lineStep*float64(n-1) + 18
	}

	loX, hiX, loY, hiY := bounds(c.Series)
	if c.Y.Log {
		loY *= 0.9 // so that the lowest marker is not on the axis
	}
	sy, ticksY := heights(c.Y, loY, hiY, d.Bottom, d.Top, mostY)
	widest := 0.0
	for _, t := range ticksY {
		widest = max(widest, width(t.label, textSize))
		d.TicksY = append(d.TicksY, placed{t.at, t.label})
	}
	d.Left = edge + widest + 10

	labels := make([][]string, len(c.Series))
	widest = 0
	for i, s := range c.Series {
		labels[i] = wrap(s.Name, textSize, maxLabel)
		for _, l := range labels[i] {
			widest = max(widest, width(l, textSize))
		}
	}
	const beforeLabel = 46 // leader and marker
	d.Right = breadth - edge - min(widest, maxLabel+20) - beforeLabel
	const inset = 12 // so that the first marker is not on the axis
	sx, ticksX := widths(c.X, loX, hiX, d.Left+inset, d.Right-inset, mostX)
	for _, t := range thin(ticksX) {
		d.TicksX = append(d.TicksX, placed{t.at, t.label})
	}
	for i, s := range c.Series {
		d.Lines = append(d.Lines, draw(i, s, sx, sy, c))
		d.Lines[i].Label = labels[i]
	}
	d.placeLabels(c.Series, sx, sy)
	return d
}

// bounds are the smallest and largest values of all series.
func bounds(series []Series) (loX, hiX, loY, hiY float64) {
	loX, loY, hiX, hiY = math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, s := range series {
		for _, p := range s.Points {
			loX, hiX = min(loX, p.X), max(hiX, p.X)
			loY, hiY = min(loY, p.Min), max(hiY, p.Max)
		}
	}
	return loX, hiX, loY, hiY
}

// thin takes labels away from ticks that are too close to the one before.
func thin(ticks []tick) []tick {
	end := math.Inf(-1)
	for i, t := range ticks {
		half := width(t.label, textSize) / 2
		if t.at-half < end+8 {
			ticks[i].label = ""
			continue
		}
		end = t.at + half
	}
	return ticks
}

func draw(class int, s Series, sx, sy scale, c Chart) line {
	l := line{Class: class}
	var path, bars strings.Builder
	for i, p := range s.Points {
		x, y := sx.at(p.X), sy.at(p.Y)
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%s %s", command, coordinate(x), coordinate(y))
		says := fmt.Sprintf("%s, %s: %s", s.Name, c.X.place(p.X), c.Y.value(p.Y))
		if p.Min < p.Max {
			low, high := sy.at(p.Min), sy.at(p.Max)
			fmt.Fprintf(&bars, "M%s %sV%s", coordinate(x), coordinate(low), coordinate(high))
			for _, end := range []float64{low, high} {
				fmt.Fprintf(&bars, "M%s %sh8", coordinate(x-4), coordinate(end))
			}
			says += fmt.Sprintf(" (%s to %s)", report.Short(p.Min), report.Short(p.Max))
		}
		l.Points = append(l.Points, mark{shape(class, x, y), says})
	}
	l.Path, l.Bars = path.String(), bars.String()
	return l
}

// placeLabels puts each label at the height of the last point of its line, and moves
// those apart that would cover each other.
func (d *drawing) placeLabels(series []Series, sx, sy scale) {
	boxes := make([]box, len(series))
	for i, s := range series {
		last := s.Points[len(s.Points)-1]
		boxes[i] = box{middle: sy.at(last.Y), height: lineStep * float64(len(d.Lines[i].Label))}
	}
	for i, b := range apart(boxes, d.Top, d.Bottom+lineStep) {
		l := &d.Lines[i]
		last := series[i].Points[len(series[i].Points)-1]
		x, y := sx.at(last.X), sy.at(last.Y)
		l.LabelAt = b.middle - b.height/2 + lineStep/2
		l.Marker = shape(i, d.Right+28, l.LabelAt)
		if math.Abs(l.LabelAt-y) > 3 || d.Right-x > 20 {
			l.Leader = fmt.Sprintf("M%s %sL%s %s", coordinate(x+9), coordinate(y), coordinate(d.Right+19), coordinate(l.LabelAt))
		}
	}
}

// A box is a label's room.
type box struct{ middle, height float64 }

// apart moves boxes as little as needed so that they stand above each other, in the
// order in which they were, between top and bottom if they all have room there.
func apart(boxes []box, top, bottom float64) []box {
	order := make([]int, len(boxes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(boxes[a].middle, boxes[b].middle)
	})
	moved := slices.Clone(boxes)
	end := top
	for _, i := range order { // down, away from the one above
		b := &moved[i]
		b.middle = max(b.middle, end+b.height/2)
		end = b.middle + b.height/2
	}
	end = bottom
	for _, i := range slices.Backward(order) { // and up, where that was too far
		b := &moved[i]
		b.middle = min(b.middle, end-b.height/2)
		end = b.middle - b.height/2
	}
	return moved
}

// shape is the outline of the marker of a series around a place.
func shape(class int, x, y float64) string {
	at := coordinate(x) + " " + coordinate(y)
	return "M" + at + []string{
		"m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z", // circle
		"m-4.5-4.5h9v9h-9z",                    // square
		"m0-6l5.5 10h-11z",                     // triangle
		"m0-6.2l6.2 6.2l-6.2 6.2l-6.2-6.2z",    // diamond
		"m0 6l5.5-10h-11z",                     // triangle on its tip
		"m-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",    // cross
	}[class]
}

// coordinate is a place to a tenth, which nobody sees.
func coordinate(v float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v+0), ".0")
}

// value is v with its unit.
func (a Axis) value(v float64) string {
	return strings.TrimSpace(report.Short(v) + " " + a.Unit)
}

// describe tells a reader who does not see the chart what is in it.
func describe(c Chart) string {
	var b strings.Builder
	if c.Finding != "" {
		b.WriteString(c.Finding + " ")
	}
	fmt.Fprintf(&b, "Lines of %s over %s.", c.Y.label(), c.X.label())
	for _, s := range c.Series {
		b.WriteString(" " + s.Name + ":")
		for i, p := range s.Points {
			if i > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, " %s at %s", report.Short(p.Y), c.X.place(p.X))
		}
		b.WriteString(".")
	}
	return b.String()
}
