// Report reads what go test -json writes and prints what a person wants to see:
// the output of failed tests, how long packages and the slowest tests took, and
// every test that was skipped. It fails when a test failed or was skipped, and
// when none ran: a skipped test proves nothing, and nobody notices one.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// How many of the slowest tests are named.
const slowest = 10

// An event is a line of go test -json (go doc test2json), or of the build.
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64 // seconds
	Output  string
}

// A test is one test or subtest, or a package where name is empty.
type test struct{ pkg, name string }

func (t test) String() string { return t.pkg + " " + t.name }

// A report is what is known so far.
type report struct {
	out     io.Writer
	output  map[test][]string // of tests that have not passed
	elapsed map[test]float64
	passed  int
	failed  []test
	skipped []test
	broken  bool // a package or the build failed
}

func main() {
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if !r.finish() {
		os.Exit(1)
	}
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: make(map[test][]string), elapsed: make(map[test]float64)}
}

// read takes events until the end of in. A line that is no event is printed.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil {
				r.add(e)
			} else {
				fmt.Fprint(r.out, line)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
	}
}

// add takes one event.
func (r *report) add(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "output":
		r.output[t] = append(r.output[t], e.Output)
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.broken = true
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
			return
		}
		r.elapsed[t] = e.Elapsed
		switch e.Action {
		case "pass":
			r.passed++
			delete(r.output, t)
		case "fail":
			r.failed = append(r.failed, t)
		case "skip":
			r.skipped = append(r.skipped, t)
		}
	}
}

// endPackage prints one line for a package that is done. A failed one is followed
// by the output of its tests that have not passed: those it never finished, too.
func (r *report) endPackage(e event) {
	word := map[string]string{"pass": "ok  ", "fail": "FAIL", "skip": "?   "}[e.Action]
	fmt.Fprintf(r.out, "%s\t%s\t%.3fs\n", word, e.Package, e.Elapsed)
	if e.Action != "fail" {
		delete(r.output, test{e.Package, ""})
		return
	}
	r.broken = true
	for t, lines := range r.output {
		if t.pkg == e.Package && !slices.Contains(r.skipped, t) {
			fmt.Fprint(r.out, strings.Join(lines, ""))
		}
	}
}

// finish prints the sums and reports whether all is well.
func (r *report) finish() bool {
	tests := make([]test, 0, len(r.elapsed))
	for t := range r.elapsed {
		if !strings.Contains(t.name, "/") {
			tests = append(tests, t)
		}
	}
	slices.SortFunc(tests, func(a, b test) int { return cmp.Compare(r.elapsed[b], r.elapsed[a]) })
	fmt.Fprintln(r.out, "slowest:")
	for _, t := range tests[:min(slowest, len(tests))] {
		fmt.Fprintf(r.out, "\t%.2fs\t%s\n", r.elapsed[t], t)
	}
	for _, t := range r.failed {
		fmt.Fprintf(r.out, "failed: %s\n", t)
	}
	for _, t := range r.skipped {
		fmt.Fprintf(r.out, "skipped, which is not allowed here: %s\n%s", t, strings.Join(r.output[t], ""))
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, len(r.failed), len(r.skipped))
	return r.passed > 0 && len(r.failed) == 0 && len(r.skipped) == 0 && !r.broken
}
