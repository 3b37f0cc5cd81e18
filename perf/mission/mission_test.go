package mission

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"restante/perf/scenario"
	"restante/perf/servertest"
	"restante/perf/wire"
)

// on is a short test of fakes, with mail that takes no time.
func on(fakes ...*servertest.Fake) Test {
	t := Test{
		Clients: Clients{
			Users: 4, Pattern: "user%d@example.test", Password: servertest.Password, Sender: "a@b", Size: 300,
			Options: wire.Options{Timeout: 5 * time.Second},
		},
		Rate: 400, Duration: 100 * time.Millisecond, Connections: 4, Readers: 2, Patience: time.Second,
	}
	for i, f := range fakes {
		t.Targets = append(t.Targets, scenario.Target{Name: string(rune('a' + i)), Datacenter: "dc1", SMTP: f.SMTP, POP3: f.POP3})
	}
	return t
}

func outcome(t *testing.T, test Test) *Outcome {
	t.Helper()
	o, err := test.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// nth has another fate for one mail.
func nth(n int, fate servertest.Fate) func(int) servertest.Fate {
	return func(i int) servertest.Fate {
		if i == n {
			return fate
		}
		return servertest.Kept
	}
}

func TestEveryMailIsDeliveredReadRemovedAndVerified(t *testing.T) {
	for name, change := range map[string]func(*Test){
		"one after the other": func(*Test) {},
		"pipelined":           func(m *Test) { m.Pipelined = true },
		"at random times":     func(m *Test) { m.Poisson = true },
		"to three users each": func(m *Test) { m.Recipients = 3 },
		"to other users":      func(m *Test) { m.First = 100 },
	} {
		t.Run(name, func(t *testing.T) {
			f := servertest.New(t)
			test := on(f)
			change(&test)
			o := outcome(t, test)
			if err := o.Err(); err != nil {
				t.Error(err)
			}
			if o.Mails != 40 || o.Accepted != 40 || o.Verdict.Verified != 40*test.recipients() || o.Verdict.Late != 0 {
				t.Errorf("%+v", o)
			}
			counts := map[string]uint64{
				fromDue: 40, fromMail: 40, envelope: 40, data: 40, content: 40, firstLogin: 4, connect: 16, login: 16, stat: 16,
				retr: uint64(o.Verdict.Verified), dele: uint64(o.Verdict.Verified), quit: 12, quitRemoving: 4,
			}
			for i, name := range timed {
				if l := o.Latencies[i]; l.Name != name || l.Count != counts[name] || l.P50 <= 0 || l.P999 < l.P50 || l.Max < l.P999 {
					t.Errorf("%+v, %d were expected", l, counts[name])
				}
			}
			if n := f.Count(test.user(0)); n != 0 {
				t.Errorf("%d messages are left", n)
			}
		})
	}
}

func TestMailAndUsersAreSpreadOverTheTargets(t *testing.T) {
	a, b, c := servertest.New(t), servertest.New(t), servertest.New(t)
	test := on(a, b, c)
	test.Targets[0].POP3, test.Targets[1].SMTP, test.Targets[2].Datacenter = "", "", "dc2"
	if in := senders(test.Targets); len(in) != 2 || in[0].Name != "a" || in[1].Name != "c" {
		t.Errorf("mail goes to %v", in)
	}
	var homes []string
	for user := range 4 {
		homes = append(homes, test.home(user).Name)
	}
	if got := strings.Join(homes, " "); got != "b c b c" {
		t.Errorf("users fetch from %s", got)
	}
	test.Probe = 1
	if n := test.Accounts(); n != 12 {
		t.Errorf("%d accounts", n)
	}
}

// What a first login costs is not that of one whose password is remembered.
func TestEverybodyLogsInOnceToEachServer(t *testing.T) {
	f := servertest.New(t)
	far := on(f)
	far.Targets = append(far.Targets, scenario.Target{Name: "b", Datacenter: "dc1", SMTP: f.SMTP, POP3: f.Far})
	for name, c := range map[string]struct {
		test   Test
		logins int
	}{
		"one server":  {on(f), 4 + 4},
		"two servers": {far, 4 + 2*4}, // who delivers to the one looks into the other
	} {
		t.Run(name, func(t *testing.T) {
			c.test.Probe = 20
			o := outcome(t, c.test)
			if l := o.Latency(firstLogin); l.Count != uint64(c.logins) || o.Phases[0].Operations != int64(c.logins) {
				t.Errorf("%+v, and %d operations of the phase", l, o.Phases[0].Operations)
			}
			seen := map[visit]bool{}
			for _, v := range newRun(c.test).visits() {
				if seen[v] {
					t.Errorf("user %d is at %s twice", v.user, v.at.Name)
				}
				seen[v] = true
			}
		})
	}
}

func TestASlowServerShowsFromTheTimeMailIsDue(t *testing.T) {
	f := servertest.New(t)
	f.Delay = func(n int) time.Duration { return 20 * time.Millisecond }
	test := on(f)
	test.Connections, test.Rate, test.Duration = 1, 200, 100*time.Millisecond // 20 mails, of which 5 can be taken in that time
	o := outcome(t, test)
	if err := o.Err(); err != nil {
		t.Error(err)
	}
	due, began := o.Latency(fromDue), o.Latency(fromMail)
	if began.P50 < 20 || due.Max < 300 || due.P50 < 150 || due.Max < 3*began.P50 {
		t.Errorf("from due %+v, from MAIL %+v", due, began)
	}
	if o.Latency(content).P50 < 20 || o.Latency(envelope).P50 >= 20 {
		t.Errorf("the end of DATA takes %+v, the envelope %+v", o.Latency(content), o.Latency(envelope))
	}
	if o.Waited != 19 || o.Queue < 10 || o.Sustained > 50 {
		t.Errorf("%d waited, %d at once, %v mails/s", o.Waited, o.Queue, o.Sustained)
	}
}

func TestMailThatCannotBeSentInTimeIsLeft(t *testing.T) {
	f := servertest.New(t)
	f.Delay = func(n int) time.Duration { return 20 * time.Millisecond }
	test := on(f)
	test.Connections, test.Overtime = 1, 100*time.Millisecond
	o := outcome(t, test)
	if o.Unsent < 20 || o.Accepted < 1 || o.Unsent+o.Accepted != 40 || o.Verdict.Verified != int(o.Accepted) {
		t.Errorf("%d accepted, %d unsent, %+v", o.Accepted, o.Unsent, o.Verdict)
	}
	if err := o.Err(); err == nil || !strings.Contains(err.Error(), "were not sent in time") {
		t.Error(err)
	}
}

func TestWhatTheServerDoesWrongIsFoundAndCounted(t *testing.T) {
	for name, c := range map[string]struct {
		fate servertest.Fate
		want Verdict
		told string
	}{
		"loses a mail":      {servertest.Lost, Verdict{Verified: 39, Missing: 1, Miscounted: 1, Late: 1}, "1 messages are missing"},
		"doubles a mail":    {servertest.Doubled, Verdict{Verified: 40, Doubled: 1, Miscounted: 1}, "1 messages are there twice"},
		"changes one octet": {servertest.Damaged, Verdict{Verified: 39, Damaged: 1}, "1 messages are damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			f := servertest.New(t)
			f.Fate = nth(17, c.fate)
			test := on(f)
			test.Patience = 100 * time.Millisecond
			o := outcome(t, test)
			if o.Accepted != 40 || o.Verdict != c.want {
				t.Errorf("%d accepted, %+v, not %+v", o.Accepted, o.Verdict, c.want)
			}
			if err := o.Err(); err == nil || !strings.Contains(err.Error(), c.told) {
				t.Error(err)
			}
		})
	}
}

