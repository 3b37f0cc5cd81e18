package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"restante/perf/mission"
	"restante/perf/report"
	"restante/perf/scenario"
)

// parties says which services a whole test is put on: one that runs, or some that are
// started for it, each in its turn, which then stand side by side.
type parties struct {
	To       []string `help:"SMTP servers that mail is sent to in turn." placeholder:"HOST:PORT"`
	From     []string `help:"POP3 servers that it is fetched from." placeholder:"HOST:PORT"`
	Name     string   `default:"server" help:"What the service is called in the table."`
	Start    []string `help:"Start these instead, one after the other: restante, postfix (with Dovecot)." placeholder:"KIND"`
	Temp     string   `help:"Directory for the data of what is started (default: the system's)." type:"path"`
	First    int      `help:"Number of the first user."`
	Users    int      `default:"80" help:"How many users take turns."`
	Pattern  string   `default:"user%d@example.test" help:"Address of user number %d."`
	Password string   `default:"secret" help:"Password of every user."`
	Markdown string   `help:"Write the table to FILE too." placeholder:"FILE" type:"path"`
}

// spare is how many accounts a started server has besides the users: for the mail that
// is looked for at once.
const spare = 16

func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }

// each has work make a record of every party, and shows all of them side by side, those
// of a run that ended early too. It fails if anything was wrong.
func (p *parties) each(ctx context.Context, w io.Writer, o *output, name string, work func(mission.Party) (mission.Measured, error)) (records []mission.Record, err error) {
	one := func(party mission.Party) error {
		result, err := work(party)
		records = append(records, mission.NewRecord(name, party, result, err))
		return ctx.Err() // whatever is wrong with one, the next has its turn
	}
	switch running := len(p.To) > 0 && len(p.From) > 0; {
	case running == (len(p.Start) > 0):
		return nil, errors.New("tell --to and --from, or --start")
	case !running:
		err = mission.Peers(ctx, p.Temp, p.Start, p.Users, spare, say, one)
	default:
		err = one(p.running(o))
	}
	return records, errors.Join(err, p.show(w, o, name, records))
}

// running is the service that is there already.
func (p *parties) running(o *output) mission.Party {
	party := mission.Party{Name: p.Name, PIDs: o.PID, First: p.First, Users: p.Users, Pattern: p.Pattern, Password: p.Password}
	for _, to := range p.To {
		party.Targets = append(party.Targets, scenario.Target{Name: to, SMTP: to})
	}
	for _, from := range p.From {
		party.Targets = append(party.Targets, scenario.Target{Name: from, POP3: from})
	}
	return party
}

// show writes the records in all the ways that are asked for.
func (p *parties) show(w io.Writer, o *output, name string, records []mission.Record) error {
	if o.JSON == "-" {
		return errors.Join(report.WriteLines(w, records...), mission.Wrong(records))
	}
	return mission.Show(w, name, o.JSON, p.Markdown, records)
}

type missionTest struct {
	parties       `embed:""`
	mission.Flags `embed:""`
}

func (m *missionTest) Run(ctx context.Context, o *output, w io.Writer) error {
	_, err := m.each(ctx, w, o, "mission", func(p mission.Party) (mission.Measured, error) {
		t := m.Test(p)
		t.Say = say
		return t.Run(ctx)
	})
	return err
}

type rate struct {
	parties             `embed:""`
	mission.SearchFlags `embed:""`

	Points string `help:"Append the curve to FILE as points of a plot." placeholder:"FILE" type:"path"`
}

func (r *rate) Run(ctx context.Context, o *output, w io.Writer) error {
	records, err := r.each(ctx, w, o, "rate", func(p mission.Party) (mission.Measured, error) {
		s := r.Search(p)
		s.Say = say
		return s.Run(ctx)
	})
	for _, record := range records {
		err = errors.Join(err, report.Append(r.Points, record.Points()...))
	}
	return err
}

type lag struct {
	parties          `embed:""`
	mission.LagFlags `embed:""`
}

func (l *lag) Run(ctx context.Context, o *output, w io.Writer) error {
	_, err := l.each(ctx, w, o, "lag", func(p mission.Party) (mission.Measured, error) {
		into, from := p.Targets[0], p.Targets[len(p.Targets)-1]
		return l.Lag(p, into, from).Run(ctx)
	})
	return err
}
