package main

import (
	"strings"
	"testing"
)

// What go test -json says of a package with one test, and of one with another.
const (
	passes = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":1.5}
{"Action":"pass","Package":"p","Elapsed":1.6}
`
	fails = `{"Action":"output","Package":"q","Test":"TestB","Output":"want 1\n"}
{"Action":"fail","Package":"q","Test":"TestB","Elapsed":0.1}
{"Action":"fail","Package":"q","Elapsed":0.2}
`
	skips = `{"Action":"output","Package":"q","Test":"TestC","Output":"no Java\n"}
{"Action":"skip","Package":"q","Test":"TestC","Elapsed":0}
{"Action":"pass","Package":"q","Elapsed":0.2}
`
	hangs = `{"Action":"run","Package":"q","Test":"TestD"}
{"Action":"output","Package":"q","Test":"TestD","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"q","Elapsed":600}
`
	isEmpty  = `{"Action":"skip","Package":"q","Elapsed":0}` + "\n"
	noBuild  = `{"ImportPath":"q","Action":"build-output","Output":"undefined: x\n"}` + "\n" + `{"ImportPath":"q","Action":"build-fail"}` + "\n"
	noEvents = "go: cannot find main module\n"
)

func TestReport(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		well     bool
		want     string
	}{
		{"all pass", passes, true, "1 passed, 0 failed, 0 skipped"},
		{"a package takes its time", passes, true, "ok  \tp\t1.600s"},
		{"a slow test is named", passes, true, "\t1.50s\tp TestA"},
		{"a test fails", passes + fails, false, "want 1\n"},
		{"a test is skipped", passes + skips, false, "q TestC\nno Java\n"},
		{"a test never ends", passes + hangs, false, "panic: test timed out"},
		{"a package without tests is no skipped test", passes + isEmpty, true, "?   \tq"},
		{"the build fails", passes + noBuild, false, "undefined: x"},
		{"no test ran", noEvents, false, "cannot find main module"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			r := newReport(&out)
			if err := r.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			if well := r.finish(); well != tt.well || !strings.Contains(out.String(), tt.want) {
				t.Errorf("well: %t, want %t and %q in\n%s", well, tt.well, tt.want, out.String())
			}
			if strings.Contains(out.String(), "quiet") {
				t.Errorf("the output of a test that passed is shown:\n%s", out.String())
			}
		})
	}
}