func TestWhatIsReadIsHeldToWhatSTATTold(t *testing.T) {
	f := servertest.New(t)
	f.Retrieved = func(n int, m []byte) []byte {
		if n == 2 {
			return append([]byte("X-More: \r\n"), m...) // a letter still, behind one more trace field
		}
		return m
	}
	o := outcome(t, on(f))
	if want := (Verdict{Verified: 40, Missized: 4}); o.Verdict != want {
		t.Errorf("%+v", o.Verdict)
	}
}

func TestMailOfSomebodyElseIsStrange(t *testing.T) {
	f := servertest.New(t)
	var first []byte
	f.Retrieved = func(n int, m []byte) []byte {
		if first == nil {
			first = m
		}
		return first
	}
	test := on(f)
	test.Readers = 1
	o := outcome(t, test)
	if v := o.Verdict; v.Verified != 1 || v.Doubled != 9 || v.Strange != 30 || v.Missing != 39 {
		t.Errorf("%+v", v)
	}
}

func TestWhatIsNotTakenIsCountedByItsReasonAndNotMissed(t *testing.T) {
	for name, c := range map[string]struct {
		fate servertest.Fate
		of   func(*Outcome) int64
		told string
	}{
		"4xx":         {servertest.Deferred, func(o *Outcome) int64 { return o.Deferred }, "1 of 40 mails were answered with 4xx"},
		"5xx":         {servertest.Refused, func(o *Outcome) int64 { return o.Refused }, "1 of 40 mails were answered with 5xx"},
		"no answer":   {servertest.Hung, func(o *Outcome) int64 { return o.TimedOut }, "1 of 40 mails were never answered"},
		"cut off":     {servertest.Dropped, func(o *Outcome) int64 { return o.Lost }, "1 of 40 mails were lost with their connection"},
		"all is well": {servertest.Kept, func(o *Outcome) int64 { return 41 - o.Accepted }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := servertest.New(t)
			f.Fate = nth(17, c.fate)
			test := on(f)
			test.Options.Timeout = time.Second
			o := outcome(t, test)
			if c.of(o) != 1 || o.Verdict.Err() != nil || o.Verdict.Verified != int(o.Accepted) {
				t.Errorf("%+v", o)
			}
			err := o.Err()
			if c.told == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), c.told) {
				t.Error(err)
			}
		})
	}
}

