package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"restante/perf/report"
	"restante/perf/sweep"
)

// sweepPlan is what a command line for sweeps prints that does nothing.
func sweepPlan(t *testing.T, args ...string) (string, cli, error) {
	t.Helper()
	var c cli
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse(append([]string{"--plan", "sweep"}, args...)); err != nil {
		return "", c, err
	}
	var out strings.Builder
	err = c.Sweep.Run(t.Context(), &c.settings, &out)
	return out.String(), c, err
}

func TestThePlanOfSweepsSaysWhatIsVariedAndHowLong(t *testing.T) {
	plan, _, err := sweepPlan(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"delay: 20/s, then STAT, RETR, DELE and QUIT, then the lag, over a link of 0s, 1ms, 10ms and 50ms; about 16m0s\n",
		"nodes: 20/s through 1, 2 and 4 servers over the same cluster; about",
		"size: delivery, RETR and what is stored, of mails of 1, 4, 16, 64, 256, 1,024, 4,096 and 25,600 KiB; about",
		"maildrop: login to maildrops of 10, 100, 1,000, 10,000 and 100,000 messages; about",
		"ever: login to maildrops that have had 10, 1,000 and 100,000 messages",
		"users: delivery and login with 80, 1,000, 10,000 and 100,000 users; about",
		"3 rounds, loads of 15 s: about 2h",
	} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan does not say %q:\n%s", want, plan)
		}
	}
}

func TestSweepsAreChosenAndBounded(t *testing.T) {
	plan, _, err := sweepPlan(t, "ever", "delay", "--most=1000000", "--delays=0s,20ms", "--seconds=5", "--rounds=1")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plan, "users:") || !strings.Contains(plan, "100,000 and 1,000,000 messages") || !strings.Contains(plan, "a link of 0s and 20ms; about 1m0s") {
		t.Error(plan)
	}
	if strings.Index(plan, "delay:") > strings.Index(plan, "ever:") {
		t.Errorf("they are not in their order:\n%s", plan)
	}
	plan, _, err = sweepPlan(t, "users", "--most=1")
	if err != nil || !strings.Contains(plan, "with 80 users") {
		t.Errorf("%v in\n%s", err, plan)
	}
	for _, wrong := range []string{"weather", "--rounds=0", "--seconds=0", "--rate=-1"} {
		if plan, _, err := sweepPlan(t, wrong); err == nil {
			t.Errorf("%s is accepted:\n%s", wrong, plan)
		}
	}
}

// A sweep that is cut leaves the points it has, and one that fails leaves the next its
// turn.
func TestEachSweepLeavesWhatItHas(t *testing.T) {
	file := filepath.Join(t.TempDir(), "points.json")
	var out strings.Builder
	st := &stage{settings: settings{JSON: file}, out: &out}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	one := func(name string, x float64) report.Point {
		return report.Point{Sweep: name, X: x, Series: sweep.Login, Metric: sweep.P50, UnitY: "ms"}.Of(x)
	}
	var ran []string
	variations := []variation{
		{name: "first", run: func(context.Context, *stage, *sweep.Stage) ([]report.Point, error) {
			ran = append(ran, "first")
			return []report.Point{one(sweep.Users, 1), one(sweep.Users, 2)}, os.ErrClosed
		}},
		{name: "second", run: func(ctx context.Context, _ *stage, _ *sweep.Stage) ([]report.Point, error) {
			ran = append(ran, "second")
			cancel()
			return []report.Point{one(sweep.Ever, 1)}, context.Cause(ctx)
		}},
		{name: "third", run: func(context.Context, *stage, *sweep.Stage) ([]report.Point, error) {
			ran = append(ran, "third")
			return nil, nil
		}},
	}
	err := new(sweepRun).all(ctx, st, nil, variations)
	if err == nil || !strings.Contains(err.Error(), "first: "+os.ErrClosed.Error()) || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Error(err)
	}
	if strings.Join(ran, " ") != "first second" {
		t.Errorf("%v ran", ran)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if points, err := report.ReadPoints(f); err != nil || len(points) != 3 || points[2].Sweep != sweep.Ever {
		t.Errorf("the file has %+v, %v", points, err)
	}
	if text := out.String(); !strings.Contains(text, "missed: login, p50 over users: 2.00 × at most") {
		t.Error(text)
	}
}

func TestPointsOfOneServerSaySo(t *testing.T) {
	w := &sweep.Stage{Mark: report.Point{At: map[string]float64{sweep.Servers: 4, sweep.Copies: 6}}}
	if at := first(w).Mark.At; at[sweep.Servers] != 1 || at[sweep.Copies] != 6 {
		t.Errorf("%v", at)
	}
	if w.Mark.At[sweep.Servers] != 4 {
		t.Error("the other sweeps lose their servers")
	}
}
