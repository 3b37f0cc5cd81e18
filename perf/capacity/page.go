package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"restante/perf/report"
	"restante/perf/sweep"
)

// A page is what is printed; it keeps the first error.
type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *page) write(c *cli, m model, points []report.Point, t *tested) {
	p.line("# Capacity\n")
	p.line("What one mail and one login cost, measured, and what a number of mailboxes needs for that,\nunder assumptions that you should replace by yours. This page is printed by\n\n    %s\n", command(os.Args[1:]))
	p.measured(points)
	p.fits(m, len(c.Check) > 0)
	p.mail(c.assumptions, m)
	p.logins(c.assumptions, m)
	p.sizing(c.assumptions, m)
	p.doubts(append(c.doubts(m), leftOut(c.assumptions, t)...))
}

// measured says where the points come from.
func (p *page) measured(points []report.Point) {
	var sources []string
	for _, one := range points {
		source := strings.Trim(strings.Join([]string{one.Date, one.Version, one.Machine}, "; "), "; ")
		if one.Command != "" {
			source += ": `" + one.Command + "`"
		}
		if source != "" && !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	p.line("## What was measured\n")
	p.line("%d points.\n", len(points))
	for _, s := range sources {
		p.line("- %s", strings.TrimPrefix(s, ": "))
	}
	if len(sources) > 0 {
		p.line("")
	}
}

// fits has a line for each law.
func (p *page) fits(m model, checked bool) {
	how := "each point between others, predicted by a fit to all but itself"
	if checked {
		how = "points that were measured for that alone"
	}
	p.line("## What it costs\n")
	p.line("The sums that are closest to the points, by relative error, with no part below zero. A point\nis the least of its rounds: what else goes on only adds to the cost. *Held out* is the one\nthat was met worst of %s.\nA sum that misses it by more than %.0f %% is bad: what is sized with it may be wrong by as much.\n", how, 100*trusted)
	p.line("| cost | sum | points | furthest of them | held out | |\n| --- | --- | --- | --- | --- | --- |")
	for _, f := range m {
		verdict := "good"
		if !f.good() {
			verdict = "**bad**"
		}
		p.line("| %s | %s | %d | %s | %s | %s |", f.name(), f.sum(), f.points, f.worst, f.furthest(), verdict)
	}
	p.line("")
}

// sum is the law with its coefficients; one that is a constant has its spread.
func (f fitted) sum() string {
	var parts []string
	for i, t := range f.terms {
		parts = append(parts, strings.TrimSpace(amount(f.coefficients[i], f.unit)+" "+t.each))
	}
	sum := strings.Join(parts, " + ")
	if len(f.terms) == 1 {
		sum += fmt.Sprintf(" (%s to %s)", report.Short(f.least), report.Short(f.most))
	}
	return sum
}

func (c checked) String() string {
	switch {
	case math.IsInf(c.deviation, 0):
		return "nothing checks it"
	case c.name == "":
		return "–" // all are met
	}
	return fmt.Sprintf("%+.0f %% (%s)", 100*c.deviation, c.name)
}

// amount is a cost with its unit; a small time is in a smaller one.
func amount(v float64, unit string) string {
	if unit == "ms" && v < 0.1 {
		v, unit = 1000*v, "µs"
	}
	return report.Short(v) + " " + unit
}

// mail says what a core and a disk do for a mail of the assumed size.
func (p *page) mail(a assumptions, m model) {
	at := a.conditions(sweep.Delivery)
	p.line("For a mail of %s KiB that is:\n", report.Short(a.Size))
	if f, ok := m.find(sweep.Delivery, sweep.CassandraCPU); ok && len(f.counted) > 0 {
		p.line("- %s statements, %s of them for its address", report.Short(f.statements(at)), report.Short(a.Asked))
	}
	for _, of := range []struct{ metric, name string }{{sweep.RestanteCPU, "Restante"}, {sweep.CassandraCPU, fmt.Sprintf("Cassandra, on %.0f nodes with a copy", a.copies())}} {
		if ms, ok := m.cost(sweep.Delivery, of.metric, at); ok && ms > 0 {
			p.line("- %s: %s, so %s mails/s for each core", of.name, amount(ms, "ms"), report.Short(1000/ms))
		}
	}
	if octets, ok := m.cost(sweep.Delivery, sweep.Stored, at); ok {
		p.line("- %s octets on the disk of each copy, %.2f times its size", report.Short(octets/a.copies()), octets/a.copies()/(a.Size*1024))
	}
	p.line("")
}

// logins says what one costs, with and without the work on the password.
func (p *page) logins(a assumptions, m model) {
	var lines []string
	for _, of := range []struct{ metric, name string }{{sweep.RestanteCPU, "Restante"}, {sweep.CassandraCPU, "Cassandra"}} {
		if hashed, remembered := a.logins(m, of.metric); remembered > 0 && hashed != remembered {
			lines = append(lines, fmt.Sprintf("- %s: %s where the password is hashed, %s where it is remembered", of.name, amount(hashed, "ms"), amount(remembered, "ms")))
		}
	}
	if len(lines) > 0 {
		p.line("For a login to a maildrop of %s messages:\n\n%s\n", report.Short(a.conditions(sweep.Login)[sweep.Messages]), strings.Join(lines, "\n"))
	}
}

// sizing is the table for all numbers of mailboxes, with all that is assumed.
func (p *page) sizing(a assumptions, m model) {
	p.line("## What mailboxes need\n")
	p.line("Assumed, and to be replaced by what you know (`--help` has the flags):\n")
	p.line("- %s mails a day to a mailbox, each retrieved %s times and kept for %s days", report.Short(a.Mails), report.Short(a.Fetched), report.Short(a.Retention))
	p.line("- %s KiB, the mean size of a mail", report.Short(a.Size))
	p.line("- %s logins a day to a mailbox, of which %.0f %% hash the password: a server remembers one for five minutes", report.Short(a.Logins), 100*a.Hashed)
	p.line("- the busiest second has %s times the mean of the day", report.Short(a.Peak))
	p.line("- %.0f data centres with %.0f copies each; one of them is lost, and one node more", a.Datacenters, a.Replication)
	p.line("- nodes of %s cores like those that were measured, busy for at most %.0f %%", report.Short(a.Cores), 100*a.Utilization)
	p.line("- %s TiB of disk on a node of Cassandra, of which mail takes at most %.0f %%\n", report.Short(a.Disk), 100*a.Full)

	p.line("| mailboxes | mails/s, peak | logins/s, peak | Restante, busy cores | Restante, nodes in each data centre | Cassandra, busy cores | TiB of mail, all copies | Cassandra, nodes in each data centre |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, mailboxes := range slices.Sorted(slices.Values(a.Mailboxes)) {
		n := a.size(m, mailboxes)
		cells := []string{
			report.Short(n.mailboxes), report.Short(n.mails), report.Short(n.logins),
			report.Short(n.restante), report.Short(n.restanteNodes),
			report.Short(n.cassandra), report.Short(n.disk), fmt.Sprintf("%s (%s)", report.Short(n.cassandraNodes), n.because),
		}
		_, written := m.cost(sweep.Delivery, sweep.CassandraCPU, nil)
		_, kept := m.cost(sweep.Delivery, sweep.Stored, nil)
		if !written {
			cells[5] = "–"
		}
		if !kept {
			cells[6] = "–"
		}
		if !written || !kept {
			cells[7] = "–"
		}
		p.line("| %s |", strings.Join(cells, " | "))
	}
}

// doubts are what a reader has to know besides.
func (p *page) doubts(doubts []string) {
	p.line("\nTo be read with this:\n")
	for _, d := range doubts {
		p.line("- %s", d)
	}
}
