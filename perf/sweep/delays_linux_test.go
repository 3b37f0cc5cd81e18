package sweep

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"restante/perf/scenario"
	"restante/perf/servertest"
)

// twoDatacentres are a fake with four servers in two of them, which are all the same.
func twoDatacentres(t *testing.T, f *servertest.Fake) *Stage {
	s := stage(t, f)
	for _, name := range []string{"dc1-a", "dc1-b", "dc2-a", "dc2-b"} {
		s.Targets = append(s.Targets, scenario.Target{Name: name, Datacenter: name[:3], SMTP: f.SMTP, POP3: f.POP3})
	}
	s.Rate, s.Seconds = 100, 0.2
	return s
}

func TestADelayThatShowsIsSeen(t *testing.T) {
	f := servertest.New(t)
	var delay atomic.Int64
	f.Delay = func(int) time.Duration { return time.Duration(delay.Load()) }
	s := twoDatacentres(t, f)
	points, err := s.Delays(t.Context(), func(_ context.Context, d time.Duration) error {
		delay.Store(int64(d))
		return nil
	}, 0, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, series := range []string{Delivery, Login, Stat, Retrieve, Removal, Lag} {
		for _, metric := range []string{P50, P99} {
			found := of(points, series, metric)
			if len(found) != 2 || found[0].X != 0 || found[1].X != 50 || found[1].Unit != "ms" || found[1].Rounds != 2 || found[0].Value <= 0 {
				t.Errorf("%s, %s: %+v", series, metric, found)
			}
		}
	}
	p50 := of(points, Delivery, P50)
	if p50[1].Value < 50 || p50[1].At[Rate] != 100 || of(points, Lag, P50)[1].At[Rate] != lagRate {
		t.Errorf("%+v", p50)
	}
	if _, twice := p50[1].At[Delay]; twice {
		t.Errorf("the delay of all points is told for one of its own: %+v", p50[1])
	}
}

func TestAWrongAnswerIsNoPointOfADelay(t *testing.T) {
	f := servertest.New(t)
	f.Fate = servertest.Always(servertest.Damaged)
	points, err := twoDatacentres(t, f).Delays(t.Context(), func(context.Context, time.Duration) error { return nil }, 0)
	if err == nil || len(points) > 0 {
		t.Errorf("%+v, %v", points, err)
	}
}

func TestServersAreTakenFromEachDatacentreInTurn(t *testing.T) {
	s := twoDatacentres(t, servertest.New(t))
	for n, want := range map[int]string{1: "dc1-a", 2: "dc1-a dc2-a", 3: "dc1-a dc2-a dc1-b", 4: "dc1-a dc2-a dc1-b dc2-b"} {
		chosen, err := some(s.Targets, n)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range chosen {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%d are %s", n, got)
		}
	}
	for _, n := range []int{0, 5} {
		if chosen, err := some(s.Targets, n); err == nil {
			t.Errorf("%d are %v", n, chosen)
		}
	}
}

func TestServersAreMeasuredAtARateAndAtTheHighest(t *testing.T) {
	f := servertest.New(t)
	s := twoDatacentres(t, f)
	s.Rounds = 1
	points, err := s.ServerCounts(t.Context(), nil, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{P50, P99, RestanteCPU, CassandraCPU} {
		found := of(points, Mail, metric)
		if len(found) != 2 || found[0].X != 1 || found[1].X != 2 || found[1].Sweep != Servers {
			t.Errorf("%s: %+v", metric, found)
		}
	}

	// Steps of 20, 40 and 80 mails come behind the 20 at the rate, and then there is no
	// room for 160.
	full := servertest.New(t)
	full.Fate = func(n int) servertest.Fate {
		if n < 200 {
			return servertest.Kept
		}
		return servertest.Deferred
	}
	s = twoDatacentres(t, full)
	s.Rounds, s.Rate = 1, 100
	points, err = s.ServerCounts(t.Context(), &Find{Step: 200 * time.Millisecond, Precision: 1, Restful: time.Millisecond}, 1)
	if found := of(points, Mail, Highest); err != nil || len(found) != 1 || found[0].Value != 400 {
		t.Errorf("%+v, %v", found, err)
	}
}
