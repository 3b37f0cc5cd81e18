package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"restante/rest"
)

type relayCommand struct {
	adminFlags `embed:""`

	Services servicesCommand `cmd:"" help:"List the services that mail leaves through, as this server sees them."`
	Drain    drainCommand    `cmd:"" help:"Let services finish what they have, and give them no more."`
	Resume   resumeCommand   `cmd:"" help:"Undo drain and maintenance."`
	Reset    resetCommand    `cmd:"" help:"Forget that an account is broken, that mail failed and that a service asked for rest."`
	Probe    probeCommand    `cmd:"" help:"Find out from this server whether services work."`
	Remove   unlistCommand   `cmd:"" help:"Take services out that have registered."`
	Enrol    enrolCommand    `cmd:"" help:"Make a token by which services may register, and print it."`
	Queue    queueCommand    `cmd:"" help:"List what this server has to send."`
	Stats    statsCommand    `cmd:"" help:"Count what this server has to send."`
	Retry    retryCommand    `cmd:"" help:"Have entries of the queue tried at once."`
	Reroute  rerouteCommand  `cmd:"" help:"Have an entry of the queue tried at once, by a service if that can take it."`
	Cancel   cancelCommand   `cmd:"" help:"Give entries of the queue up; their senders are not told."`
	Adopt    adoptCommand    `cmd:"" help:"Go on with the mail of a data centre that is dead."`

	Suppressed suppressedCommand `cmd:"" help:"List whom an account does not reach, since they were said not to exist."`
	Allow      allowCommand      `cmd:"" help:"Have mail of an account for such addresses tried again."`
}

// asJSON is how a listing is printed for programs.
type asJSON struct {
	JSON bool `name:"json" now:"" help:"One JSON object a line."`
}

type servicesCommand struct {
	asJSON `embed:""`
}

// Run prints a line for each service.
func (c *servicesCommand) Run(ctx context.Context, relay *relayCommand, std streams) error {
	client, err := relay.client()
	if err != nil {
		return err
	}
	services, err := client.Services(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, services)
	}
	table := newTable(std.out, "NAME", "KIND", "STATE", "REASON", "SHARE", "IN FLIGHT", "P50", "P99", "LAST BEAT", "NOTE")
	for _, s := range services {
		table.row(s.Document.Name, s.Document.Kind, s.State, cmp.Or(s.Reason, "-"), fmt.Sprintf("%.0f%%", 100*s.Share),
			fmt.Sprintf("%d/%d", s.Sending, s.Room), took(s.P50), took(s.P99), beaten(s.LastBeat), s.Note)
	}
	return table.end()
}

func took(ms float64) string {
	if ms == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0fms", ms)
}

func beaten(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return ago(time.Duration(*ms) * time.Millisecond)
}

