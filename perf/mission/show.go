package mission

import (
	"errors"
	"fmt"
	"io"
	"os"

	"restante/perf/report"
)

// Show writes records side by side as a table for a terminal, adds them to a file of lines
// of JSON, and writes the table to a file in Markdown; an empty name is no file. It fails if
// anything was wrong with one, see Wrong.
func Show(w io.Writer, name, json, markdown string, records []Record) error {
	table := Compare(name, records...)
	err := errors.Join(table.Text(w), report.Append(json, records...))
	if markdown != "" {
		f, e := os.Create(markdown)
		if e != nil {
			return errors.Join(err, e)
		}
		err = errors.Join(err, table.Markdown(f), f.Close())
	}
	return errors.Join(err, Wrong(records))
}

// Wrong is what was wrong with each of the records.
func Wrong(records []Record) error {
	var errs []error
	for _, r := range records {
		if r.Failed != "" {
			errs = append(errs, fmt.Errorf("%s: %s", r.Server, r.Failed))
		}
	}
	return errors.Join(errs...)
}
