package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"restante/perf/letter"
	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/rig"
	"restante/perf/wire"
)

type trace struct {
	Layout rig.Layout `default:"1x3" help:"Cluster, data centres x nodes."`
	JSON   string     `help:"Append what was seen to FILE as a line of JSON." placeholder:"FILE" type:"path"`
}

// A traceRecord is all that was seen, as a line of the results.
type traceRecord struct {
	report.Run

	Acts []tracedAct `json:"acts"`
}

// A tracedAct is an act with its statements.
type tracedAct struct {
	Act        string   `json:"act"`
	Statements []traced `json:"statements"`
}

// A traced statement is one as Cassandra has carried it out.
type traced struct {
	CQL   string `json:"cql"`
	Level string `json:"consistency_level"`
	Took  int64  `json:"us"`
}

// Run has Cassandra itself write down what it is asked for (TRACING, on every node),
// while a client does one thing after the other.
func (t *trace) Run(ctx context.Context, c *common) error {
	return c.within(ctx, func(b rig.Binaries, dir string) error {
		return on(ctx, b, dir, t.Layout, func(r *rig.Rig) error { return t.on(ctx, r, os.Stdout, traceUsers) }, "-jmx")
	})
}

// on makes so many accounts; there must be traceUsers in the end.
func (t *trace) on(ctx context.Context, r *rig.Rig, out io.Writer, accounts int) error {
	s, err := r.Serve(ctx, "server", r.Datacenters()[0], accounts)
	if err != nil {
		return err
	}
	version, err := r.Version(ctx)
	if err != nil {
		return err
	}
	client := &tracer{Rig: r, server: s, out: out, seen: map[string]bool{}}
	acts, err := client.run(ctx)
	return errors.Join(err, client.close(), checkPaxos(ctx, r, out),
		report.Append(t.JSON, traceRecord{Run: report.NewRun("trace", s.Version+", "+version), Acts: acts}))
}

const traceUsers = 3

// A tracer is the client, and reads what Cassandra has written down.
type tracer struct {
	*rig.Rig
	server *peer.Server
	out    io.Writer
	seen   map[string]bool // sessions of traces
	smtp   *wire.SMTP
	pop3   *wire.POP3
	letter letter.ID
	writer letter.Writer
}

// An act is one thing that a client does.
type act struct {
	name   string
	writes int // the most that it may take; 0: it is not looked at
	do     func(ctx context.Context, t *tracer) error
}

var acts = []act{
	{"delivery of 4 KiB to one recipient", 1, func(ctx context.Context, t *tracer) error { return t.deliver(ctx, small, 1) }},
	{"delivery of 300 KiB to one recipient", 4, func(ctx context.Context, t *tracer) error { return t.deliver(ctx, 300<<10, 1) }},
	{"delivery of 4 KiB to three recipients", 4, func(ctx context.Context, t *tracer) error { return t.deliver(ctx, small, 3) }},
	{"login and STAT", 0, func(ctx context.Context, t *tracer) (err error) {
		if t.pop3, err = wire.DialPOP3(ctx, t.server.POP3, wire.Options{}); err != nil {
			return err
		}
		if err = t.pop3.Login(fmt.Sprintf(peer.Pattern, 0), peer.Password); err == nil {
			_, _, err = t.pop3.Stat()
		}
		return err
	}},
	{"RETR of 4 KiB", 0, func(_ context.Context, t *tracer) error {
		_, err := t.pop3.Discard(1)
		return err
	}},
	{"QUIT after DELE of three", 0, func(_ context.Context, t *tracer) error {
		err := t.pop3.DeleAll(3)
		if err == nil {
			err = t.pop3.Quit()
			t.pop3 = nil
		}
		return err
	}},
}

func (t *tracer) deliver(ctx context.Context, size, recipients int) (err error) {
	if t.smtp == nil {
		if t.smtp, err = wire.DialSMTP(ctx, t.server.SMTP, false, wire.Options{}); err != nil {
			return err
		}
	}
	m := wire.Mail{From: peer.Sender}
	for i := range recipients {
		m.To = append(m.To, fmt.Sprintf(peer.Pattern, i))
	}
	t.letter.Seq++
	m.Data = t.writer.Compose(t.letter, m.From, m.To[0], size).Wire
	return t.smtp.Send(m, false)
}

func (t *tracer) close() error {
	var errs []error
	if t.smtp != nil {
		errs = append(errs, t.smtp.Quit())
	}
	if t.pop3 != nil {
		errs = append(errs, t.pop3.Close())
	}
	return errors.Join(errs...)
}