// ago is a span that is read at a glance.
func ago(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < 10*time.Minute:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// serviceNames are those that a command is about.
type serviceNames struct {
	Name []string `arg:"" help:"Names of services."`
}

// steer does something to each service, and prints how it is then.
func (n serviceNames) steer(ctx context.Context, relay *relayCommand, std streams, verb string) error {
	client, err := relay.client()
	if err != nil {
		return err
	}
	return each(n.Name, func(name string) error {
		s, err := client.Steer(ctx, name, verb)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(std.out, printable(strings.TrimSpace(fmt.Sprintf("%s %s %s", s.Document.Name, s.State, s.Reason))))
		return err
	})
}

type (
	drainCommand  struct{ serviceNames }
	resumeCommand struct{ serviceNames }
	resetCommand  struct{ serviceNames }
	probeCommand  struct{ serviceNames }
	unlistCommand struct{ serviceNames }
)

// Run drains services.
func (c *drainCommand) Run(ctx context.Context, relay *relayCommand, std streams) error {
	return c.steer(ctx, relay, std, "drain")
}

// Run gives services mail again.
func (c *resumeCommand) Run(ctx context.Context, relay *relayCommand, std streams) error {
	return c.steer(ctx, relay, std, "resume")
}

// Run forgets what was wrong with services.
func (c *resetCommand) Run(ctx context.Context, relay *relayCommand, std streams) error {
	return c.steer(ctx, relay, std, "reset")
}

// Run probes services. What comes of it is seen a moment later.
func (c *probeCommand) Run(ctx context.Context, relay *relayCommand, std streams) error {
	return c.steer(ctx, relay, std, "probe")
}

// Run takes services out.
func (c *unlistCommand) Run(ctx context.Context, relay *relayCommand) error {
	client, err := relay.client()
	if err != nil {
		return err
	}
	return each(c.Name, func(name string) error { return client.RemoveService(ctx, name) })
}

type enrolCommand struct {
	Names string        `now:"" placeholder:"PATTERN" help:"Names that services may have, such as mailgun-*; all, if not given."`
	Note  string        `now:"" placeholder:"TEXT" help:"For people."`
	For   time.Duration `now:"" placeholder:"DURATION" help:"How long the token is good; for ever, if not given."`
}

// Run prints the token, which nobody can find out later.
func (c *enrolCommand) Run(ctx context.Context, relay *relayCommand, std streams) error {
	client, err := relay.client()
	if err != nil {
		return err
	}
	scope := rest.NewEnrolment{Names: c.Names, Note: c.Note}
	if c.For != 0 {
		expires := time.Now().Add(c.For)
		scope.Expires = &expires
	}
	made, err := client.Enrol(ctx, scope)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, made.Token)
	return err
}

type queueCommand struct {
	State  string `now:"" enum:",ready,sending,deferred,held" default:"" placeholder:"STATE" help:"Only these: ready, sending, deferred, or held, of which nobody knows whether the last attempt succeeded."`
	Domain string `now:"" placeholder:"DOMAIN" help:"Only to recipients there."`
	Sender string `now:"" placeholder:"DOMAIN" help:"Only from senders there."`
	Age    string `now:"" placeholder:"DURATION" help:"Only what was accepted so long ago, or longer."`
	Limit  int    `now:"" default:"100" placeholder:"N" help:"How many at most; 0: all."`
	asJSON `embed:""`
}

// flushEvery is how many rows of a long listing line up.
const flushEvery = 200

// Run prints a line for each entry.
func (c *queueCommand) Run(ctx context.Context, relay *relayCommand, std streams) error {
	client, err := relay.client()
	if err != nil {
		return err
	}
	table := newTable(std.out)
	if !c.JSON {
		table.row("ENTRY", "STATE", "RECIPIENT", "SENDER", "AGE", "NEXT", "TRIES", "SERVICE", "SAID")
	}
	n := 0
	for e, err := range client.Queue(ctx, rest.QueueFilter{State: c.State, Domain: c.Domain, Sender: c.Sender, Age: c.Age}) {
		switch {
		case err != nil:
			return errors.Join(err, table.end())
		case c.Limit > 0 && n == c.Limit:
			if err := table.end(); err != nil {
				return err
			}
			_, err := fmt.Fprintf(std.err, "there is more: --limit 0 shows all\n")
			return err
		case c.JSON:
			if err := printJSON(std.out, []rest.Entry{e}); err != nil {
				return err
			}
		default:
			table.row(fmt.Sprintf("%s/%d", e.Message, e.Number), e.State, e.Recipient, "<"+e.Sender+">", ago(time.Since(e.Accepted)), due(e.Next),
				strconv.Itoa(e.Attempts), cmp.Or(e.Service, "-"), said(e))
		}
		if n++; n%flushEvery == 0 {
			if err := table.end(); err != nil {
				return err
			}
		}
	}
	return table.end()
}

func due(next *time.Time) string {
	if next == nil {
		return "-"
	}
	return "in " + ago(max(0, time.Until(*next)))
}

// said is what the service said last.
func said(e rest.Entry) string {
	parts := []string{e.Result}
	if e.Code != 0 {
		parts = append(parts, strconv.Itoa(e.Code))
	}
	return strings.Join(append(parts, e.Enhanced, e.Text), " ")
}

type statsCommand struct {
	asJSON `embed:""`
}

