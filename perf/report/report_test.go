package report

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/perf/scenario"
)

func TestResultsAreReadAsTheyWereWritten(t *testing.T) {
	written := []scenario.Result{
		{Scenario: "deliver", Connections: 32, Operations: 7, Errors: 1, Octets: 1 << 40, Seconds: 1.5, Rate: 4.7,
			P50: 0.1, P95: 0.2, P99: 0.3, Max: 0.4, ServerCPU: 0.5, ToolCPU: 0.6, Others: 0.7, PeakRSS: 8, RSS: 9, PSS: 10,
			Figures: map[string]float64{"MiB/s": 11}, Faults: []string{"a \"quoted\"\nerror"}},
		{Scenario: "login", Server: "x"},
	}
	var file bytes.Buffer
	if err := WriteLines(&file, written...); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(file.String(), "\n"); lines != len(written) {
		t.Errorf("%d results take %d lines", len(written), lines)
	}
	read, err := ReadLines(&file)
	if err != nil || !reflect.DeepEqual(read, written) {
		t.Errorf("read %+v, %v", read, err)
	}
	if _, err := ReadLines(strings.NewReader("{} {")); err == nil {
		t.Error("half a result is read")
	}
}

func TestATableShowsFiguresAndErrors(t *testing.T) {
	var out strings.Builder
	err := WriteTable(&out, scenario.Result{Scenario: "retr", Operations: 12345, Rate: 1234.5,
		Figures: map[string]float64{"MiB/s": 807.4}, Faults: []string{"damaged"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"12345", "1,234", "retr: MiB/s 807", "retr: error: damaged"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.1234: "0.123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234.4: "1,234", 1234567: "1,234,567",
		-1234: "-1,234", -123: "-123", -0.5: "-0.500",
	} {
		if got := Number(v); got != want {
			t.Errorf("%v is written %q, not %q", v, got, want)
		}
	}
}

func TestTheMedianIsInTheMiddle(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{9, 1, 5, 6}, 5.5}} {
		if got := Median(c.values); got != c.want {
			t.Errorf("the median of %v is %v", c.values, got)
		}
	}
}

func sample() *Comparison {
	c := &Comparison{Name: "test", Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Command: "compare", Machine: "2 processors", Rounds: 2,
		Servers: []ServerInfo{{Name: "dovecot", Version: "2.3"}, {Name: "postfix", Missing: "not installed"}, {Name: "restante", Version: "0"}}}
	add := func(scenario, figure string, b Better, server string, values ...float64) {
		for round, v := range values {
			c.Measurements = append(c.Measurements, Measurement{Scenario: scenario, Figure: figure, Better: b, Server: server, Round: round + 1, Value: v})
		}
	}
	add("RETR", "MiB/s", More, "loopback", 400)
	add("deliver", "messages/s", More, "dovecot", 100, 300)
	add("deliver", "messages/s", More, "restante", 1000, 1400)
	add("deliver", "CPU ms", Less, "restante", 0.5)
	add("deliver", "CPU ms", Less, "dovecot", 1.5)
	add("deliver", "others", Neither, "dovecot", 0.25)
	add("RETR", "MiB/s", More, "restante", 200)
	return c
}

func TestTheTableComparesEachPeerWithOurs(t *testing.T) {
	var out strings.Builder
	if err := sample().Markdown(&out); err != nil {
		t.Fatal(err)
	}
	want := `# test, 2026-01-02

` + "`compare`" + `

2 processors; 2 rounds in turn over the servers: min / **median** / max, and (n ×) for how many times better ours is.

- dovecot: 2.3
- postfix: not installed
- restante: 0

| scenario | figure | restante | dovecot | loopback |
| --- | --- | --- | --- | --- |
| RETR | MiB/s | **200** | – | **400** (0.500 ×) |
| deliver | messages/s | 1,000 / **1,200** / 1,400 | 100 / **200** / 300 (6.00 ×) | – |
|  | CPU ms | **0.500** | **1.50** (3.00 ×) | – |
|  | others | – | **0.250** | – |
`
	if out.String() != want {
		t.Errorf("the table is\n%s\nnot\n%s", out.String(), want)
	}
}

func TestATerminalShowsTheSameTable(t *testing.T) {
	var out strings.Builder
	if err := sample().Text(&out); err != nil {
		t.Fatal(err)
	}
	want := `scenario  figure      restante               dovecot                   loopback
RETR      MiB/s       200                    –                         400 (0.500 ×)
deliver   messages/s  1,000 / 1,200 / 1,400  100 / 200 / 300 (6.00 ×)  –
          CPU ms      0.500                  1.50 (3.00 ×)             –
          others      –                      0.250                     –
`
	if out.String() != want {
		t.Errorf("the table is\n%s\nnot\n%s", out.String(), want)
	}
}

func TestASavedComparisonIsReadAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	saved := sample()
	saved.Failures, saved.Notes = []string{"one\nfailed"}, []string{"all was well"}
	path, err := saved.Save(dir)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(path) != "2026-01-02-test.json" {
		t.Errorf("saved as %s", path)
	}
	read, err := Load(path)
	if err != nil || !reflect.DeepEqual(read, saved) {
		t.Errorf("read %+v, %v", read, err)
	}
	table, err := os.ReadFile(strings.TrimSuffix(path, ".json") + ".md")
	if err != nil || !strings.HasSuffix(string(table), "\nNotes:\n\n- all was well\n\nFailed:\n\n- one failed\n") {
		t.Errorf("the table beside it is %q, %v", table, err)
	}
	if err := os.WriteFile(path, []byte(`{"format":99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Error("a later format is read")
	}
}

func TestFiguresAreFoundAgain(t *testing.T) {
	c := sample()
	if got := c.Scenarios(); !slices.Equal(got, []string{"RETR", "deliver"}) {
		t.Errorf("scenarios %q", got)
	}
	if v, ok := c.Median("deliver", "messages/s", "dovecot"); !ok || v != 200 {
		t.Errorf("the median is %v, %v", v, ok)
	}
	if v, ok := c.Median("deliver", "messages/s", "postfix"); ok {
		t.Errorf("what was not measured is %v", v)
	}
}
