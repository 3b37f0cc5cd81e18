package main

import (
	"strings"
	"testing"
	"time"

	"restante/perf/letter"
)

// submitted is a ledger of mails with these answers, a second apart, and their ids.
func submitted(answers ...answer) (l *ledger, ids []letter.ID, began time.Time) {
	l, began = newLedger(7), time.Now()
	for i, a := range answers {
		id := l.next()
		l.submit(id, "ann@elsewhere.example", began.Add(time.Duration(i)*time.Second), 100)
		if a != unanswered {
			l.answered(id, a)
		}
		ids = append(ids, id)
	}
	return l, ids, began
}

func TestALedgerCountsWhatIsLostAndWhatCameTwice(t *testing.T) {
	l, ids, began := submitted(taken, taken, unanswered, refused)
	at := func(id letter.ID, after time.Duration) accepted {
		return accepted{MessageID: messageID(id), Received: began.Add(after), Octets: 200, To: []string{"ann@elsewhere.example"}}
	}
	logs := map[string][]accepted{
		"a": {at(ids[0], 3*time.Second), {MessageID: "<0000000000000008.0000000000000001@perf.example>"}},
		"b": {at(ids[0], time.Second), at(ids[2], 2*time.Second)},
	}
	for range 2 { // all is told each time
		l.arrived(logs)
	}
	want := counts{submitted: 4, taken: 2, refused: 1, unanswered: 1, missing: 1, copies: 1, most: 2}
	if n := l.counts(); n != want {
		t.Errorf("counts %+v, want %+v", n, want)
	}
	if len(l.faults) > 0 {
		t.Errorf("faults %q", l.faults)
	}
	if lost := l.missing(); len(lost) != 1 || lost[0] != messageID(ids[1]) {
		t.Errorf("missing %q", lost)
	}
	whole := window{began, began.Add(time.Minute)}
	if n := l.shares(whole); n["a"] != 0 || n["b"] != 2 {
		t.Errorf("shares %v: the first arrival counts", n)
	}
	if n := l.shares(window{began, began.Add(time.Second)}); n["b"] != 0 {
		t.Errorf("shares %v before anything arrived", n)
	}
	if last := l.lastArrival(); !last.Equal(began.Add(2 * time.Second)) {
		t.Errorf("the last arrival was %v after the first mail", last.Sub(began))
	}
}

func TestLatencyCountsFromWhenAMailIsDue(t *testing.T) {
	l, ids, began := submitted(taken, taken)
	l.arrived(map[string][]accepted{"a": {{MessageID: messageID(ids[0]), Received: began.Add(1500 * time.Millisecond), Octets: 200, To: []string{"ann@elsewhere.example"}}}})
	_, arrivals := l.latencies(window{began, began.Add(time.Minute)})
	if arrivals.Count() != 2 || arrivals.Min() != 1500*time.Millisecond {
		t.Errorf("%d arrivals, the first after %v", arrivals.Count(), arrivals.Min())
	}
	if arrivals.Max() != 59*time.Second { // until the end, since it has not arrived
		t.Errorf("the last one after %v", arrivals.Max())
	}
	if answers, _ := l.latencies(window{began.Add(time.Hour), began.Add(2 * time.Hour)}); answers.Count() != 0 {
		t.Errorf("%d mails of another time", answers.Count())
	}
}

func TestAnArrivalThatCannotBeIsAFault(t *testing.T) {
	l, ids, began := submitted(taken, refused, taken)
	l.arrived(map[string][]accepted{"a": {
		{MessageID: messageID(letter.ID{Run: 7, Seq: 99}), Received: began, Octets: 200, To: []string{"ann@elsewhere.example"}},
		{MessageID: messageID(ids[1]), Received: began, Octets: 200, To: []string{"ann@elsewhere.example"}},
		{MessageID: messageID(ids[0]), Received: began, Octets: 99, To: []string{"ann@elsewhere.example"}},
		{MessageID: messageID(ids[2]), Received: began, Octets: 200, To: []string{"bob@elsewhere.example"}},
	}})
	for i, want := range []string{"nobody submitted", "was refused", "99 octets", `for ["bob@elsewhere.example"]`} {
		if i >= len(l.faults) || !strings.Contains(l.faults[i], want) {
			t.Errorf("no fault about %q in %q", want, l.faults)
		}
	}
}

func TestABrokenPromiseIsToldAndWritten(t *testing.T) {
	l, ids, began := submitted(taken, taken)
	l.arrived(map[string][]accepted{"a": {{MessageID: messageID(ids[0]), Received: began, Octets: 200, To: []string{"ann@elsewhere.example"}}, {MessageID: messageID(ids[0]), Received: began, Octets: 200, To: []string{"ann@elsewhere.example"}}}})
	v := &verdict{name: "trial"}
	v.arrived(l)
	v.copies(l, 0)
	v.within("share", 0.5, 0.42, 0.58)
	v.atLeast("ratio", 0.69, 0.7)
	v.part("all", l, window{began, began.Add(time.Minute)})
	broken := v.broken()
	if len(broken) != 3 || !strings.HasPrefix(broken[0], "mails taken and lost: 1,") || !strings.HasPrefix(broken[1], "mails handed over again: 1,") || !strings.HasPrefix(broken[2], "ratio: 0.690") {
		t.Errorf("broken %q", broken)
	}
	var out strings.Builder
	if err := v.write(&out); err != nil || strings.Count(out.String(), "BROKEN") != 3 {
		t.Errorf("%v\n%s", err, &out)
	}
	if r := v.results(); len(r) != 2 || r[0].Errors != 3 || r[0].Figures["share"] != 0.5 || r[1].Operations != 2 {
		t.Errorf("results %+v", r)
	}
}