// Run prints how many entries wait, by class and for what.
func (c *statsCommand) Run(ctx context.Context, relay *relayCommand, std streams) error {
	client, err := relay.client()
	if err != nil {
		return err
	}
	stats, err := client.QueueStats(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, []rest.QueueStats{stats})
	}
	table := newTable(std.out, "CLASS", "READY", "SENDING", "DEFERRED", "HELD")
	for _, s := range stats.Classes {
		table.row(s.Class, strconv.Itoa(s.Ready), strconv.Itoa(s.Sending), strconv.Itoa(s.Deferred), strconv.Itoa(s.Held))
	}
	if err := table.end(); err != nil || stats.Oldest == nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "the oldest was accepted %s ago\n", ago(time.Duration(stats.Age*float64(time.Second))))
	return err
}

// entries are those that a command is about.
type entries struct {
	Entry []string `arg:"" help:"Entries as queue prints them, MESSAGE/NUMBER."`
}

func (n entries) steer(relay *relayCommand, do func(c *rest.Client, message string, recipient int) error) error {
	client, err := relay.client()
	if err != nil {
		return err
	}
	return each(n.Entry, func(entry string) error {
		message, number, found := strings.Cut(entry, "/")
		recipient, err := strconv.Atoi(number)
		if !found || message == "" || err != nil || recipient < 0 {
			return usageError{errors.New("not an entry, MESSAGE/NUMBER")}
		}
		return do(client, message, recipient)
	})
}

type retryCommand struct{ entries }

// Run has entries tried at once.
func (c *retryCommand) Run(ctx context.Context, relay *relayCommand) error {
	return c.steer(relay, func(client *rest.Client, message string, recipient int) error {
		return client.Retry(ctx, message, recipient)
	})
}

type cancelCommand struct{ entries }

// Run gives entries up.
func (c *cancelCommand) Run(ctx context.Context, relay *relayCommand) error {
	return c.steer(relay, func(client *rest.Client, message string, recipient int) error {
		return client.Cancel(ctx, message, recipient)
	})
}

type rerouteCommand struct {
	Service string   `arg:"" help:"Name of the service."`
	Entry   []string `arg:"" help:"Entries as queue prints them, MESSAGE/NUMBER."`
}

// Run has entries tried at once, by one service.
func (c *rerouteCommand) Run(ctx context.Context, relay *relayCommand) error {
	return entries{c.Entry}.steer(relay, func(client *rest.Client, message string, recipient int) error {
		return client.Reroute(ctx, message, recipient, c.Service)
	})
}

type adoptCommand struct {
	Datacenter string `arg:"" help:"Name of the data centre."`
	Yes        bool   `now:"" help:"Do not ask: it is dead."`
}

// Run adopts, once somebody is sure.
func (c *adoptCommand) Run(ctx context.Context, relay *relayCommand, std streams) error {
	client, err := relay.client()
	if err != nil {
		return err
	}
	if !c.Yes {
		fmt.Fprintf(std.err, "Mail of %s is sent twice where its servers are at work and only out of reach.\nIf they are dead, type its name: ", printable(c.Datacenter))
		line, err := bufio.NewReader(io.LimitReader(std.in, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the answer: %w", err)
		}
		if strings.TrimSpace(line) != c.Datacenter {
			return errors.New("not adopted")
		}
	}
	lanes, err := client.Adopt(ctx, c.Datacenter)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%d lives of processes there may have left mail; what they left is in the queues of the servers here soon\n", lanes)
	return err
}

// A table prints rows in columns.
type table struct{ out *tabwriter.Writer }

func newTable(out io.Writer, head ...string) *table {
	t := &table{tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)}
	if len(head) > 0 {
		t.row(head...)
	}
	return t
}

// row adds one. What a table cannot be written to is told by end.
func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	fmt.Fprintln(t.out, strings.TrimRight(strings.Join(cells, "\t"), "\t "))
}

func (t *table) end() error { return t.out.Flush() }

// printable is a text of somebody else that cannot do anything to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func printJSON[T any](out io.Writer, all []T) error {
	e := json.NewEncoder(out)
	for _, one := range all {
		if err := e.Encode(one); err != nil {
			return err
		}
	}
	return nil
}
