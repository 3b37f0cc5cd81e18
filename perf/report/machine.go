package report

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// A Run is where figures come from: the beginning of a line of JSON.
type Run struct {
	Kind    string    `json:"kind"`
	Date    time.Time `json:"date"`
	Machine string    `json:"machine"`
	Command string    `json:"command"`
	Version string    `json:"version,omitempty"`
}

// NewRun is of now, this machine and this command. Version is of what is measured.
func NewRun(kind, version string) Run {
	return Run{Kind: kind, Date: time.Now().UTC().Truncate(time.Second), Machine: Machine(), Command: Command(), Version: version}
}

// Machine says in one line what the figures were measured on.
func Machine() string {
	parts := []string{fmt.Sprintf("%d processors", runtime.NumCPU())}
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		parts = append(parts, model)
	}
	if memory := field("/proc/meminfo", "MemTotal"); memory != "" {
		parts = append(parts, memory+" of memory")
	}
	if raw, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		parts = append(parts, "Linux "+strings.TrimSpace(string(raw)))
	}
	return strings.Join(append(parts, runtime.Version()), ", ")
}

// Command is how this program was started, wherever it was built.
func Command() string {
	name := os.Args[0]
	if b, ok := debug.ReadBuildInfo(); ok {
		if dir, ok := strings.CutPrefix(b.Path, b.Main.Path); ok && dir != "" {
			name = "go run ." + dir
		}
	}
	return strings.Join(append([]string{name}, os.Args[1:]...), " ")
}

// field is the value of the first line "name: value".
func field(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
