// Package mission is the performance test of a mail service: mail comes in at a fixed
// rate, whatever becomes of it, and then every user logs in, counts, retrieves and
// removes it. Every message is verified by its hash, and what the server did wrong is
// counted beside how fast it was.
//
// It drives any servers that speak SMTP and POP3, several in several data centres or
// one, so that Restante and others stand in one table.
package mission

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"restante/perf/scenario"
	"restante/perf/wire"
)

// Clients are what every load of this package needs to know of the other side.
type Clients struct {
	First    int    // number of the first user
	Users    int    // how many there are; they take turns
	Pattern  string // an address with one %d for the number
	Password string // of every user
	Sender   string // reverse-path
	Size     int    // octets of the body of each mail
	Options  wire.Options
	// PIDs are the roots of the server's processes, for its CPU and memory. There may
	// be none.
	PIDs []int
}

func (c Clients) check() error {
	switch {
	case c.Users < 1 || c.Size < 1:
		return errors.New("mission: there must be users, and octets in a mail")
	case strings.Count(c.Pattern, "%") != 1 || !strings.Contains(c.Pattern, "%d"):
		return fmt.Errorf("mission: the pattern %q has no %%d for the number of a user", c.Pattern)
	case c.Options.Timeout < 0:
		return fmt.Errorf("mission: a wait cannot last %v", c.Options.Timeout)
	}
	return nil
}

// user is the address of a user, from 0.
func (c Clients) user(i int) string { return fmt.Sprintf(c.Pattern, c.First+i) }

// A Test is the whole of it. Its maildrops belong to it: they are emptied before.
type Test struct {
	Clients
	// Targets take the mail in turn; those without an SMTP port take none. A user fetches
	// from one of them, always the same, and all data centres have as many users.
	Targets    []scenario.Target
	Rate       float64       // mails a second
	Duration   time.Duration // how long mail comes in
	Poisson    bool          // at random times, instead of evenly spaced
	Recipients int           // of each mail; 0 counts as one
	// Connections are those that mail comes in over, in all. They are kept. When all of
	// them are busy, a mail waits, and its latency counts from when it was due.
	Connections int
	Pipelined   bool // the envelope goes out in one write
	// Overtime is how long after Duration mail that waited is still sent; 0: until all is.
	Overtime time.Duration
	// Readers are the users who fetch at the same time.
	Readers int
	// Patience is how long after the last 250 a mail may take until it is in its maildrop,
	// for servers that answer before.
	Patience time.Duration
	// Unread leaves out that every message is retrieved and verified.
	Unread bool
	// Probe is how many more mails a second are looked for right behind their 250, in each
	// data centre, through another of its servers where there are several. They go to
	// users of their own, who come behind the others: see Accounts.
	Probe float64

	// Watch is called when a phase begins, and what it returns when the phase has ended,
	// for more figures of it. What is behind the server, such as a database, is counted
	// among the others until then. It may be nil.
	Watch func(phase string) (ended func(*scenario.Result) (map[string]float64, error), err error)
	// Say is told what is being done. It may be nil.
	Say func(format string, args ...any)
}

// maxRecipients is how many of a mail the ledger can tell apart.
const maxRecipients = 64

func (t Test) check() error {
	switch {
	case len(senders(t.Targets)) == 0 || len(readers(t.Targets)) == 0:
		return errors.New("mission: there must be a target that speaks SMTP, and one that speaks POP3")
	case t.Rate <= 0 || t.mails() < 1:
		return errors.New("mission: there must be a rate, and time for one mail")
	case t.Connections < 1 || t.Readers < 1:
		return errors.New("mission: there must be connections, and readers")
	case t.recipients() > min(t.Users, maxRecipients):
		return fmt.Errorf("mission: a mail to %d recipients needs as many users, and no more than %d", t.recipients(), maxRecipients)
	}
	return t.Clients.check()
}

// mails is how many come in.
func (t Test) mails() int { return int(t.Rate*t.Duration.Seconds() + 0.5) }

func (t Test) recipients() int { return max(t.Recipients, 1) }

