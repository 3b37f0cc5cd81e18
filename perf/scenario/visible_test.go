package scenario

import (
	"strings"
	"testing"
	"time"

	"restante/perf/servertest"
)

func visible(f *servertest.Fake, connections, count int) Visible {
	return Visible{Load: load(f.SMTP, connections, count), POP3: f.POP3, Back: f.POP3, Patience: time.Second, Keep: 5, Size: 100, From: "a@b"}
}

func TestWhatIsAcknowledgedIsLookedForAtOnce(t *testing.T) {
	f := servertest.New(t)
	tally := run(t, visible(f, 3, 60))
	if tally.Operations != 60 || tally.Figures["misses"] != 0 || tally.Figures["removed"] == 0 || tally.Figures["listed p50 ms"] <= 0 {
		t.Errorf("%d operations, %v", tally.Operations, tally.Figures)
	}
}

func TestWhatIsListedLateIsAMiss(t *testing.T) {
	f := servertest.New(t)
	f.Late = 2
	tally := run(t, visible(f, 1, 20))
	if tally.Operations != 20 || tally.Figures["misses"] != 20 || tally.Figures["back"] != 0 {
		t.Errorf("%d operations, %v", tally.Operations, tally.Figures)
	}
	f.Late = 3
	v := visible(f, 1, 2)
	v.Every = 20 * time.Millisecond
	if tally := run(t, v); tally.Figures["listed p50 ms"] < 60 || tally.Figures["listed p99.9 ms"] < 60 {
		t.Errorf("three looks 20 ms apart missed, %v", tally.Figures)
	}
	f.Late = 1 << 30
	v = visible(f, 1, 1)
	v.Patience = time.Millisecond
	tally, err := v.Run(t.Context())
	if err != nil || tally.Errors != 1 || !strings.Contains(tally.Faults[0], "0 messages, 1ms after 1 were acknowledged") {
		t.Errorf("what is never listed: %+v, %v", tally, err)
	}
}

func TestWhatIsListedTwiceOrIsAnotherIsAnError(t *testing.T) {
	f := servertest.New(t)
	f.Retrieved = func(_ int, m []byte) []byte { return []byte(strings.Replace(string(m), "a@b", "b@a", 1)) }
	tally, err := visible(f, 1, 1).Run(t.Context())
	if err != nil || tally.Errors != 1 {
		t.Errorf("another message: %+v, %v", tally, err)
	}
	f.Retrieved, f.Fate = nil, servertest.Always(servertest.Doubled)
	tally, err = visible(f, 1, 1).Run(t.Context())
	if err != nil || tally.Errors != 1 || !strings.Contains(tally.Faults[0], "2 messages, of 1 that were delivered") {
		t.Errorf("a message twice: %+v, %v", tally, err)
	}
}
