// Load puts one kind of load on a mail server that speaks SMTP, LMTP or POP3,
// verifies every message that comes back, and tells rate, latency, errors and,
// given the server's process id, its CPU per operation and memory.
//
//	go run ./perf/load deliver --to 127.0.0.1:2525 -n 32 --duration 10s --pid 4711
//	go run ./perf/load session --from 127.0.0.1:2110 -n 8 --messages 20 --count 1000
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/perf/report"
	"restante/perf/scenario"
	"restante/perf/wire"
)

func main() {
	var cli cli
	k := kong.Parse(&cli, kong.Name("load"), kong.Description("Loads a mail server and measures it."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.BindTo(os.Stdout, (*io.Writer)(nil))
	k.FatalIfErrorf(k.Run(&cli.output))
}

type cli struct {
	output `embed:""`

	Deliver deliver `cmd:"" help:"Deliver letters by SMTP or LMTP."`
	Session session `cmd:"" help:"POP3 sessions: log in, STAT, UIDL, RETR, QUIT."`
	Login   login   `cmd:"" help:"POP3 visits: log in, STAT, QUIT."`
	Retr    retr    `cmd:"" help:"Retrieve one large message again and again."`
	Walk    walk    `cmd:"" help:"Retrieve one message after the other, round and round."`
	Hold    hold    `cmd:"" help:"Many sessions that retrieve slowly at the same time."`
	Open    open    `cmd:"" help:"Many sessions that do nothing."`
	Delete  remove  `cmd:"" help:"DELE every message of a maildrop, and QUIT."`

	Mission missionTest `cmd:"" help:"The performance test of a whole service: mail at a rate, then every user counts, retrieves and removes it, and all is verified."`
	Rate    rate        `cmd:"" help:"The highest rate of mail that a service sustains."`
	Lag     lag         `cmd:"" help:"How long mail takes until it is listed, by another server if several are given."`

	Loopback loopback `cmd:"" help:"Copy octets over TCP on this machine, the bound for retr."`
}

// output says what is measured beside the load and where it is written.
type output struct {
	PID  []int  `name:"pid" help:"Measure these processes and their descendants." placeholder:"PID"`
	JSON string `name:"json" help:"Append the result to FILE as a line of JSON; - for standard output instead of the table." placeholder:"FILE"`
}

// connection has what every scenario needs to know of the other side.
type connection struct {
	Connections int           `short:"n" default:"1" help:"Connections at the same time."`
	Count       int           `help:"End after so many operations."`
	Duration    time.Duration `help:"End after so long (10s if there is no count)."`
	Rate        float64       `help:"Operations a second; latency then counts from the time an operation is due. 0: as fast as answers come."`
	First       int           `help:"Number of the first user."`
	Users       int           `default:"100" help:"How many users take turns."`
	Pattern     string        `default:"user%d@example.test" help:"Address of user number %d, or one address."`
	Timeout     time.Duration `default:"30s" help:"Bound of each single wait."`
}

func (c connection) load(addr string) scenario.Load {
	if c.Count == 0 && c.Duration == 0 {
		c.Duration = 10 * time.Second
	}
	return scenario.Load{
		Address: addr, Connections: c.Connections, Count: c.Count, Duration: c.Duration, Rate: c.Rate,
		First: c.First, Users: c.Users, Pattern: c.Pattern, Options: wire.Options{Timeout: c.Timeout},
	}
}

// mailbox is a connection that logs in by POP3.
type mailbox struct {
	connection `embed:""`

	From     string `required:"" help:"POP3 server." placeholder:"HOST:PORT"`
	Password string `default:"secret" help:"Password of every user."`
	TLS      string `name:"tls" enum:"none,implicit,stls" default:"none" help:"none, implicit or stls."`
}

func (m mailbox) load() scenario.Load {
	l := m.connection.load(m.From)
	l.Password = m.Password
	l.Options.Security = wire.Security(m.TLS)
	return l
}

type deliver struct {
	connection `embed:""`

	To         string `required:"" help:"SMTP or LMTP server." placeholder:"HOST:PORT"`
	LMTP       bool   `name:"lmtp" help:"Speak LMTP."`
	Pipeline   bool   `help:"Send each envelope in one write."`
	Size       int    `default:"4096" help:"Octets of the body."`
	Recipients int    `default:"1" help:"Recipients of each mail."`
	Sender     string `default:"sender@sender.example" help:"Reverse-path."`
}

func (d *deliver) Run(ctx context.Context, o *output, w io.Writer) error {
	return o.measure(ctx, w, "deliver", d.Connections, scenario.Deliver{
		Load: d.load(d.To), LMTP: d.LMTP, Pipelined: d.Pipeline, Size: d.Size, Recipients: d.Recipients, From: d.Sender,
	})
}

type session struct {
	mailbox `embed:""`

	Messages int  `help:"Messages to retrieve in a session, 0 for all."`
	Delete   bool `help:"Delete what was retrieved."`
}

func (s *session) Run(ctx context.Context, o *output, w io.Writer) error {
	return o.measure(ctx, w, "session", s.Connections, scenario.Session{Load: s.load(), Messages: s.Messages, Delete: s.Delete})
}

type login struct {
	mailbox `embed:""`

	Expect int `default:"-1" help:"Number of messages that STAT must tell."`
}

func (l *login) Run(ctx context.Context, o *output, w io.Writer) error {
	return o.measure(ctx, w, "login", l.Connections, scenario.Visit{Load: l.load(), Expect: l.Expect})
}

type retr struct {
	mailbox `embed:""`

	Discard bool `help:"Verify only the first, to measure the server and not the tool."`
}

func (r *retr) Run(ctx context.Context, o *output, w io.Writer) error {
	return o.measure(ctx, w, "retr", r.Connections, scenario.Retr{Load: r.load(), Discard: r.Discard})
}

type walk struct {
	mailbox `embed:""`

	Shuffle bool `help:"In any order, rather than that of the maildrop."`
}

func (k *walk) Run(ctx context.Context, o *output, w io.Writer) error {
	return o.measure(ctx, w, "walk", k.Connections, scenario.Walk{Load: k.load(), Shuffle: k.Shuffle})
}

type open struct {
	mailbox `embed:""`
}

func (p *open) Run(ctx context.Context, o *output, w io.Writer) error {
	return o.measure(ctx, w, "open", p.Connections, scenario.Open{Load: p.load(), Logins: min(8, p.Connections)})
}

type hold struct {
	mailbox `embed:""`

	Speed int `default:"65536" help:"Octets a second that each session reads."`
}

func (h *hold) Run(ctx context.Context, o *output, w io.Writer) error {
	return o.measure(ctx, w, "hold", h.Connections, scenario.Hold{Load: h.load(), Speed: h.Speed})
}

type remove struct {
	mailbox `embed:""`

	Expect int `default:"-1" help:"Number of messages that must be there."`
}

func (r *remove) Run(ctx context.Context, o *output, w io.Writer) error {
	return o.measure(ctx, w, "delete", 1, scenario.Delete{Load: r.load(), Expect: r.Expect})
}

type loopback struct {
	Size  int64 `default:"26214400" help:"Octets to copy."`
	Count int   `default:"20" help:"End after so many copies."`
}

func (l *loopback) Run(ctx context.Context, o *output, w io.Writer) error {
	return o.measure(ctx, w, "loopback", 1, scenario.Loopback{Load: scenario.Load{Count: l.Count}, Size: l.Size})
}

// measure runs a load and writes its result; a load with errors has failed.
func (o *output) measure(ctx context.Context, w io.Writer, name string, connections int, r scenario.Runner) error {
	result, err := scenario.Measure(ctx, name, r, o.PID...)
	result.Connections = connections
	if e := o.write(w, result); err == nil {
		err = e
	}
	if err == nil && result.Errors > 0 {
		err = fmt.Errorf("%d operations failed", result.Errors)
	}
	return err
}

func (o *output) write(w io.Writer, result scenario.Result) error {
	if o.JSON == "-" {
		return report.WriteLines(w, result)
	}
	if err := report.WriteTable(w, result); err != nil {
		return err
	}
	return report.Append(o.JSON, result)
}
