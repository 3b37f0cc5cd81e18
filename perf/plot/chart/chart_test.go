package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the charts of testdata anew; look at them before they are committed")

// delays has what charts of it usually have: lines that are close together, one with
// rounds that did not agree.
func delays() Chart {
	return Chart{
		Title: "Link delay does not show in what a client waits for",
		X:     Axis{Name: "delay of the link, one way", Unit: "ms"},
		Y:     Axis{Name: "p50", Unit: "ms"},
		Series: []Series{
			{"delivery", []Point{{0, 9.1, 8.8, 9.9}, {1, 9.2, 8.9, 9.6}, {10, 9.3, 9, 11.2}, {50, 9.4, 9, 9.8}}},
			{"login", []Point{{0, 2.1, 2, 2.2}, {1, 2.2, 2.1, 2.4}, {10, 2.1, 2, 2.3}, {50, 2.2, 2.1, 2.2}}},
			{"RETR of 4 KiB", []Point{{0, 1.6, 1.5, 1.6}, {1, 1.6, 1.6, 1.7}, {10, 1.6, 1.5, 1.7}, {50, 1.7, 1.6, 1.7}}},
			{"QUIT", []Point{{0, 4.1, 4, 4.4}, {1, 4, 3.9, 4.5}, {10, 4.2, 4, 4.3}, {50, 4.3, 4.1, 5.5}}},
		},
	}
}

// lengths is logarithmic both ways.
func lengths() Chart {
	return Chart{
		Title: "What one mail costs is a constant and its octets",
		X:     Axis{Name: "size", Unit: "KiB", Log: true},
		Y:     Axis{Name: "CPU of the server", Unit: "ms", Log: true},
		Series: []Series{
			{"SMTP & POP3 <together>", []Point{{1, .31, .3, .33}, {4, .34, .33, .4}, {64, .8, .7, .9}, {1024, 9, 8, 12}, {25600, 201, 190, 233}}},
			{"RETR", []Point{{1, .05, .05, .05}, {4, .06, .05, .07}, {64, .1, .1, .11}, {1024, .9, .8, 1.1}, {25600, 21, 19, 25}}},
		},
	}
}

func drawn(t *testing.T, c Chart) []byte {
	t.Helper()
	c.Finding = c.Change()
	var out bytes.Buffer
	if err := c.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestChartsLookAsTheyDid(t *testing.T) {
	for name, c := range map[string]Chart{"delays": delays(), "lengths": lengths()} {
		file := filepath.Join("testdata", name+".svg")
		got := drawn(t, c)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is drawn differently; look at it with -update", name)
		}
	}
}

func TestAChartIsWellFormedWhateverItsTextsAre(t *testing.T) {
	c := lengths()
	c.Title = `"a" < b & 'c' > ]]> </svg>`
	c.Series[1].Name = c.Title
	c.X.Name, c.Y.Name = c.Title, c.Title
	saw := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(drawn(t, c))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			saw[e.Name.Local]++
		}
	}
	if saw["svg"] != 1 || saw["desc"] != 1 || saw["title"] != 1+5+5 {
		t.Errorf("the elements are %v", saw)
	}
}

func TestWhatCannotBeDrawnIsRefused(t *testing.T) {
	for name, break_ := range map[string]func(c *Chart){
		"no series":                   func(c *Chart) { c.Series = nil },
		"too many series":             func(c *Chart) { c.Series = make([]Series, 7) },
		"no point":                    func(c *Chart) { c.Series[0].Points = nil },
		"zero on a logarithmic axis":  func(c *Chart) { c.Series[0].Points[0].X = 0 },
		"an error bar down to zero":   func(c *Chart) { c.Series[0].Points[0].Min = 0 },
		"a median outside its rounds": func(c *Chart) { c.Series[0].Points[0].Max = .1 },
		"a number without an end":     func(c *Chart) { c.Series[0].Points[0].X = math.Inf(1) },
		"next to nothing":             func(c *Chart) { c.Series[0].Points[0].X = 5e-324 },
		"no number":                   func(c *Chart) { c.Series[0].Points[0].Y = math.NaN() },
	} {
		c := lengths()
		break_(&c)
		var out bytes.Buffer
		if err := c.Write(&out); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %d octets are written", name, err, out.Len())
		}
	}
}

func TestAReaderWhoSeesNothingIsTold(t *testing.T) {
	text := string(drawn(t, delays()))
	for _, want := range []string{
		`role="img" aria-labelledby="title desc"`,
		`<title id="title">Link delay does not show`,
		"QUIT: 4.1 at 0 ms, 4 at 1 ms, 4.2 at 10 ms, 4.3 at 50 ms.",
		"<title>QUIT, 50 ms: 4.3 ms (4.1 to 5.5)</title>",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}
