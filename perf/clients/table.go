package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A check is a column of the table.
type check string

// What a client has to show.
const (
	octets   check = "octets"   // it stored what the server keeps, which is what was sent
	kept     check = "kept"     // left on the server, and not fetched twice
	deleted  check = "deleted"  // fetched in full, and gone from the server
	distrust check = "distrust" // no talk with a server that has another certificate
	shown    check = "shown"    // on the screen
	found    check = "found"    // set up from address and password alone
)

// What a temporary mailbox has to show.
const (
	lived check = "lived" // there until its end
	ended check = "ended" // gone from then on
)

var checks = []check{octets, kept, deleted, distrust, shown, found, lived, ended}

// A table collects results and prints them. It tells each result at once, with the
// time since it began.
type table struct {
	out   io.Writer
	began time.Time
	rows  []*row
	notes []string
	bad   bool
}

type row struct {
	client, way string
	cells       map[check]string
}

func (t *table) row(client, way string) *row {
	for _, r := range t.rows {
		if r.client == client && r.way == way {
			return r
		}
	}
	r := &row{client, way, map[check]string{}}
	t.rows = append(t.rows, r)
	return r
}

// add puts down the result of a check; nil means that it passed.
func (t *table) add(client, way string, c check, err error) {
	cell := "ok"
	if err != nil {
		cell, t.bad = "FAIL", true
		t.note(fmt.Sprintf("%s, %s, %s: %s", client, way, c, err))
	}
	if cells := t.row(client, way).cells; cells[c] != "FAIL" { // a failure stays
		cells[c] = cell
	}
	fmt.Fprintf(t.out, "%4.0f s  %s, %s, %s: %s\n", time.Since(t.began).Seconds(), client, way, c, cell)
}

// skip puts down that a client cannot do something, which is no failure.
func (t *table) skip(client, way, why string) {
	t.row(client, way)
	t.note(fmt.Sprintf("%s, %s: %s", client, way, why))
}

func (t *table) note(text string) { t.notes = append(t.notes, text) }

// failed reports whether any check has failed.
func (t *table) failed() bool { return t.bad }

// print writes the whole table, and below it the notes.
func (t *table) print() {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "\nclient\tway")
	for _, c := range checks {
		fmt.Fprintf(w, "\t%s", c)
	}
	fmt.Fprintln(w)
	for _, r := range t.rows {
		fmt.Fprintf(w, "%s\t%s", r.client, r.way)
		for _, c := range checks {
			cell := r.cells[c]
			if cell == "" {
				cell = "-"
			}
			fmt.Fprintf(w, "\t%s", cell)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // into a strings.Builder
	fmt.Fprint(t.out, b.String())
	for _, n := range t.notes {
		fmt.Fprintf(t.out, "\n%s\n", n)
	}
}
