// Kill9 kills a mail server under load, again and again on the same data, and
// holds it to what it told its clients: a message that was acknowledged is there
// byte for byte until its removal is, a message whose removal was acknowledged
// never comes back, and unique-ids stay what they were.
//
//	go run ./perf/kill9
//	go run ./perf/kill9 --rounds 10 --server dovecot-sdbox
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/peer"
)

type cli struct {
	settings `embed:""`

	Server string `default:"restante" help:"Server to kill: restante, dovecot-maildir or dovecot-sdbox."`
	Binary string `help:"A built restante, instead of building it." type:"existingfile"`
	Temp   string `help:"Directory for the server's data (default: the system's)." type:"path"`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("kill9"), kong.Description("Kills a mail server under load and looks for what it lost."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.FatalIfErrorf(c.run(ctx, os.Stdout))
}

// run leaves the server's directory only if the trial has failed.
func (c *cli) run(ctx context.Context, out io.Writer) error {
	kind, err := peer.Find(c.Server)
	if err != nil {
		return err
	}
	dir, err := peer.TempDir(c.Temp)
	if err != nil {
		return err
	}
	binary := c.Binary
	if binary == "" && c.Server == "restante" {
		if binary, err = peer.Build(ctx, dir); err != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
	}
	t := newTrial(c.settings, kind, peer.Settings{Dir: filepath.Join(dir, "server"), Binary: binary}, out)
	began := time.Now()
	err = t.run(ctx)
	s := t.ledger.stats
	t.say("%s, %v: %d deliveries acknowledged, %d unanswered, %d refused; %d removals acknowledged; %d messages verified; %d copies; %d faults (seed %d)",
		c.Server, time.Since(began).Round(time.Second), s.Kept, s.Unknown, s.Refused, s.Removed, s.Verified, s.Twice, len(t.ledger.faults), t.seed)
	if err == nil || errors.Is(err, context.Canceled) {
		return errors.Join(err, os.RemoveAll(dir))
	}
	for _, f := range t.ledger.faults {
		t.say("fault: %s", f)
	}
	return fmt.Errorf("%w (everything is kept in %s)", errors.Join(err, t.keep(err)), dir)
}
