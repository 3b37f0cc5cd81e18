// Plot draws what was measured as SVG: the points of sweeps, the results of loads, the
// scenarios of a comparison that differ by a number in their name.
//
//	go run ./perf/plot sweep.json --list
//	go run ./perf/plot sweep.json --x delay --y p50 --out delay.svg --title 'Delay does not show'
//	go run ./perf/plot 2026-01-02-mine.json --x '(?P<connections>\d+) connections?' --y p50
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/alecthomas/kong"
)

type cli struct {
	Files []string `arg:"" type:"existingfile" help:"What was measured: lines of JSON, or a comparison."`

	List   bool           `help:"Print what the files have."`
	X      string         `help:"What was varied: a sweep, connections for loads, for a comparison a regular expression with the number of the scenarios' names in brackets." placeholder:"SWEEP"`
	Y      string         `help:"What was measured." placeholder:"METRIC"`
	Series *regexp.Regexp `help:"Draw only series that match." placeholder:"REGEXP"`
	Title  string         `help:"What the chart is about."`
	Note   string         `help:"A sentence in front of the one that is made from the points."`
	Log    string         `enum:"auto,none,x,y,xy" default:"auto" help:"Logarithmic axes; auto: those whose values span a factor of a hundred."`
	Out    string         `short:"o" help:"Where it is drawn; standard output if not given." type:"path" placeholder:"FILE"`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("plot"), kong.Description("Draws what was measured."))
	k.FatalIfErrorf(c.run(os.Stdout))
}

func (c *cli) run(w io.Writer) error {
	vary, err := regexp.Compile(c.X)
	if err != nil {
		return err
	}
	points, err := read(c.Files, vary)
	if err != nil {
		return err
	}
	if c.List || c.X == "" || c.Y == "" {
		return list(w, points)
	}
	picture, err := c.chart(points)
	if err != nil {
		return err
	}
	var svg bytes.Buffer // so that a chart that cannot be drawn leaves the file as it was
	if err := picture.Write(&svg); err != nil {
		return err
	}
	if c.Out == "" {
		_, err = svg.WriteTo(w)
		return err
	}
	if err := os.WriteFile(c.Out, svg.Bytes(), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, picture.Finding)
	return err
}
