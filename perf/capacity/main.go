// Capacity fits a model of what mail costs to measured points of sweeps, checks it with
// points that it has not seen, and says what a number of mailboxes needs. It prints
// the page docs/capacity.md.
//
//	go run ./perf/capacity perf/results/2026-01-02-sweep.json > docs/capacity.md
//	go run ./perf/capacity sweep.json --mission mission.json
//	go run ./perf/capacity sweep.json --check held-out.json --mails 50 --size 20 --mailboxes 5e6
package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"restante/perf/report"
)

type cli struct {
	Files []string `arg:"" type:"existingfile" help:"Points to fit the model to, as lines of JSON."`
	Check []string `type:"existingfile" help:"Points to check it with; without any, each point is predicted by the others." placeholder:"FILE"`

	Mission string `type:"existingfile" help:"Results of the performance test, which tell how much of what no sweep measures there was in it." placeholder:"FILE"`

	assumptions `embed:""`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("capacity"), kong.Description("Says what mail costs and what a number of mailboxes needs."))
	k.FatalIfErrorf(c.run(os.Stdout))
}

func (c *cli) run(w io.Writer) error {
	if err := c.assumptions.check(); err != nil {
		return err
	}
	points, err := read(c.Files)
	if err != nil {
		return err
	}
	held, err := read(c.Check)
	if err != nil {
		return err
	}
	m, err := fitAll(points, held)
	if err != nil {
		return err
	}
	if len(m) == 0 {
		return errors.New("none of the points is of a cost that the model knows")
	}
	t, err := readTested(c.Mission)
	if err != nil {
		return err
	}
	p := page{w: w}
	p.write(c, m, points, t)
	return p.err
}

func read(files []string) ([]report.Point, error) {
	var all []report.Point
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		points, err := report.ReadPoints(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		all = append(all, points...)
	}
	return all, nil
}

// command is how the page is made again.
func command(args []string) string {
	return strings.Join(append([]string{"go run ./perf/capacity"}, args...), " ")
}
