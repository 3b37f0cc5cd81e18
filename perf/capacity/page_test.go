package main

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"pgregory.net/rapid"

	"restante/perf/mission"
	"restante/perf/report"
	"restante/perf/scenario"
	"restante/perf/sweep"
)

// sweeps are points of costs that are known: of a delivery 0.2 ms, 0.01 ms each KiB and
// 0.05 ms each recipient on Restante, and 0.5 ms and 0.02 ms each KiB for each of six
// copies on Cassandra; of a first login 30 ms and 5 ms.
func sweeps() []report.Point {
	var all []report.Point
	add := func(p report.Point, series, metric, unit string, value float64) {
		p.Series, p.Metric, p.UnitY, p.Machine, p.Command = series, metric, unit, "2 processors", "twodc sweep"
		all = append(all, p.Of(value))
	}
	for _, kib := range []float64{1, 8, 64, 1024, 25600} {
		p := report.Point{Sweep: sweep.Size, X: kib, Unit: "KiB", At: map[string]float64{sweep.Recipients: 1, sweep.Copies: 6}}
		add(p, sweep.Delivery, sweep.RestanteCPU, "ms", 0.25+0.01*kib)
		add(p, sweep.Delivery, sweep.CassandraCPU, "ms", 6*(0.5+0.02*kib))
		add(p, sweep.Delivery, sweep.Stored, "octets", 6*(400+1100*kib))
		add(p, sweep.Retrieve, sweep.RestanteCPU, "ms", 0.1+0.002*kib)
		add(p, sweep.Retrieve, sweep.CassandraCPU, "ms", 0.3+0.004*kib)
	}
	for _, n := range []float64{2, 10, 50} {
		add(report.Point{Sweep: sweep.Recipients, X: n, At: map[string]float64{sweep.Size: 8}}, sweep.Delivery, sweep.RestanteCPU, "ms", 0.28+0.05*n)
	}
	for _, n := range []float64{80, 1000} {
		p := report.Point{Sweep: sweep.Users, X: n, At: map[string]float64{sweep.Messages: 0}}
		add(p, sweep.FirstLogin, sweep.RestanteCPU, "ms", 30)
		add(p, sweep.FirstLogin, sweep.CassandraCPU, "ms", 5)
	}
	for _, n := range []float64{10, 1000, 100_000} {
		p := report.Point{Sweep: sweep.Messages, X: n}
		add(p, sweep.Login, sweep.RestanteCPU, "ms", 0.5+0.0005*n)
		add(p, sweep.Login, sweep.CassandraCPU, "ms", 1+0.001*n)
	}
	return all
}

