// Compare measures Restante and its peers side by side, on one machine, in one
// run: it builds and starts every server itself, takes them in turn through the
// same scenarios for several rounds, and writes a table with their ratios.
//
//	go run ./perf/compare --rounds 5 --name first
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/peer"
	"restante/perf/report"
)

type cli struct {
	Rounds  int            `default:"3" help:"How often every server has its turn at every scenario."`
	Seconds float64        `default:"5" help:"Length of each scenario that has no number of its own."`
	Servers []string       `default:"restante,dovecot-maildir,dovecot-sdbox,postfix" help:"Servers to measure."`
	Only    *regexp.Regexp `help:"Run only scenarios whose name matches." placeholder:"REGEXP"`
	List    bool           `help:"Print the names of the scenarios."`

	Large    int `default:"10000" help:"Messages of the large maildrop."`
	Churn    int `default:"100000" help:"Messages delivered and deleted before a login; restante only."`
	Messages int `default:"100000" help:"Messages in the store for the start-up time; restante only."`
	Sessions int `default:"500" help:"Sessions that retrieve 25 MiB at once."`

	BareStore *regexp.Regexp `help:"Run these benchmarks of the embedded store and put them into the table." placeholder:"REGEXP"`

	Name   string `default:"compare" help:"Name of the result."`
	Out    string `default:"perf/results" help:"Directory of results." type:"path"`
	Temp   string `help:"Directory for the servers' data (default: the system's)." type:"path"`
	Binary string `help:"A built restante, instead of building it." type:"existingfile"`
	Keep   bool   `help:"Keep the servers' directories."`
	Show   string `help:"Only print the table of a saved result." type:"existingfile" placeholder:"FILE"`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("compare"), kong.Description("Measures mail servers side by side."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.FatalIfErrorf(c.run(ctx, os.Stdout, os.Stderr))
}

func (c *cli) run(ctx context.Context, out, progress io.Writer) (err error) {
	if c.Show != "" {
		saved, err := report.Load(c.Show)
		if err != nil {
			return err
		}
		return saved.Markdown(out)
	}
	if c.List {
		for _, s := range plan(c) {
			if _, err := fmt.Fprintln(out, s.name); err != nil {
				return err
			}
		}
		return nil
	}
	b, err := newBench(ctx, c, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	b.play(ctx, b.steps())
	if c.BareStore != nil && ctx.Err() == nil {
		if err := b.bareStore(ctx); err != nil {
			b.result.Failures = append(b.result.Failures, err.Error())
		}
	}
	path, err := b.result.Save(c.Out)
	if err != nil {
		return err
	}
	b.say("written to %s", path)
	if err := b.result.Markdown(out); err != nil {
		return err
	}
	if n := len(b.result.Failures); n > 0 {
		return fmt.Errorf("%d scenarios failed", n)
	}
	return ctx.Err()
}

// A bench is a run of the comparison.
type bench struct {
	*cli
	progress   io.Writer
	dir        string
	binary     string
	contenders []*contender
	result     report.Comparison
}

// A contender is a server that takes part.
type contender struct {
	kind     peer.Kind
	settings peer.Settings
	server   *peer.Server // that runs through all rounds

	read, large bool // what several steps need was prepared
	filled      bool // the store for the start-up time was
}

func newBench(ctx context.Context, c *cli, progress io.Writer) (*bench, error) {
	b := &bench{cli: c, progress: progress}
	b.result = report.Comparison{
		Name: c.Name, Date: time.Now(), Machine: report.Machine(), Rounds: c.Rounds,
		Command: report.Command(),
	}
	var err error
	if b.dir, err = peer.TempDir(c.Temp); err != nil {
		return nil, err
	}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// start builds and starts every server that is installed.
func (b *bench) start(ctx context.Context) error {
	for _, name := range b.Servers {
		kind, err := peer.Find(name)
		if err != nil {
			return err
		}
		if name == report.Ours {
			if b.binary = b.Binary; b.binary == "" {
				b.say("building restante")
				if b.binary, err = peer.Build(ctx, b.dir); err != nil {
					return err
				}
			}
		}
		c := &contender{kind: kind, settings: b.settings(name)}
		c.server, err = kind.Start(ctx, c.settings)
		if errors.Is(err, peer.ErrNotInstalled) {
			b.say("%s is not installed", name)
			b.result.Servers = append(b.result.Servers, report.ServerInfo{Name: name, Missing: peer.ErrNotInstalled.Error()})
			continue
		}
		if err != nil {
			return err
		}
		b.contenders = append(b.contenders, c)
		b.result.Servers = append(b.result.Servers, report.ServerInfo{Name: name, Version: c.server.Version})
		b.say("%s %s runs", name, c.server.Version)
	}
	return nil
}

// settings are for a server in a directory of that name.
func (b *bench) settings(name string) peer.Settings {
	return peer.Settings{Dir: filepath.Join(b.dir, name), Users: users, Binary: b.binary}
}

func (b *bench) close() error {
	var errs []error
	for _, c := range b.contenders {
		if c.server != nil {
			errs = append(errs, c.server.Stop())
		}
	}
	if b.Keep {
		b.say("kept %s", b.dir)
	} else {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

// say tells how far the run is; a progress that cannot be written is not missed.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
