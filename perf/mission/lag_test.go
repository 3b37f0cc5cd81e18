package mission

import (
	"testing"
	"time"

	"restante/perf/scenario"
	"restante/perf/servertest"
)

func lag(f *servertest.Fake) Lag {
	c := on(f).Clients
	c.Users = 8
	return Lag{
		Clients: c, Into: scenario.Target{Name: "near", SMTP: f.SMTP, POP3: f.POP3}, From: scenario.Target{Name: "far", POP3: f.Far},
		Rate: 50, Duration: time.Second, Every: 10 * time.Millisecond, Patience: 2 * time.Second,
	}
}

func TestTheLagIsThatOfTheReader(t *testing.T) {
	f := servertest.New(t)
	f.Lag = 80 * time.Millisecond
	o, err := lag(f).Run(t.Context())
	if err != nil || o.Err() != nil {
		t.Fatal(err, o.Err())
	}
	if l := o.Listed; l.Count != 50 || l.P50 < 80 || l.P50 > 400 || l.P99 < l.P50 || l.Max < l.P999 {
		t.Errorf("%+v", l)
	}
	if o.Result.Figures["misses"] < 40 { // some looks may come late on a busy machine
		t.Errorf("%v", o.Result.Figures)
	}
}

func TestMailThatNeverArrivesIsAnError(t *testing.T) {
	f := servertest.New(t)
	f.Fate = nth(17, servertest.Lost)
	l := lag(f)
	l.Patience = 100 * time.Millisecond
	o, err := l.Run(t.Context())
	if err != nil || o.Err() == nil || o.Result.Errors != 1 || o.Listed.Count != 49 {
		t.Errorf("%+v, %v", o, err)
	}
	l.Behind = []int{1 << 30}
	if o, err := l.Run(t.Context()); err == nil || o.Result.Operations > 0 {
		t.Errorf("the database is not there: %+v", o)
	}
	l.Behind, l.Password = nil, "wrong"
	if _, err := l.Run(t.Context()); err == nil {
		t.Error("nobody can log in")
	}
	l.From.POP3 = ""
	if _, err := l.Run(t.Context()); err == nil {
		t.Error("there is nobody to ask")
	}
}
