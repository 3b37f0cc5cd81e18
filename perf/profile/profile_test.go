package profile

import (
	"bytes"
	"maps"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
)

// made is a profile with so many milliseconds for each stack, the innermost function first.
func made(t *testing.T, unit string, stacks map[string]int64) *bytes.Buffer {
	t.Helper()
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: unit}}}
	for stack, ms := range stacks {
		s := &profile.Sample{Value: []int64{1, ms * 1e6}}
		for _, name := range strings.Fields(stack) {
			f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
			l := &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f}}}
			p.Function, p.Location, s.Location = append(p.Function, f), append(p.Location, l), append(s.Location, l)
		}
		p.Sample = append(p.Sample, s)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestWorkBelongsToTheInnermostOwner(t *testing.T) {
	got, err := Kinds(made(t, "nanoseconds", map[string]int64{
		"runtime.mallocgc bytes.growSlice github.com/gocql/gocql.(*framer).writeString restante/cassandra.(*session).write restante/smtp.(*session).Data": 1,
		"internal/runtime/syscall/linux.Syscall6 internal/poll.(*FD).Write net.(*conn).Write github.com/gocql/gocql.(*Conn).exec":                         2,
		"syscall.Syscall os.(*File).Write log/slog.(*TextHandler).Handle restante/smtp.(*session).Data":                                                   4,
		"internal/runtime/syscall/linux.Syscall6 net.(*conn).Read github.com/emersion/go-smtp.(*Conn).readLine":                                           8,
		"restante/mailbox.ParseAddress restante/smtp.(*session).Rcpt":                                                                                     16,
		"runtime.futex runtime.findRunnable runtime.schedule runtime.mcall":                                                                               32,
		"runtime.scanobject runtime.gcDrain runtime.gcBgMarkWorker":                                                                                       64,
		"runtime.gcDrainN runtime.gcAssistAlloc runtime.mallocgc restante/pop3.New":                                                                       128,
		"restante/smtpd.Serve net/http.(*conn).serve":                                                                                                     256,
		"internal/runtime/syscall/linux.Syscall6 net.(*conn).Read net/http.(*conn).serve":                                                                 512,
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]time.Duration{
		Driver: 1, Driver + kernel: 2, Log + kernel: 4, Protocol + kernel: 8, Store: 16,
		Scheduler: 32, Collector: 64 + 128, Other: 256, Other + kernel: 512,
	}
	for kind := range want {
		want[kind] *= time.Millisecond
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestWhatIsNoProfileOfTheCPUIsRefused(t *testing.T) {
	if _, err := Kinds(strings.NewReader("nothing")); err == nil {
		t.Error("a word is a profile")
	}
	if _, err := Kinds(made(t, "bytes", nil)); err == nil {
		t.Error("a profile of memory is one of the CPU")
	}
}

func TestAProfileOfThisProgramIsUnderstood(t *testing.T) {
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		_ = strings.Repeat("work", 1000)
	}
	pprof.StopCPUProfile()
	got, err := Kinds(&b)
	if err != nil || got[Other] == 0 {
		t.Errorf("%v, %v", got, err)
	}
}
