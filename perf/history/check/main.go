// Check judges a history of faults again.
//
//	go run ./perf/history/check FILE
package main

import (
	"encoding/json"
	"os"
	"runtime/debug"

	"github.com/alecthomas/kong"

	"restante/perf/history"
)

type cli struct {
	history.Rules `embed:""`

	JSON string `name:"json" help:"Write the verdict to FILE too, as JSON." placeholder:"FILE"`
	File string `arg:"" help:"A history, compressed if its name ends with .gz." type:"existingfile"`
}

// memory is what a history of half a million mails fits in; a larger one takes more.
const memory = 800 << 20

func main() {
	debug.SetMemoryLimit(memory)
	var c cli
	k := kong.Parse(&c, kong.Name("check"), kong.Description("Judges a history of faults again."))
	k.FatalIfErrorf(c.run())
}

func (c *cli) run() error {
	v, err := history.CheckFile(c.File, c.Rules, os.Stdout)
	if v == nil || c.JSON == "" {
		return err
	}
	raw, e := json.MarshalIndent(v, "", " ")
	if e == nil {
		e = os.WriteFile(c.JSON, append(raw, '\n'), 0o644)
	}
	if e != nil {
		return e
	}
	return err
}
