package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// format is the version of a comparison's JSON.
const format = 1

// Ours is the server whose ratio to each other one is told.
const Ours = "restante"

// Better says which way a figure is good.
type Better string

// More and Less are for figures to compare, Neither for those that only explain.
const (
	More    Better = "more"
	Less    Better = "less"
	Neither Better = ""
)

// A Measurement is one figure of one server in one round.
type Measurement struct {
	Scenario string  `json:"scenario"`
	Figure   string  `json:"figure"` // with its unit
	Better   Better  `json:"better,omitempty"`
	Server   string  `json:"server"`
	Round    int     `json:"round"`
	Value    float64 `json:"value"`
}

// A ServerInfo says what was measured.
type ServerInfo struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Missing string `json:"missing,omitempty"` // why it was not measured
}

// A Comparison is a run of several servers side by side.
type Comparison struct {
	Format       int           `json:"format"`
	Name         string        `json:"name"`
	Date         time.Time     `json:"date"`
	Command      string        `json:"command"`
	Machine      string        `json:"machine"`
	Rounds       int           `json:"rounds"`
	Servers      []ServerInfo  `json:"servers"`
	Measurements []Measurement `json:"measurements"`
	Notes        []string      `json:"notes,omitempty"` // to be read below the table
	Failures     []string      `json:"failures,omitempty"`
}

// Save writes the comparison as DIR/DATE-NAME.json and its table as .md beside
// it, and tells the first name.
func (c *Comparison) Save(dir string) (string, error) {
	c.Format = format
	raw, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	base := filepath.Join(dir, c.Date.Format(time.DateOnly)+"-"+c.Name)
	if err := os.WriteFile(base+".json", append(raw, '\n'), 0o644); err != nil {
		return "", err
	}
	var table strings.Builder
	if err := c.Markdown(&table); err != nil {
		return "", err
	}
	return base + ".json", os.WriteFile(base+".md", []byte(table.String()), 0o644)
}

// Load reads what Save wrote.
func Load(path string) (*Comparison, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var c Comparison
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("report: %s: %w", path, err)
	}
	if c.Format != format {
		return nil, fmt.Errorf("report: %s has format %d, this tool reads %d", path, c.Format, format)
	}
	return &c, nil
}

// Markdown writes the comparison as a table: a line for each figure, a column
// for each server with "min / **median** / max" over the rounds and, behind a
// peer's, how many times better the median of ours is.
func (c *Comparison) Markdown(w io.Writer) error {
	p := printer{w: w}
	p.line("# %s, %s\n", c.Name, c.Date.Format(time.DateOnly))
	p.line("`%s`\n\n%s; %d rounds in turn over the servers: min / **median** / max, and (n ×) for how many times better ours is.\n", c.Command, c.Machine, c.Rounds)
	for _, s := range c.Servers {
		if s.Missing != "" {
			p.line("- %s: %s", s.Name, s.Missing)
		} else {
			p.line("- %s: %s", s.Name, s.Version)
		}
	}
	columns := c.columns()
	p.line("\n| scenario | figure | %s |\n| --- | --- |%s", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	c.cells(columns, func(scenario, figure string, cells []string) {
		p.line("| %s | %s | %s |", scenario, figure, strings.Join(cells, " | "))
	})
	p.list("Notes", c.Notes)
	p.list("Failed", c.Failures)
	return p.err
}

// cells calls line for each line of the table. A scenario that repeats is empty.
func (c *Comparison) cells(columns []string, line func(scenario, figure string, cells []string)) {
	for _, row := range c.rows() {
		cells := make([]string, len(columns))
		for k, server := range columns {
			cells[k] = cell(row, server)
		}
		scenario := row.scenario
		if row.repeats {
			scenario = ""
		}
		line(scenario, row.figure, cells)
	}
}

// Text writes the same table for a person at a terminal.
func (c *Comparison) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := printer{w: t}
	columns := c.columns()
	p.line("scenario\tfigure\t%s", strings.Join(columns, "\t"))
	c.cells(columns, func(scenario, figure string, cells []string) {
		p.line("%s\t%s\t%s", scenario, figure, strings.ReplaceAll(strings.Join(cells, "\t"), "**", ""))
	})
	if p.err == nil {
		p.err = t.Flush()
	}
	p.w = w
	p.list("Notes", c.Notes)
	p.list("Failed", c.Failures)
	return p.err
}

func (p *printer) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	p.line("\n%s:\n", title)
	for _, item := range items {
		p.line("- %s", strings.ReplaceAll(item, "\n", " "))
	}
}

// Scenarios are the names of all scenarios, in the order of the table.
func (c *Comparison) Scenarios() []string {
	var names []string
	for _, r := range c.rows() {
		if !r.repeats {
			names = append(names, r.scenario)
		}
	}
	return names
}

// Median is a figure of a server over the rounds, if it was measured.
func (c *Comparison) Median(scenario, figure, server string) (float64, bool) {
	var values []float64
	for _, m := range c.Measurements {
		if m.Scenario == scenario && m.Figure == figure && m.Server == server {
			values = append(values, m.Value)
		}
	}
	return Median(values), len(values) > 0
}

// columns are the servers that were measured, ours first.
func (c *Comparison) columns() []string {
	var names []string
	for _, m := range c.Measurements {
		if !slices.Contains(names, m.Server) {
			names = append(names, m.Server)
		}
	}
	rank := func(name string) int {
		at := slices.IndexFunc(c.Servers, func(s ServerInfo) bool { return s.Name == name })
		switch {
		case name == Ours:
			return -1
		case at < 0:
			return len(c.Servers) // no server, but something to compare with
		}
		return at
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names
}

// A row is one figure of one scenario.
type row struct {
	scenario, figure string
	better           Better
	repeats          bool // the row above has the same scenario
	values           map[string][]float64
}

// rows are in the order in which scenarios and their figures were first seen.
func (c *Comparison) rows() []*row {
	var scenarios []string
	rows := map[string][]*row{}
	for _, m := range c.Measurements {
		if !slices.Contains(scenarios, m.Scenario) {
			scenarios = append(scenarios, m.Scenario)
		}
		of := rows[m.Scenario]
		at := slices.IndexFunc(of, func(r *row) bool { return r.figure == m.Figure })
		if at < 0 {
			at = len(of)
			of = append(of, &row{scenario: m.Scenario, figure: m.Figure, better: m.Better, repeats: at > 0, values: map[string][]float64{}})
			rows[m.Scenario] = of
		}
		of[at].values[m.Server] = append(of[at].values[m.Server], m.Value)
	}
	var all []*row
	for _, s := range scenarios {
		all = append(all, rows[s]...)
	}
	return all
}

func cell(r *row, server string) string {
	values := r.values[server]
	if len(values) == 0 {
		return "–"
	}
	text := fmt.Sprintf("%s / **%s** / %s", Number(slices.Min(values)), Number(Median(values)), Number(slices.Max(values)))
	if len(values) == 1 {
		text = "**" + Number(values[0]) + "**"
	}
	if ours := r.values[Ours]; len(ours) > 0 && server != Ours {
		if ratio, ok := Ratio(r.better, Median(ours), Median(values)); ok {
			text += fmt.Sprintf(" (%s ×)", Number(ratio))
		}
	}
	return text
}

// Ratio is how many times better ours is than theirs.
func Ratio(better Better, ours, theirs float64) (float64, bool) {
	switch {
	case better == More && theirs > 0:
		return ours / theirs, true
	case better == Less && ours > 0:
		return theirs / ours, true
	}
	return 0, false
}

// Median is the value in the middle, or between the two in the middle; zero of
// nothing.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