func (t Test) say(format string, args ...any) {
	if t.Say != nil {
		t.Say(format, args...)
	}
}

// probers is how many maildrops each data centre has that are looked into.
func (t Test) probers() int {
	if t.Probe <= 0 {
		return 0
	}
	return 4 // one may wait for a slow server while the others go on
}

// Accounts is how many users the test needs, from First.
func (t Test) Accounts() int { return t.Users + t.probers()*len(datacenters(t.Targets)) }

// home is where a user fetches.
func (t Test) home(user int) scenario.Target {
	dcs := datacenters(t.Targets)
	dc := dcs[user%len(dcs)]
	near := readers(dc)
	return near[user/len(dcs)%len(near)]
}

// datacenters are the targets of each data centre that users can fetch in.
func datacenters(targets []scenario.Target) [][]scenario.Target {
	var names []string
	of := map[string][]scenario.Target{}
	for _, t := range targets {
		if of[t.Datacenter] == nil {
			names = append(names, t.Datacenter)
		}
		of[t.Datacenter] = append(of[t.Datacenter], t)
	}
	var all [][]scenario.Target
	for _, name := range names {
		if len(readers(of[name])) > 0 {
			all = append(all, of[name])
		}
	}
	return all
}

// senders are the targets that take mail, readers those that hand it out.
func senders(targets []scenario.Target) []scenario.Target {
	return which(targets, func(t scenario.Target) bool { return t.SMTP != "" })
}

func readers(targets []scenario.Target) []scenario.Target {
	return which(targets, func(t scenario.Target) bool { return t.POP3 != "" })
}

func which(targets []scenario.Target, good func(scenario.Target) bool) []scenario.Target {
	var some []scenario.Target
	for _, t := range targets {
		if good(t) {
			some = append(some, t)
		}
	}
	return some
}

// Run carries out the test. It fails if it could not be carried out to its end; what the
// server did wrong is in the outcome: see its Err. What was measured until then is there
// in either case.
func (t Test) Run(ctx context.Context) (*Outcome, error) {
	if err := t.check(); err != nil {
		return new(Outcome), err
	}
	r := newRun(t)
	err := r.all(ctx)
	return r.end(), err
}

// run is one run of the test.
type run struct {
	Test
	ledger *ledger
	times  *times

	mu  sync.Mutex
	out *Outcome
}

func newRun(t Test) *run {
	return &run{Test: t, ledger: newLedger(t.Users, t.recipients(), t.Size), times: newTimes(), out: &Outcome{Mails: t.mails()}}
}

func (r *run) all(ctx context.Context) error {
	steps := []func(context.Context) error{r.prepare, r.deliver, r.count, r.retrieve, r.remove, r.countNothing}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// end closes the outcome.
func (r *run) end() *Outcome {
	r.out.Latencies = r.times.latencies()
	r.out.Verdict = r.ledger.verdict()
	return r.out
}

// add is a phase, or what goes on beside one.
func (r *run) add(result scenario.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Phases = append(r.out.Phases, result)
}

// joined are the figures of both.
func joined(figures, more map[string]float64) map[string]float64 {
	if figures == nil {
		return more
	}
	maps.Copy(figures, more)
	return figures
}

// Phases of a test that are looked for in what it came to.
const (
	PhaseDeliver = "deliver"
	PhaseRemove  = "DELE and QUIT"
)

// measure is one phase.
func (r *run) measure(ctx context.Context, name string, load scenario.Runner) (result scenario.Result, err error) {
	r.say("%s", name)
	ended := func(*scenario.Result) (map[string]float64, error) { return nil, nil }
	if r.Watch != nil {
		if ended, err = r.Watch(name); err != nil {
			return result, fmt.Errorf("%s: %w", name, err)
		}
	}
	result, err = scenario.Measure(ctx, name, load, r.PIDs...)
	more, watchErr := ended(&result)
	if err == nil {
		err = watchErr
	}
	result.Figures = joined(result.Figures, more)
	r.add(result)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return result, err
}