func TestWhatBecomesOfAMailThatFailed(t *testing.T) {
	later, never, gone := &wire.ReplyError{Reply: "451 later"}, &wire.ReplyError{Reply: "554 never"}, io.EOF
	for _, c := range []struct {
		err     error
		reached int
		want    state
	}{
		{later, -1, refused}, {never, int(wire.Envelope), refused}, {gone, int(wire.Envelope), refused},
		{later, int(wire.Data), unknown}, {never, int(wire.Data), refused}, {gone, int(wire.Data), unknown},
	} {
		if got := fate(c.err, c.reached); got != c.want {
			t.Errorf("%v after step %d: %v, not %v", c.err, c.reached, got, c.want)
		}
	}
	if ended(later) || ended(never) || !ended(gone) || !ended(&wire.ReplyError{Reply: "421 closing"}) {
		t.Error("a connection is kept that the server closes, or the other way round")
	}
}

func TestAMailOfUnknownFateMayBeThereOrNot(t *testing.T) {
	l := newLedger(1, 1, 10)
	var f faker
	l.sent(f.letter(l, 0), acknowledged)
	l.sent(f.letter(l, 1), unknown)
	for n, want := range map[int]string{0: "less", 1: "right", 2: "right", 3: "more"} {
		less, err := l.counted(0, n, 1000)
		got := "right"
		if err != nil {
			got = map[bool]string{true: "less", false: "more"}[less]
		}
		if got != want {
			t.Errorf("%d messages are %s: %v", n, got, err)
		}
	}
	if _, err := l.counted(0, 2, 19); err == nil {
		t.Error("19 octets are enough for two messages of 10")
	}
	if err := l.complete(0); err == nil || l.verdict().Missing != 1 {
		t.Errorf("what is missing: %v, %+v", err, l.verdict())
	}
	if err := l.retrieved(0, f.checked(l, 0)); err != nil {
		t.Error(err)
	}
	if err := l.complete(0); err != nil {
		t.Error("the mail of unknown fate is missed:", err)
	}
	if err := l.retrieved(0, f.checked(l, 1)); err != nil {
		t.Error("the mail of unknown fate is not known:", err)
	}
}

