package sweep

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"restante/perf/report"
	"restante/perf/servertest"
)

// stage is a fake server, which uses the processor of the test; what it stores is said
// to be a thousand octets a time.
func stage(t *testing.T, f *servertest.Fake) *Stage {
	octets, carried, statements := int64(0), int64(0), 0.0
	return &Stage{
		SMTP: f.SMTP, POP3: f.POP3, Restante: []int{os.Getpid()}, Cassandra: []int{os.Getpid()},
		Stored: func(context.Context) (int64, error) {
			octets += 8000
			return octets, nil
		},
		Link: func(context.Context) (int64, error) {
			carried += 500
			return carried, nil
		},
		Statements: func(context.Context) (float64, error) {
			statements += 40
			return statements, nil
		},
		Pattern: "user%d@example.test", Password: servertest.Password, Users: 120, Sender: "a@b",
		Rounds: 2, Seconds: 0.05,
		Mark: report.Point{Machine: "this one", At: map[string]float64{Copies: 6, Delay: 1}},
		Say:  func(string, ...any) {},
	}
}

// rounds are how often a figure of a stage is measured.
func rounds(metric string) int {
	if metric == Stored {
		return 1
	}
	return 2
}

// of are the points of a series and metric.
func of(points []report.Point, series, metric string) []report.Point {
	return slices.DeleteFunc(slices.Clone(points), func(p report.Point) bool { return p.Series != series || p.Metric != metric })
}

func TestSizesAreMeasuredFromDeliveryToRETR(t *testing.T) {
	f := servertest.New(t)
	points, err := stage(t, f).Sizes(t.Context(), 1, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ series, metric string }{
		{Delivery, RestanteCPU}, {Delivery, CassandraCPU}, {Delivery, Stored}, {Delivery, Link}, {Delivery, Statements}, {Delivery, P50}, {Delivery, P99}, {Delivery, Rate},
		{Retrieve, RestanteCPU}, {Retrieve, CassandraCPU}, {Retrieve, P50},
	} {
		found := of(points, c.series, c.metric)
		if len(found) != 2 {
			t.Fatalf("%s, %s: %+v", c.series, c.metric, found)
		}
		for i, p := range found {
			if p.X != []float64{1, 64}[i] || p.Unit != "KiB" || p.Rounds != rounds(c.metric) || p.At[Copies] != 6 || p.At[Recipients] != 1 || p.Machine != "this one" {
				t.Errorf("%s, %s: %+v", c.series, c.metric, p)
			}
			if p.Value <= 0 && !strings.HasSuffix(c.metric, "CPU") { // of which a load this short may use no tick
				t.Errorf("%s, %s is %v", c.series, c.metric, p.Value)
			}
		}
	}
	if n := f.Count("user0@example.test") + f.Count("user1@example.test"); n != 0 {
		t.Errorf("%d mails are left", n)
	}
}

func TestMailToManyIsMeasuredByItsRecipients(t *testing.T) {
	f := servertest.New(t)
	points, err := stage(t, f).Recipients(t.Context(), 1, 20)
	if err != nil {
		t.Fatal(err)
	}
	p50 := of(points, Delivery, P50)
	if len(p50) != 2 || p50[1].Sweep != Recipients || p50[1].X != 20 || p50[1].At[Size] != 4 || p50[1].Rounds != 2 {
		t.Errorf("%+v", p50)
	}
	if n := f.Count("user19@example.test"); n != 0 {
		t.Errorf("%d mails are left", n)
	}
}

func TestMaildropsOfAllSizesAreVisited(t *testing.T) {
	f := servertest.New(t)
	points, err := stage(t, f).Maildrops(t.Context(), 100, 10) // in any order
	if err != nil {
		t.Fatal(err)
	}
	p50 := of(points, Login, P50)
	if len(p50) != 2 || p50[0].X != 10 || p50[1].X != 100 || p50[1].At[Delay] != 1 || p50[1].Rounds != 2 || p50[1].Value <= 0 {
		t.Errorf("%+v", p50)
	}
	if n := f.Count("user119@example.test") + f.Count("user118@example.test"); n != 0 {
		t.Errorf("%d mails are left", n)
	}
}

