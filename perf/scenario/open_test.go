package scenario

import (
	"strings"
	"testing"
	"time"

	"restante/perf/servertest"
)

func TestAVisitTellsTheLoginAlone(t *testing.T) {
	f := stocked(t, 3, 100)
	tally := run(t, Visit{Load: load(f.POP3, 2, 10), Expect: 3})
	p50, p99 := tally.Figures["login + STAT p50 ms"], tally.Figures["login + STAT p99 ms"]
	if tally.Operations != 10 || p50 <= 0 || p99 < p50 || p99 >= ms(tally.Latency.Max()) {
		t.Errorf("%d visits, %v, the longest %v", tally.Operations, tally.Figures, tally.Latency.Max())
	}
	wrong, err := Visit{Load: load(f.POP3, 1, 1), Expect: 4}.Run(t.Context())
	if err != nil || wrong.Errors != 1 || !strings.Contains(wrong.Faults[0], "3 messages, not 4") {
		t.Errorf("a wrong number ended with %+v, %v", wrong, err)
	}
}

func TestAWalkRetrievesRoundAndRound(t *testing.T) {
	for _, shuffle := range []bool{false, true} {
		f := stocked(t, 3, 100)
		tally := run(t, Walk{Load: load(f.POP3, 2, 30), Shuffle: shuffle})
		if tally.Operations != 30 || tally.Octets < 30*100 {
			t.Errorf("%d messages of %d octets", tally.Operations, tally.Octets)
		}
	}
}

func TestAWalkNoticesWhatChanges(t *testing.T) {
	for n, change := range map[int]func([]byte) []byte{
		2: func(m []byte) []byte { return append(m[:len(m)-3], "x\r\n"...) }, // verified
		4: func(m []byte) []byte { return append(m[:len(m)-50], "\r\n"...) }, // received
		9: func(m []byte) []byte { return append([]byte("X: \r\n"), m...) },  // received again
	} {
		f := stocked(t, 3, 500)
		f.Retrieved = func(i int, m []byte) []byte {
			if i == n {
				return change(append([]byte(nil), m...))
			}
			return m
		}
		tally, err := Walk{Load: load(f.POP3, 1, n)}.Run(t.Context())
		if err != nil || tally.Errors != 1 {
			t.Errorf("RETR %d that was changed: %d errors, %v", n, tally.Errors, err)
		}
	}
}

func TestOpenSessionsAreOpenTogether(t *testing.T) {
	f := servertest.New(t)
	l := load(f.POP3, 20, 0)
	l.Duration = time.Millisecond
	tally := run(t, Open{Load: l, Logins: 3})
	most := f.Most()
	if tally.Figures["sessions"] != 20 || most != 20 || tally.Latency.Count() != 20 {
		t.Errorf("%v sessions, %d at most at once, %d latencies", tally.Figures["sessions"], most, tally.Latency.Count())
	}
	l.Password = "wrong"
	if tally, err := (Open{Load: l, Logins: 3}).Run(t.Context()); err != nil || tally.Errors != 20 || tally.Operations != 0 {
		t.Errorf("sessions that cannot log in: %+v, %v", tally, err)
	}
}
