// Embedded measures what mail costs on one server with the embedded store, which it
// starts: by the size of a mail, by its recipients, by the messages that a maildrop has,
// and by those that it has had.
//
//	go run ./perf/sweep/embedded --out sweep.json
//	go run ./perf/plot sweep.json --x size --y 'Restante CPU' --out size.svg
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/sweep"
)

type cli struct {
	Sizes      []float64 `default:"1,4,16,64,256,1024,4096,16384,25600" help:"Sizes of a mail, KiB."`
	Recipients []int     `default:"1,2,5,10,20,50,100" help:"Recipients of a mail of 4 KiB."`
	Messages   []int     `default:"10,100,1000,10000,100000" help:"Messages in a maildrop."`
	Ever       []int     `default:"10,1000,100000" help:"Messages that a maildrop has had, all removed."`

	Rounds  int     `default:"3" help:"How often each is measured."`
	Seconds float64 `default:"3" help:"Length of each load."`
	Out     string  `default:"perf/results/sweep.json" help:"File that points are appended to." type:"path" placeholder:"FILE"`
	Binary  string  `help:"A built restante, instead of building it." type:"existingfile"`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("embedded"), kong.Description("Measures what mail costs on the embedded store."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.FatalIfErrorf(c.run(ctx))
}

const users = 200

func (c *cli) run(ctx context.Context) (err error) {
	if err := os.MkdirAll(filepath.Dir(c.Out), 0o755); err != nil {
		return err
	}
	dir, err := peer.TempDir("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if c.Binary == "" {
		if c.Binary, err = peer.Build(ctx, dir); err != nil {
			return err
		}
	}
	kind, err := peer.Find(report.Ours)
	if err != nil {
		return err
	}
	server, err := kind.Start(ctx, peer.Settings{Dir: filepath.Join(dir, "server"), Users: users, Binary: c.Binary})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return c.play(ctx, &sweep.Stage{
		SMTP: server.SMTP, POP3: server.POP3, Restante: server.PIDs(),
		Pattern: peer.Pattern, Password: peer.Password, Users: users, Sender: peer.Sender,
		Rounds: c.Rounds, Seconds: c.Seconds,
		Mark: report.Point{
			Date: time.Now().Format(time.DateOnly), Version: server.Version + ", embedded store", Machine: report.Machine(),
			Command: report.Command(),
		},
		Say: func(format string, args ...any) {
			_, _ = fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
		},
	})
}

// play writes what each sweep has come to when it is over. One that failed has no
// points: a line that ends early would look complete.
func (c *cli) play(ctx context.Context, s *sweep.Stage) error {
	for _, run := range []func() ([]report.Point, error){
		func() ([]report.Point, error) { return s.Sizes(ctx, c.Sizes...) },
		func() ([]report.Point, error) { return s.Recipients(ctx, c.Recipients...) },
		func() ([]report.Point, error) { return s.Maildrops(ctx, c.Messages...) },
		func() ([]report.Point, error) { return s.Ever(ctx, c.Ever...) },
	} {
		points, err := run()
		if err != nil {
			return err
		}
		if err := errors.Join(report.Append(c.Out, points...), sweep.Table(os.Stdout, points)); err != nil {
			return err
		}
	}
	return nil
}