func TestAMaildropHasHadManyAndIsEmpty(t *testing.T) {
	f := servertest.New(t)
	var mails atomic.Int64
	f.Fate = func(int) servertest.Fate {
		mails.Add(1)
		return servertest.Kept
	}
	points, err := stage(t, f).Ever(t.Context(), 10, 1700)
	if err != nil {
		t.Fatal(err)
	}
	p50 := of(points, Login, P50)
	if len(p50) != 2 || p50[1].X != 1700 || p50[1].At[Messages] != 0 || p50[1].Rounds != 2 {
		t.Errorf("%+v", p50)
	}
	if last := of(points, Delivery, P50); len(last) != 1 || last[0].X != 1700 || last[0].Rounds != 1 {
		t.Errorf("the last deliveries are %+v", last)
	}
	if n := mails.Load(); n != 1710 {
		t.Errorf("%d mails were delivered", n)
	}
}

func TestMailGoesToAllUsersEvenly(t *testing.T) {
	f := servertest.New(t)
	s := stage(t, f)
	var made []int
	points, err := s.Population(t.Context(), func(_ context.Context, users int) error {
		made = append(made, users)
		return nil
	}, 300, 80)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(made, []int{s.Users + 80, s.Users + 300}) {
		t.Errorf("made %v", made)
	}
	for series, rounds := range map[string]int{Delivery: 2, Login: 2, FirstLogin: 1} {
		p50 := of(points, series, P50)
		if len(p50) != 2 || p50[0].X != 80 || p50[1].X != 300 || p50[1].Rounds != rounds {
			t.Errorf("%s: %+v", series, p50)
		}
	}
	if n := f.Count("user119@example.test") + f.Count("user420@example.test"); n != 0 {
		t.Errorf("%d mails went to others", n)
	}
	if _, err := s.Population(t.Context(), func(context.Context, int) error { return nil }, 80, 100); err == nil {
		t.Error("20 more users have 80 visitors")
	}
}

func TestRoundsGoThereAndBack(t *testing.T) {
	values := []int{1, 2, 3}
	for round, want := range [][]int{{1, 2, 3}, {3, 2, 1}, {1, 2, 3}} {
		if got := turned(values, round); !slices.Equal(got, want) {
			t.Errorf("round %d has %v", round, got)
		}
	}
}

func TestAStrideComesToEverybody(t *testing.T) {
	for _, users := range []int{1, 2, 80, 100, 1000, 9973} {
		step := stride(users)
		seen := map[int]bool{}
		for i := range users {
			seen[i*step%users] = true
		}
		if len(seen) != users || users >= 80 && (step < users/2 || step > users*2/3) {
			t.Errorf("of %d users %d have their turn with %d", users, len(seen), step)
		}
	}
}

func TestALoadWithErrorsIsNoPoint(t *testing.T) {
	f := servertest.New(t)
	f.Fate = func(n int) servertest.Fate {
		if n%10 == 9 {
			return servertest.Deferred
		}
		return servertest.Kept
	}
	points, err := stage(t, f).Sizes(t.Context(), 1)
	if err == nil || len(of(points, Delivery, P50)) > 0 {
		t.Errorf("%+v, %v", points, err)
	}
	lossy := servertest.New(t)
	lossy.Fate = servertest.Always(servertest.Lost)
	if points, err := stage(t, lossy).Maildrops(t.Context(), 10); err == nil {
		t.Errorf("logins to what was lost: %+v", points)
	}
}

func TestASizeThatFailsLeavesTheOthers(t *testing.T) {
	f := servertest.New(t)
	f.Fate = func(n int) servertest.Fate { // the first one is of the first size
		if n == 0 {
			return servertest.Refused
		}
		return servertest.Kept
	}
	points, err := stage(t, f).Sizes(t.Context(), 64, 1)
	if err == nil || !strings.Contains(err.Error(), "size 64") {
		t.Error(err)
	}
	if p50 := of(points, Delivery, P50); len(p50) != 1 || p50[0].X != 1 || p50[0].Rounds != 2 {
		t.Errorf("%+v", p50)
	}
}

func TestAnInterruptEndsASweepWithoutAPoint(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := stage(t, servertest.New(t))
	s.Settle = func(context.Context) error {
		cancel()
		return nil
	}
	if points, err := s.Sizes(ctx, 1); !errors.Is(err, context.Canceled) || len(points) > 0 {
		t.Errorf("%+v, %v", points, err)
	}
}

func TestAStageThatCannotMeasureIsRefused(t *testing.T) {
	f := servertest.New(t)
	for name, break_ := range map[string]func(s *Stage){
		"no rounds":     func(s *Stage) { s.Rounds = 0 },
		"no time":       func(s *Stage) { s.Seconds = 0 },
		"too few users": func(s *Stage) { s.Users = 10 },
	} {
		s := stage(t, f)
		break_(s)
		if points, err := s.Sizes(t.Context(), 1); err == nil {
			t.Errorf("%s: %+v", name, points)
		}
	}
}
