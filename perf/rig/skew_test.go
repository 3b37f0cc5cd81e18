package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"restante/internal/program"
)

// clock tells the time of day, and how long 10 ms are.
const clock = `package main

import "time"

func main() {
	start := time.Now()
	time.Sleep(10 * time.Millisecond)
	println(start.UnixMilli(), time.Since(start).Milliseconds(), time.Now().Sub(start).Milliseconds())
}
`

func TestAProgramHasTheClockThatItIsGiven(t *testing.T) {
	dir := t.TempDir()
	flag, err := skewFlag(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	source, binary := filepath.Join(dir, "clock.go"), filepath.Join(dir, "clock")
	if err := os.WriteFile(source, []byte(clock), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := program.Build(t.Context(), binary, source, flag); err != nil {
		t.Fatal(err)
	}
	for _, offset := range []time.Duration{0, 10 * time.Second, -10*time.Second - 300*time.Millisecond, time.Hour} {
		change := Binaries{skewed: binary}.Skewed(offset)
		cmd := exec.Command(change.Binary)
		cmd.Env = append(os.Environ(), change.Env...)
		start := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		end := time.Now()
		var told [3]int64
		for i, field := range strings.Fields(string(out)) {
			if told[i], err = strconv.ParseInt(field, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		now := time.UnixMilli(told[0]).Add(-offset)
		if now.Before(start.Add(-time.Second)) || now.After(end.Add(time.Second)) {
			t.Errorf("with %v the clock is wrong by %v", offset, now.Sub(start)+offset)
		}
		if told[1] < 10 || told[1] > 5000 || told[2] < 10 || told[2] > 5000 {
			t.Errorf("with %v 10 ms take %d and %d ms", offset, told[1], told[2])
		}
	}
}