func fitOf(t *testing.T, points []report.Point) model {
	t.Helper()
	m, err := fitAll(points, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// usual are the assumptions that hold if nothing else is said.
func usual(t *testing.T, args ...string) cli {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sweep.json")
	var text strings.Builder
	if err := report.WriteLines(&text, sweeps()...); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var c cli
	k, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse(append(args, file)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryLawIsFittedToItsPoints(t *testing.T) {
	m := fitOf(t, sweeps())
	if len(m) != len(laws()) {
		t.Errorf("%d of %d laws are fitted", len(m), len(laws()))
	}
	for _, c := range []struct {
		series, metric string
		at             map[string]float64
		want           float64
	}{
		{sweep.Delivery, sweep.RestanteCPU, map[string]float64{sweep.Size: 100, sweep.Recipients: 4}, 0.2 + 1 + 0.2},
		{sweep.Delivery, sweep.CassandraCPU, map[string]float64{sweep.Size: 100, sweep.Recipients: 1, sweep.Copies: 3}, 3 * 2.5},
		{sweep.Delivery, sweep.Stored, map[string]float64{sweep.Size: 100, sweep.Recipients: 1, sweep.Copies: 1}, 400 + 110000},
		{sweep.Login, sweep.RestanteCPU, map[string]float64{sweep.Messages: 2000}, 1.5},
		{sweep.FirstLogin, sweep.RestanteCPU, nil, 30},
		{sweep.Retrieve, sweep.CassandraCPU, map[string]float64{sweep.Size: 50}, 0.5},
	} {
		if got, ok := m.cost(c.series, c.metric, c.at); !ok || got < c.want*0.999 || got > c.want*1.001 {
			t.Errorf("%s, %s at %v is %v, %v, not %v", c.series, c.metric, c.at, got, ok, c.want)
		}
	}
}

// stated are points of deliveries that cost 0.2 ms, 0.8 ms each statement and 0.003 ms each
// KiB: one statement up to 8 KiB, and more with more users.
func stated() []report.Point {
	var all []report.Point
	add := func(p report.Point, kib, statements float64) {
		p.At = map[string]float64{sweep.Recipients: 1, sweep.Copies: 1, sweep.Size: kib}
		p.Series = sweep.Delivery
		for _, metric := range []string{sweep.RestanteCPU, sweep.CassandraCPU} {
			p.Metric, p.UnitY = metric, "ms"
			all = append(all, p.Of(0.2+0.8*statements+0.003*kib))
		}
		p.Metric, p.UnitY = sweep.Statements, ""
		all = append(all, p.Of(statements))
	}
	for kib, statements := range map[float64]float64{1: 1, 8: 1, 64: 2, 256: 4, 1024: 10, 25600: 202} {
		add(report.Point{Sweep: sweep.Size, X: kib, Unit: "KiB"}, kib, statements)
	}
	for users, statements := range map[float64]float64{80: 1, 1000: 1.7, 10_000: 2} {
		add(report.Point{Sweep: sweep.Users, X: users}, 8, statements)
	}
	return all
}

func TestAStatementIsPartOfTheCost(t *testing.T) {
	m := fitOf(t, stated())
	a := usual(t).assumptions
	for _, c := range []struct {
		size, asked, want float64
	}{
		{8, 0, 0.2 + 0.8 + 0.024}, {8, 1, 0.2 + 1.6 + 0.024}, {64, 1, 0.2 + 2.4 + 0.192},
		{40, 0, 0.2 + 1.6 + 0.12},           // as many as a mail of 64 KiB
		{50_000, 0, 0.2 + 0.8*202 + 150.00}, // as many as the largest
	} {
		a.Size, a.Asked = c.size, c.asked
		got, ok := m.cost(sweep.Delivery, sweep.RestanteCPU, a.conditions(sweep.Delivery))
		if !ok || math.Abs(got/c.want-1) > 1e-6 {
			t.Errorf("%v KiB and %v statements more cost %v, %v, not %v", c.size, c.asked, got, ok, c.want)
		}
	}
	var text strings.Builder
	p := page{w: &text}
	a.Size, a.Asked = 64, 1
	p.fits(m, false)
	p.mail(a, m)
	for _, want := range []string{"| 0.2 ms + 0.8 ms each statement + 3 µs each KiB | 9 |", "- 3 statements, 1 of them for its address"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

func TestWhatElseGoesOnIsNotPartOfTheCost(t *testing.T) {
	points := sweeps()
	for i, p := range points {
		points[i] = p.Of(p.Value, 1.1*p.Value, 9*p.Value)
	}
	if got, want := fitOf(t, points), fitOf(t, sweeps()); !reflect.DeepEqual(got, want) {
		t.Errorf("with rounds that cost more the fits are\n%+v\nand not\n%+v", got, want)
	}
}

func TestAPointThatLeavesAConditionOutIsRefused(t *testing.T) {
	for name, break_ := range map[string]func(p *report.Point){
		"no recipients": func(p *report.Point) { p.At = nil },
		"another unit":  func(p *report.Point) { p.UnitY = "s" },
		"no cost":       func(p *report.Point) { p.Value, p.Min = 0, 0 },
	} {
		points := sweeps()
		break_(&points[0])
		if m, err := fitAll(points, nil); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestMoreOfAnythingNeverNeedsLess(t *testing.T) {
	m, base := fitOf(t, sweeps()), usual(t, "--hashed=0.1").assumptions
	rapid.Check(t, func(t *rapid.T) {
		a := base
		n := float64(rapid.IntRange(1, 1e8).Draw(t, "mailboxes"))
		more := rapid.Float64Range(1, 10).Draw(t, "more")
		before := a.size(m, n)
		for name, grow := range map[string]func(a *assumptions, n *float64){
			"mailboxes":   func(_ *assumptions, n *float64) { *n *= more },
			"mails":       func(a *assumptions, _ *float64) { a.Mails *= more },
			"size":        func(a *assumptions, _ *float64) { a.Size *= more },
			"retention":   func(a *assumptions, _ *float64) { a.Retention *= more },
			"logins":      func(a *assumptions, _ *float64) { a.Logins *= more },
			"hashed":      func(a *assumptions, _ *float64) { a.Hashed *= more },
			"fetched":     func(a *assumptions, _ *float64) { a.Fetched *= more },
			"peak":        func(a *assumptions, _ *float64) { a.Peak *= more },
			"replication": func(a *assumptions, _ *float64) { a.Replication++ },
			"smaller":     func(a *assumptions, _ *float64) { a.Cores /= more; a.Disk /= more },
		} {
			a, n := a, n
			grow(&a, &n)
			after := a.size(m, n)
			if after.restanteNodes < before.restanteNodes || after.cassandraNodes < before.cassandraNodes || after.disk < before.disk {
				t.Errorf("%s × %v: %+v became %+v", name, more, before, after)
			}
		}
	})
}

func TestASizeIsWhatOneComesToByHand(t *testing.T) {
	m, a := fitOf(t, sweeps()), usual(t).assumptions
	a.Mails, a.Size, a.Retention, a.Logins, a.Fetched, a.Peak = 8.64, 100, 10, 0, 0, 1
	n := a.size(m, 1e6)
	// 100 mails/s of 1.25 ms and of 6 × 2.5 ms; 86.4 million mails of 6 × 110,400 octets.
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"mails/s", n.mails, 100}, {"Restante cores", n.restante, 0.125}, {"Cassandra cores", n.cassandra, 1.5},
		{"TiB", n.disk, 86.4e6 * 6 * 110_400 / (1 << 40)},
		{"Restante nodes", n.restanteNodes, 2}, {"Cassandra nodes", n.cassandraNodes, 15},
	} {
		if c.got < c.want*0.999 || c.got > c.want*1.001 {
			t.Errorf("%s: %v, not %v", c.name, c.got, c.want)
		}
	}
	if n.because != "disk" {
		t.Errorf("Cassandra has its nodes for %s", n.because)
	}
}

func TestEveryDataCentreHasRoomForAllClients(t *testing.T) {
	m, a := fitOf(t, sweeps()), usual(t, "--hashed=0").assumptions
	a.Mails, a.Size, a.Retention, a.Logins, a.Fetched, a.Peak = 8.64, 100, 10, 864, 1, 1
	a.Cores, a.Utilization, a.Disk = 2, 0.5, 1e6
	n := a.size(m, 1e6)
	// 100 mails/s and RETR, 10,000 logins/s in maildrops of 86 messages. On Cassandra that is
	// 1.5 cores of writing, half of it in each data centre, and 0.07 + 10.864 of reading.
	if math.Abs(n.cassandra-12.434) > 0.01 || n.cassandraNodes != 12+1 || n.because != "CPU" {
		t.Errorf("Cassandra: %v cores, %v nodes for %s", n.cassandra, n.cassandraNodes, n.because)
	}
	if math.Abs(n.restante-5.587) > 0.01 || n.restanteNodes != 6+1 {
		t.Errorf("Restante: %v cores, %v nodes", n.restante, n.restanteNodes)
	}
	a.Cores = 1000
	if n := a.size(m, 1e6); n.cassandraNodes != 3 || n.because != "copies" {
		t.Errorf("with large nodes: %v for %s", n.cassandraNodes, n.because)
	}
}

func TestALoginHashesUnlessThePasswordIsRemembered(t *testing.T) {
	m := fitOf(t, sweeps())
	for _, c := range []struct {
		hashed              string
		restante, cassandra float64
	}{{"0", 0.535, 1.07}, {"1", 30.035, 5.07}, {"0.5", 15.285, 3.07}} { // with 70 messages
		a := usual(t, "--hashed="+c.hashed).assumptions
		if got := a.login(m, sweep.RestanteCPU); math.Abs(got-c.restante) > 1e-6 {
			t.Errorf("with %s: %v ms of Restante", c.hashed, got)
		}
		if got := a.login(m, sweep.CassandraCPU); math.Abs(got-c.cassandra) > 1e-6 {
			t.Errorf("with %s: %v ms of Cassandra", c.hashed, got)
		}
	}
	// Everybody hashes unless somebody knows better, which is 833 logins/s of 30.035 ms here.
	a := usual(t).assumptions
	a.Mails = 0
	if n := a.size(m, 1e6); math.Abs(n.restante-24.999) > 0.1 {
		t.Errorf("%v cores of Restante", n.restante)
	}
	unmeasured := slices.DeleteFunc(slices.Clone(m), func(f fitted) bool { return f.series == sweep.FirstLogin })
	if got := a.login(unmeasured, sweep.RestanteCPU); math.Abs(got-0.5) > 1e-6 {
		t.Errorf("where no first login was measured one costs %v ms", got)
	}
	if doubts := strings.Join(a.doubts(unmeasured), "\n"); !strings.Contains(doubts, "first login, Restante CPU was not measured and is not in these sizes.") {
		t.Error(doubts)
	}
}

func printed(t *testing.T, c cli) string {
	t.Helper()
	var out strings.Builder
	if err := c.run(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestThePageSaysWhatIsMeasuredAndWhatIsAssumed(t *testing.T) {
	text := printed(t, usual(t, "--mailboxes", "1e6,1e7", "--mails", "33"))
	for _, want := range []string{
		"2 processors: `twodc sweep`",
		"| delivery, Restante CPU | 0.2 ms + 10 µs each KiB + 50 µs each recipient | 8 |",
		"| delivery, Cassandra CPU for each copy | 0.5 ms + 20 µs each KiB | 5 |",
		"| good |",
		"- 33 mails a day to a mailbox",
		"- 24 logins a day to a mailbox, of which 100 % hash the password",
		"For a login to a maildrop of 231 messages:\n\n- Restante: 30.1 ms where the password is hashed, 0.615 ms where it is remembered\n",
		"| first login, Restante CPU | 30 ms (30 to 30) | 2 |",
		"- What it costs to remove mail, by DELE and QUIT, is not in these sizes: no sweep measures it.\n",
		"- Flushes and compaction are not in these sizes: ",
		"\n| 1,000,000 | 1,146 | 833 |",
		"\n| 10,000,000 | 11,458 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "In the performance test") {
		t.Errorf("there was none:\n%s", text)
	}
	for _, not := range []string{"bad", "was not measured"} {
		if strings.Contains(text, not+"**") {
			t.Errorf("%q in\n%s", not, text)
		}
	}
}

func TestThePageSaysWhatToDoubt(t *testing.T) {
	points := sweeps()
	a := usual(t).assumptions
	a.Size, a.Replication = 50_000, 1
	for i, p := range points {
		if p.Series == sweep.Login && p.Metric == sweep.RestanteCPU {
			points[i] = p.Of(p.Value * p.X)
		}
	}
	m := fitOf(t, points[:len(points)-1]) // two points of a login on Cassandra
	doubts := strings.Join(a.doubts(m[1:]), "\n")
	for _, want := range []string{
		"delivery, Restante CPU was not measured and is not in these sizes.",
		"delivery, stored for each copy was measured for a size of 1 to 25,600, and is used for 50,000.",
		"delivery, Cassandra CPU for each copy was measured with 6 copies, and is used for 2.",
		"**login, Restante CPU is from a bad fit** (-49 % (messages 1,000))",
		"**login, Cassandra CPU is from a bad fit** (nothing checks it)",
	} {
		if !strings.Contains(doubts, want) {
			t.Errorf("no %q in\n%s", want, doubts)
		}
	}
}

// tests are lines of results: of a peer, of our server twice, and of something else.
func tests(t *testing.T, servers ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mission.json")
	for i, server := range servers {
		o := &mission.Outcome{
			Verdict: mission.Verdict{Verified: 6000},
			Phases: []scenario.Result{
				{Scenario: mission.PhaseDeliver, Operations: 6000, Octets: 6000 << 13, ServerCPU: 2, Figures: map[string]float64{
					mission.CassandraCPU: 10, mission.CassandraCPU + ", flush": 0.25, mission.CassandraCPU + ", compaction": float64(i),
				}},
				{Scenario: mission.PhaseRemove, Operations: 80, ServerCPU: 50, Figures: map[string]float64{
					mission.CassandraCPU: 36, mission.CassandraCPU + ", compiler of Java": 14, mission.Statements: 4,
				}},
			},
		}
		r := mission.NewRecord("mission", mission.Party{Name: server}, o, nil)
		r.Command = "twodc mission"
		if err := report.Append(file, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := report.Append(file, mission.NewRecord("rate", mission.Party{Name: "restante"}, new(mission.Curve), nil)); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestThePageSaysHowMuchWasLeftOut(t *testing.T) {
	text := printed(t, usual(t, "--mission", tests(t, "postfix", "restante", "restante")))
	for _, want := range []string{
		"(`twodc mission`) a session that removed 75 messages took 4 statements, 50 ms of Restante and 36 ms of Cassandra, 14 ms of that Java's compiler.",
		"they took 2.25 ms (flush 0.25, compaction 2) of the 10 ms that a mail of 8 KiB cost Cassandra's nodes. If it is the octets that cost, a mail of 64 KiB has 18 ms of it.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	var out strings.Builder
	c := usual(t, "--mission", tests(t, "postfix"))
	if err := c.run(&out); err == nil || out.Len() > 0 {
		t.Errorf("a file without our server: %v, %s", err, out.String())
	}
}

func TestAssumptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for name, change := range map[string]func(*cli){
		"no cores":                func(c *cli) { c.Cores = 0 },
		"more than all hash":      func(c *cli) { c.Hashed = 1.1 },
		"less than nobody hashes": func(c *cli) { c.Hashed = -0.1 },
	} {
		c := usual(t)
		change(&c)
		var out strings.Builder
		if err := c.run(&out); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %s", name, err, out.String())
		}
	}
}
