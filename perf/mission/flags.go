package mission

import (
	"time"

	"restante/perf/peer"
	"restante/perf/scenario"
	"restante/perf/wire"
)

// A Party is one server, or several that are one service, under test.
type Party struct {
	Name, Version string
	Targets       []scenario.Target
	PIDs          []int         // of all of it, or none
	Security      wire.Security // of POP3; mail comes in by clear text

	// Users of it.
	Users, First      int
	Pattern, Password string
}

func (p Party) clients(size int, timeout time.Duration) Clients {
	return Clients{
		First: p.First, Users: p.Users, Pattern: p.Pattern, Password: p.Password, Sender: peer.Sender,
		Size: size, Options: wire.Options{Timeout: timeout, Security: p.Security}, PIDs: p.PIDs,
	}
}

// intake says how mail comes in and is fetched, at any rate.
type intake struct {
	Size        int           `default:"4096" help:"Octets of the body of each mail."`
	Recipients  int           `default:"1" help:"Recipients of each mail."`
	Poisson     bool          `help:"Mail comes at random times, as from many people, instead of evenly spaced."`
	Connections int           `short:"n" default:"64" help:"Kept connections that mail comes in over; when all are busy it waits."`
	Pipeline    bool          `help:"Send each envelope in one write."`
	Readers     int           `default:"8" help:"Users who fetch at the same time."`
	Patience    time.Duration `default:"1m" help:"How long after the last 250 a mail may take until it is in its maildrop."`
	Timeout     time.Duration `default:"30s" help:"Bound of each single wait."`
}

func (m intake) test(p Party) Test {
	return Test{
		Clients: p.clients(m.Size, m.Timeout), Targets: p.Targets, Poisson: m.Poisson, Recipients: m.Recipients,
		Connections: m.Connections, Pipelined: m.Pipeline, Readers: m.Readers, Patience: m.Patience,
	}
}

// Flags are those of a command that carries out a Test.
type Flags struct {
	intake `embed:""`

	Rate     float64       `default:"100" help:"Mails a second."`
	Duration time.Duration `default:"10m" help:"How long mail comes in."`
	Overtime time.Duration `help:"How long after that mail which waited is still sent; 0: until all is."`
	Unread   bool          `help:"Do not retrieve and verify every message."`
	Probe    float64       `default:"1" help:"Mails a second, besides, that are looked for right behind their 250 in each data centre."`
}

// Test is that of the flags.
func (f Flags) Test(p Party) Test {
	t := f.test(p)
	t.Rate, t.Duration, t.Overtime, t.Unread, t.Probe = f.Rate, f.Duration, f.Overtime, f.Unread, f.Probe
	return t
}

// SearchFlags are those of a command that carries out a Search.
type SearchFlags struct {
	intake `embed:""`

	Begin     float64       `default:"50" help:"Mails a second of the first step."`
	Step      time.Duration `default:"20s" help:"How long each rate is tried."`
	Limit     time.Duration `default:"1s" help:"What p99 must be under, from when a mail was due."`
	Precision float64       `default:"0.05" help:"Of the rate that is found."`
	Rest      time.Duration `default:"2s" help:"Pause between steps, at least."`
	Restful   time.Duration `default:"30s" help:"And at most, while the server is busy."`
}

// Search is that of the flags.
func (f SearchFlags) Search(p Party) Search {
	return Search{
		Test: f.test(p), From: f.Begin, Step: f.Step, P99: f.Limit, Precision: f.Precision, Rest: f.Rest, Restful: f.Restful,
	}
}

// LagFlags are those of a command that measures a Lag.
type LagFlags struct {
	Rate     float64       `default:"50" help:"Mails a second."`
	Duration time.Duration `default:"1m" help:"How long mail comes in."`
	Every    time.Duration `default:"10ms" help:"How often a mail is looked for."`
	Size     int           `default:"4096" help:"Octets of the body of each mail."`
	Patience time.Duration `default:"1m" help:"How long a mail may take until it is listed."`
	Timeout  time.Duration `default:"30s" help:"Bound of each single wait."`
}

// Lag is that of the flags, from one target to another.
func (f LagFlags) Lag(p Party, into, from scenario.Target) Lag {
	return Lag{
		Clients: p.clients(f.Size, f.Timeout), Into: into, From: from,
		Rate: f.Rate, Duration: f.Duration, Every: f.Every, Patience: f.Patience,
	}
}
