package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"restante/internal/program"
)

// offsetVariable holds how much the clock of a skewed program is ahead of this machine's.
const offsetVariable = "FAKE_CLOCK_OFFSET"

// Skewed changes how a server is started: its clock is ahead of this machine's by so much,
// or behind it.
func (b Binaries) Skewed(offset time.Duration) Change {
	return Change{Binary: b.skewed, Env: []string{offsetVariable + "=" + offset.String()}}
}

// BuildSkewed compiles the restante of this tree into dir once more, for [Binaries.Skewed].
// It takes minutes the first time: Go's own library is compiled, too.
func (b *Binaries) BuildSkewed(ctx context.Context, dir string) error {
	flag, err := skewFlag(ctx, dir)
	if err == nil {
		b.skewed = filepath.Join(dir, "restante-skewed")
		err = program.Build(ctx, b.skewed, program.Restante, flag)
	}
	return err
}

// A machine has one clock for all its programs. So a program that is to have another one is
// built with another package time, whose Now adds the offset to the time of day. Timers and
// what is measured between two times stay as they are, as on a machine whose clock is wrong.
const skewSource = `package time

import "syscall"

var skewNanoseconds int64

func init() {
	if text, ok := syscall.Getenv("` + offsetVariable + `"); ok {
		offset, err := ParseDuration(text)
		if err != nil {
			panic("` + offsetVariable + `: " + err.Error())
		}
		skewNanoseconds = int64(offset)
	}
}

func skew(sec int64, nsec int32, mono int64) (int64, int32, int64) {
	all := int64(nsec) + skewNanoseconds
	sec, all = sec+all/1e9, all%1e9
	if all < 0 {
		sec, all = sec-1, all+1e9
	}
	return sec, int32(all), mono
}
`

// skewFlag writes that package time into dir, and returns the flag that makes go build use it.
func skewFlag(ctx context.Context, dir string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find the sources of Go: %w", err)
	}
	home := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	source, err := os.ReadFile(filepath.Join(home, "time.go"))
	if err != nil {
		return "", err
	}
	before, after := []byte("\tsec, nsec, mono := runtimeNow()\n"), []byte("\tsec, nsec, mono := skew(runtimeNow())\n")
	if bytes.Count(source, before) != 1 {
		return "", errors.New("the time.Now of this Go is another than that which is known here")
	}
	replaced, added, overlay := filepath.Join(dir, "time.go.txt"), filepath.Join(dir, "skew.go.txt"), filepath.Join(dir, "skew.json")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(home, "time.go"): replaced,
		filepath.Join(home, "skew.go"): added,
	}})
	if err != nil {
		return "", err
	}
	return "-overlay=" + overlay, errors.Join(
		os.WriteFile(replaced, bytes.Replace(source, before, after, 1), 0o644),
		os.WriteFile(added, []byte(skewSource), 0o644),
		os.WriteFile(overlay, text, 0o644))
}