func TestWhatComesBackAfterItsRemovalIsCounted(t *testing.T) {
	f := servertest.New(t)
	f.Returning = true
	if o := outcome(t, on(f)); o.Verdict.Left != 40 {
		t.Errorf("%+v", o.Verdict)
	}
}

func TestMailThatComesLateIsWaitedFor(t *testing.T) {
	f := servertest.New(t)
	f.Lag = 300 * time.Millisecond
	test := on(f)
	test.Readers = 4
	test.Targets[0].POP3 = f.Far
	o := outcome(t, test)
	if err := o.Err(); err != nil || o.Verdict.Late == 0 || o.Verdict.Verified != 40 {
		t.Errorf("%v, %+v", err, o.Verdict)
	}
}

func TestALoginRightBehindA250MustSeeTheMail(t *testing.T) {
	for name, lag := range map[string]time.Duration{"seen": 0, "missed": 200 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			f := servertest.New(t)
			f.Lag = lag
			test := on(f)
			test.Targets[0].POP3 = f.Far
			test.Probe, test.Rate, test.Duration = 50, 20, 400*time.Millisecond
			o := outcome(t, test)
			// On a busy machine some looks may come late.
			if o.Looks != 20 || lag == 0 && o.Missed > 0 || lag > 0 && o.Missed < 15 || o.Err() != nil {
				t.Errorf("%d looks, %d missed, %v", o.Looks, o.Missed, o.Err())
			}
		})
	}
}

func TestAServerThatIsNotThereEndsTheTest(t *testing.T) {
	test := on(servertest.New(t))
	test.Password = "wrong"
	if o, err := test.Run(t.Context()); err == nil || o.Accepted != 0 {
		t.Errorf("with a wrong password: %v", err)
	}
	for name, change := range map[string]func(*Test){
		"no SMTP":              func(m *Test) { m.Targets[0].SMTP = "" },
		"no POP3":              func(m *Test) { m.Targets[0].POP3 = "" },
		"no rate":              func(m *Test) { m.Rate = 0 },
		"no time":              func(m *Test) { m.Duration = 0 },
		"no users":             func(m *Test) { m.Users = 0 },
		"no connection":        func(m *Test) { m.Connections = 0 },
		"no reader":            func(m *Test) { m.Readers = 0 },
		"no octet":             func(m *Test) { m.Size = 0 },
		"no number of a user":  func(m *Test) { m.Pattern = "all@example.test" },
		"a recipient too many": func(m *Test) { m.Recipients = 5 },
	} {
		test := on(servertest.New(t))
		change(&test)
		if o, err := test.Run(t.Context()); err == nil || o.Mails != 0 {
			t.Errorf("%s is no error", name)
		}
	}
}

func TestTheEndOfTheContextEndsTheTest(t *testing.T) {
	test := on(servertest.New(t))
	test.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if o, err := test.Run(ctx); err == nil || o.Accepted == 0 || o.Unsent == 0 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestEveryPhaseIsWatched(t *testing.T) {
	var seen []string
	test := on(servertest.New(t))
	test.Watch = func(phase string) (func(*scenario.Result) (map[string]float64, error), error) {
		return func(r *scenario.Result) (map[string]float64, error) {
			seen = append(seen, phase)
			r.Others = 0.25
			return map[string]float64{"statements an operation": 7 * float64(r.Operations) / float64(r.Operations)}, nil
		}, nil
	}
	o := outcome(t, test)
	if got := strings.Join(seen, ", "); got != "first login, deliver, STAT, RETR, DELE and QUIT, STAT of nothing" {
		t.Error(got)
	}
	for _, p := range o.Phases {
		if p.Figures["statements an operation"] != 7 || p.Others != 0.25 {
			t.Errorf("%s has %v", p.Scenario, p.Figures)
		}
	}
	test.Unread = true
	if o := outcome(t, test); len(o.Phases) != 5 || o.Verdict.Verified != 0 || o.Err() != nil {
		t.Errorf("without RETR: %+v", o)
	}
}