// run does everything once before it is looked at: then every statement is prepared.
func (t *tracer) run(ctx context.Context) (seen []tracedAct, err error) {
	for _, a := range acts {
		if err := a.do(ctx, t); err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
	}
	for _, n := range t.Nodes {
		if _, err := t.Nodetool(ctx, n.Name, "settraceprobability 1"); err != nil {
			return nil, err
		}
	}
	if _, err := t.news(ctx); err != nil { // what is left of before
		return nil, err
	}
	var errs []error
	for _, a := range acts {
		if err := a.do(ctx, t); err != nil {
			return seen, fmt.Errorf("%s: %w", a.name, err)
		}
		found, err := t.news(ctx)
		if err != nil {
			return seen, err
		}
		one := tracedAct{Act: a.name}
		for _, r := range found {
			one.Statements = append(one.Statements, r.traced())
		}
		seen = append(seen, one)
		errs = append(errs, one.print(t.out), a.check(found))
	}
	return seen, errors.Join(errs...)
}

// A request is one that Cassandra has carried out, as system_traces.sessions tells.
type request struct {
	Session    string            `json:"session_id"`
	Started    string            `json:"started_at"`
	Duration   *int64            `json:"duration"` // in µs; null while it runs
	Parameters map[string]string `json:"parameters"`
	Request    string            `json:"request"`
}

const (
	traceLook = 700 * time.Millisecond
	traceWait = 30 * time.Second
)

// news are the requests since the last time, once nothing more comes: traces are
// written behind the answers, and contents released behind QUIT.
func (t *tracer) news(ctx context.Context) ([]request, error) {
	var last []request
	for deadline := time.Now().Add(traceWait); ; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(traceLook):
		}
		found, whole, err := t.look(ctx)
		if err != nil {
			return nil, err
		}
		if whole && last != nil && len(found) == len(last) {
			for _, r := range found {
				t.seen[r.Session] = true
			}
			return found, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("the traces of %d requests are not whole after %v", len(found), traceWait)
		}
		last = found
	}
}

// look reads the traces of all requests on the tables of the mail. The driver's own
// questions, and these here, are on those of the system.
func (t *tracer) look(ctx context.Context) (found []request, whole bool, err error) {
	rows, err := t.Query(ctx, t.Nodes[0], "SELECT JSON session_id, started_at, duration, parameters, request FROM system_traces.sessions")
	if err != nil {
		return nil, false, err
	}
	found, whole = []request{}, true
	for _, row := range rows {
		var r request
		if err := json.Unmarshal([]byte(row), &r); err != nil {
			return nil, false, fmt.Errorf("%w: %s", err, row)
		}
		if t.seen[r.Session] || ofTheSystem.MatchString(r.statement()) || strings.HasPrefix(r.Request, "Preparing") {
			continue
		}
		found, whole = append(found, r), whole && r.Duration != nil
	}
	slices.SortFunc(found, func(a, b request) int {
		return cmp.Or(cmp.Compare(a.Started, b.Started), cmp.Compare(a.Session, b.Session))
	})
	return found, whole, nil
}

var ofTheSystem = regexp.MustCompile(`(?i)\bFROM system(_\w+)?\.`)

// statement is the CQL, or what stands for it.
func (r request) statement() string { return cmp.Or(r.Parameters["query"], r.Request) }

var (
	writing     = regexp.MustCompile(`(?i)^(INSERT|UPDATE|DELETE|BEGIN|Execute batch)\b`)
	conditional = regexp.MustCompile(`(?i)\bIF\b`)
)

// traced is what of a request is told. It must have ended.
func (r request) traced() traced {
	return traced{CQL: strings.Join(strings.Fields(r.statement()), " "), Level: r.Parameters["consistency_level"], Took: *r.Duration}
}

// print writes what an act took as a table.
func (a tracedAct) print(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s: %d statements\n\n| statement | consistency level | µs |\n| --- | --- | --- |\n", a.Act, len(a.Statements))
	for _, s := range a.Statements {
		fmt.Fprintf(&b, "| %s | %s | %d |\n", s.CQL, s.Level, s.Took)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// check holds an act to what is promised of all.
func (a act) check(found []request) error {
	var errs []error
	if len(found) == 0 {
		errs = append(errs, fmt.Errorf("%s: no statement was seen", a.name))
	}
	writes := 0
	for _, r := range found {
		if writing.MatchString(r.statement()) {
			writes++
		}
		if level := r.Parameters["consistency_level"]; strings.Contains(level, "SERIAL") || conditional.MatchString(r.statement()) {
			errs = append(errs, fmt.Errorf("%s: a lightweight transaction at %s: %s", a.name, level, r.statement()))
		}
	}
	if a.writes > 0 && writes > a.writes {
		errs = append(errs, fmt.Errorf("%s: %d writes, at most %d are promised", a.name, writes, a.writes))
	}
	return errors.Join(errs...)
}
