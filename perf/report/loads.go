// Package report writes what was measured as tables and JSON, and reads the
// JSON again.
package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"

	"restante/perf/scenario"
)

// WriteLines writes one JSON object a line.
func WriteLines[T any](w io.Writer, lines ...T) error {
	enc := json.NewEncoder(w)
	for _, line := range lines {
		if err := enc.Encode(line); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

// Append adds lines to a file, as WriteLines does; an empty name is no file.
func Append[T any](file string, lines ...T) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(WriteLines(f, lines...), f.Close())
}

// ReadLines reads the results that WriteLines wrote.
func ReadLines(r io.Reader) ([]scenario.Result, error) { return readLines[scenario.Result](r) }

func readLines[T any](r io.Reader) ([]T, error) {
	dec := json.NewDecoder(bufio.NewReader(r))
	var lines []T
	for {
		var one T
		err := dec.Decode(&one)
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, fmt.Errorf("report: line %d: %w", len(lines)+1, err)
		}
		lines = append(lines, one)
	}
}

// WriteTable writes results for a person at a terminal, one a line, with the
// errors and the figures of single scenarios beneath.
func WriteTable(w io.Writer, results ...scenario.Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	p := printer{w: t}
	p.line("scenario\tconns\tops\terrors\tops/s\tp50 ms\tp95 ms\tp99 ms\tmax ms\tserver CPU ms/op\ttool CPU ms/op\tothers\tpeak RSS MiB\tPSS MiB\t")
	for _, r := range results {
		p.line("%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%s\t%s\t", r.Scenario, r.Connections, r.Operations, r.Errors,
			Number(r.Rate), Number(r.P50), Number(r.P95), Number(r.P99), Number(r.Max),
			Number(r.ServerCPU), Number(r.ToolCPU), r.Others, Number(r.PeakRSS), Number(r.PSS))
	}
	if p.err == nil {
		p.err = t.Flush()
	}
	p.w = w
	for _, r := range results {
		for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
			p.line("%s: %s %s", r.Scenario, name, Number(r.Figures[name]))
		}
		for _, f := range r.Faults {
			p.line("%s: error: %s", r.Scenario, f)
		}
	}
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// Number is v with about three digits that mean something.
func Number(v float64) string {
	digits := 0
	switch abs := max(v, -v); {
	case abs == 0:
		return "0"
	case abs < 1:
		digits = 3
	case abs < 10:
		digits = 2
	case abs < 100:
		digits = 1
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if digits > 0 {
		return text
	}
	return thousands(text)
}

// thousands puts commas into a whole number.
func thousands(text string) string {
	first := 0
	if text[0] == '-' {
		first = 1
	}
	for i := len(text) - 3; i > first; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
