// Package profile tells what a server written in Go spends its CPU on, from the profiles
// that it makes of itself (net/http/pprof).
package profile

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// What the CPU went to. For each of the first there is also what the kernel does for it.
const (
	Log       = "log"
	Driver    = "driver of Cassandra"
	Protocol  = "SMTP and POP3"
	Store     = "stores"
	Other     = "the rest"
	Scheduler = "scheduler of Go"
	Collector = "garbage collector"
)

// kernel is what stands behind a kind for its system calls.
const kernel = ", kernel"

// owners are the packages whose work is of a kind. What a package calls is its own work,
// unless that has an owner too.
var owners = []struct {
	kind     string
	packages []string
}{
	{Log, []string{"log/slog"}},
	{Driver, []string{"github.com/gocql/gocql"}},
	{Protocol, []string{"github.com/emersion/go-smtp", "restante/smtp", "restante/pop3", "restante/internal/dotline", "restante/letter"}},
	{Store, []string{"restante/cassandra", "restante/embedded", "github.com/cockroachdb/pebble", "restante/mailbox", "restante/auth"}},
}

// Kinds adds up a CPU profile by what it went to.
func Kinds(r io.Reader) (map[string]time.Duration, error) {
	p, err := profile.Parse(r)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	cpu := -1
	for i, t := range p.SampleType {
		if t.Type == "cpu" && t.Unit == "nanoseconds" {
			cpu = i
		}
	}
	if cpu < 0 {
		return nil, errors.New("profile: it is not one of the CPU")
	}
	sum := map[string]time.Duration{}
	for _, s := range p.Sample {
		sum[kindOf(stack(s))] += time.Duration(s.Value[cpu])
	}
	return sum, nil
}

// stack is the names of the functions, the innermost first.
func stack(s *profile.Sample) []string {
	var names []string
	for _, l := range s.Location {
		for _, line := range l.Line {
			if line.Function != nil {
				names = append(names, line.Function.Name)
			}
		}
	}
	return names
}

func kindOf(stack []string) string {
	scheduled := true
	for _, name := range stack {
		if strings.HasPrefix(name, "runtime.gc") || strings.HasPrefix(name, "runtime.bg") {
			return Collector // also where it has somebody help who allocates
		}
		scheduled = scheduled && strings.HasPrefix(name, "runtime.")
	}
	if scheduled {
		return Scheduler
	}
	in := ""
	if called(stack[0]) {
		in = kernel
	}
	for _, name := range stack {
		for _, o := range owners {
			for _, path := range o.packages {
				if rest, ok := strings.CutPrefix(name, path); ok && strings.ContainsAny(rest[:min(1, len(rest))], "./") {
					return o.kind + in
				}
			}
		}
	}
	return Other + in
}

// called tells that a function waits for the kernel to do something.
func called(name string) bool {
	return strings.HasPrefix(name, "internal/runtime/syscall") || strings.HasPrefix(name, "syscall.")
}
