// Clients shows that mail programs which people use fetch their mail from
// Restante: it starts a real server, sends it real mail with swaks by every way
// in, and fetches that with curl, fetchmail, mpop, getmail and Thunderbird, in
// clear text, with STLS and under TLS from the first octet. Each must take what
// the server keeps, octet for octet, leave it there or delete it as it was told,
// and trust no certificate but the one it was given.
//
// Besides, it makes a temporary mailbox, which Thunderbird reads that was told address
// and password and nothing else, and looks how REST, POP3 and SMTP agree about its end.
// On Debian it needs
//
//	apt install swaks libnet-ssleay-perl curl fetchmail mpop getmail6 thunderbird xvfb
//
// and is run so:
//
//	go run ./perf/clients
//	go run ./perf/clients --only mpop,thunderbird --out screenshots
//	go run ./perf/clients --only temporary --ttl 5m
//	go run ./perf/clients --store cassandra
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
	"restante/perf/rig"
)

type cli struct {
	Only   []string      `help:"Only these: curl, fetchmail, mpop, getmail, thunderbird, and temporary, which is the temporary mailbox."`
	TTL    time.Duration `name:"ttl" default:"150s" help:"How long the temporary mailbox lives: Thunderbird has to be done by then."`
	Out    string        `help:"Directory for the screenshots (default: one made below the temporary directory)." type:"path"`
	Store  string        `default:"embedded" enum:"embedded,cassandra" help:"Where the server keeps its mail: embedded, or cassandra, in a cluster of its own."`
	Layout rig.Layout    `default:"1x1" help:"That cluster, data centres x nodes."`
	Flags  []string      `name:"server-flag" sep:"none" help:"Flag for the server, such as --server-flag=--log-level=debug. Repeatable." placeholder:"FLAG"`
	Binary string        `help:"A built restante, instead of building it." type:"existingfile"`
	Temp   string        `help:"Directory for everything else (default: the system's)." type:"path"`
}

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("clients"), kong.Description("Fetches real mail from a real server with real mail programs."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.FatalIfErrorf(c.run(ctx, os.Stdout))
}

// errFailed tells that the table has a failure in it.
var errFailed = errors.New("not every check passed")

// run leaves its directory behind only if something has failed.
func (c *cli) run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp(c.Temp, "restante-clients-")
	if err != nil {
		return err
	}
	shots := c.Out
	if shots == "" {
		shots, err = os.MkdirTemp(c.Temp, "restante-screenshots-")
	} else {
		err = os.MkdirAll(shots, 0o755)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	err = c.show(ctx, dir, shots, out)
	if left, _ := os.ReadDir(shots); len(left) > 0 {
		fmt.Fprintf(out, "\nscreenshots: %s\n", shots)
	} else if c.Out == "" {
		err = errors.Join(err, os.Remove(shots))
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return fmt.Errorf("%w (everything is kept in %s)", err, dir)
}

// show does everything below dir and prints how it went.
func (c *cli) show(ctx context.Context, dir, shots string, out io.Writer) (err error) {
	results := &table{out: out, began: time.Now()}
	b := &bird{shots, results}
	clients, temporary, err := choose(all(b), c.Only)
	if err != nil {
		return err
	}
	binary, flags, end, err := c.prepare(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	server, err := startServer(ctx, binary, filepath.Join(dir, "server"), flags...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()

	t := &trial{server: server, dir: dir, table: results}
	if t.strange, err = stranger(dir); err != nil {
		return err
	}
	if err := find("swaks", "swaks libnet-ssleay-perl"); err != nil {
		return err
	}
	if t.letters, err = compose(dir); err != nil {
		return err
	}
	versions(ctx, clients, temporary, dir, out)
	if len(clients) > 0 {
		if err := t.fetchAll(ctx, clients); err != nil {
			return err
		}
	}
	if temporary {
		if err := t.temporary(ctx, b, c.TTL); err != nil {
			return err
		}
	}
	t.complaints()
	results.print()
	if results.failed() {
		return errFailed
	}
	return nil
}

// prepare builds the server, and starts the cluster that it keeps its mail in, if any.
func (c *cli) prepare(ctx context.Context, dir string) (binary string, flags []string, end func() error, err error) {
	end = func() error { return nil }
	if c.Store == "cassandra" {
		b, err := rig.Build(ctx, dir, c.Binary)
		if err != nil {
			return "", nil, end, err
		}
		r, err := rig.Start(ctx, b, dir, c.Layout)
		if err != nil {
			return "", nil, end, err
		}
		s := r.Settings("server", r.Datacenters()[0], 0)
		return s.Binary, append(s.Flags, c.Flags...), r.Close, nil
	}
	if binary = c.Binary; binary == "" {
		binary, err = peer.Build(ctx, dir)
	}
	return binary, c.Flags, end, err
}
