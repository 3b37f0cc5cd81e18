package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"restante/perf/mission"
	"restante/perf/peer"
	"restante/perf/report"
)

// beside is what the commands have in common that measure mail.
type beside struct {
	composed `embed:""`

	Peers    []string `help:"Measure these as well, each alone and before: postfix (with Dovecot), restante (with its embedded store)." placeholder:"KIND"`
	Markdown string   `help:"Write the table to FILE too." placeholder:"FILE" type:"path"`
}

// spare is how many accounts there are besides the users: for the mail that is looked for
// right behind its 250.
const spare = 16

// others has a warm-up play with users of its own: a server remembers for some minutes
// that a password was right, and the first logins that are measured are to be first ones.
func others(t mission.Test) mission.Test {
	t.First += t.Users + spare
	return t
}

// measure has work measure all peers, and then Restante on the stage, and shows them side
// by side. On the stage nil is passed for a peer.
func (b beside) measure(ctx context.Context, s settings, out io.Writer, kind string, steps []string, work func(context.Context, mission.Party, *stage) (mission.Measured, error)) (records []mission.Record, err error) {
	one := func(ctx context.Context, p mission.Party, st *stage) error {
		result, err := work(ctx, p, st)
		records = append(records, mission.NewRecord(kind, p, result, err))
		return ctx.Err() // whatever is wrong with one, the next has its turn
	}
	users := s.Users
	if s.Plan {
		err = b.tell(out)
	} else {
		err = mission.Peers(ctx, s.Temp, b.Peers, users, spare, (&stage{out: out}).say, func(p mission.Party) error {
			if p.Name == report.Ours {
				p.Name += "-embedded"
			}
			return one(ctx, p, nil)
		})
	}
	if err != nil {
		return records, err
	}
	s.Users = 2*users + spare // see others
	err = b.play(ctx, s, out, steps, func(ctx context.Context, st *stage) error {
		if err := one(ctx, st.party(users), st); err != nil {
			return err
		}
		return st.noPaxos(ctx)
	})
	if len(records) > 0 {
		err = errors.Join(err, mission.Show(out, kind, s.JSON, b.Markdown, records))
	}
	return records, err
}

// tell prints what the peers are for.
func (b beside) tell(out io.Writer) error {
	for _, name := range b.Peers {
		if _, err := peer.Find(name); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s, alone on this machine and before all else: what is measured below, without a warm-up\n", name); err != nil {
			return err
		}
	}
	return nil
}

// proof is the step that ends a measurement on a stage.
func (c composed) proof() []string {
	if c.Compose != "" {
		return nil
	}
	return []string{"every node is asked for the rows of system.paxos: there may be none"}
}

// party is what the stage is to its clients. Restante on Cassandra is ours in the table.
func (s *stage) party(users int) mission.Party {
	if s.containers != nil {
		return s.containers.party(users)
	}
	return mission.Party{
		Name: report.Ours, Version: s.version(),
		Targets: s.targets(), PIDs: s.serverPIDs(), Users: users, Pattern: peer.Pattern, Password: peer.Password,
	}
}

// warm has mail come in at a rate, and be removed, until what is measured is no longer
// Java that compiles. What fails meanwhile is told, and that is all.
func (s *stage) warm(ctx context.Context, t mission.Test) error {
	if s.Warm <= 0 {
		return ctx.Err()
	}
	s.say("warming up for %v", s.Warm)
	t.Duration, t.Probe, t.Overtime, t.Unread, t.Say, t.Watch = s.Warm, 0, s.Warm, true, nil, nil
	o, err := t.Run(ctx)
	if err := errors.Join(err, o.Err()); err != nil {
		s.say("warm-up: %v", err)
	}
	return ctx.Err()
}

// missionTest is the performance test.
type missionTest struct {
	beside        `embed:""`
	mission.Flags `embed:""`
}

// steps are what is done, in words.
func (m *missionTest) steps(s settings) []string {
	mail := fmt.Sprintf("mail at %v/s for %v to %d users in turn, through all servers", m.Rate, m.Duration, s.Users)
	if m.Probe > 0 {
		mail += fmt.Sprintf("; besides, %v/s in each data centre, each looked for by a login right behind its 250", m.Probe)
	}
	read := "every user: STAT, RETR and verify, DELE and QUIT, STAT"
	if m.Unread {
		read = "every user: STAT, DELE and QUIT, STAT"
	}
	return slices.Concat(s.warming(m.Rate/2), []string{"first logins: all maildrops are emptied", mail, read}, m.proof())
}

func (m *missionTest) Run(ctx context.Context, s *settings, out io.Writer) error {
	_, err := m.measure(ctx, *s, out, "mission", m.steps(*s), func(ctx context.Context, p mission.Party, st *stage) (mission.Measured, error) {
		t := m.Test(p)
		if st == nil {
			return t.Run(ctx)
		}
		warm := others(t)
		warm.Rate /= 2 // so that there is time to compile
		if err := st.warm(ctx, warm); err != nil {
			return new(mission.Outcome), err
		}
		t.Say = st.say
		if st.containers == nil {
			t.Watch = meters{st, ctx}.watch
		}
		o, err := t.Run(ctx)
		if o.Missed > 0 {
			err = errors.Join(err, fmt.Errorf("%d of %d logins right behind a 250 did not see the mail", o.Missed, o.Looks))
		}
		return o, err
	})
	return err
}

// rate is the search for the highest one.
type rate struct {
	beside              `embed:""`
	mission.SearchFlags `embed:""`

	Points string `help:"Append the curve to FILE as points of a plot." placeholder:"FILE" type:"path"`
}

// steps are what is done, in words.
func (r *rate) steps(s settings) []string {
	return slices.Concat(s.warming(r.Begin), []string{
		fmt.Sprintf("mail at %v/s for %v, then at twice the rate again and again until p99 is %v or more or anything fails, or at half of it until neither is so; then at rates in between, until the highest is known to %v %%", r.Begin, r.Step, r.Limit, 100*r.Precision),
		fmt.Sprintf("before each rate all maildrops are emptied; behind it every user counts and removes, and %v to %v pass until all is idle", r.Rest, r.Restful),
	}, r.proof())
}

func (r *rate) Run(ctx context.Context, s *settings, out io.Writer) error {
	records, err := r.measure(ctx, *s, out, "rate", r.steps(*s), func(ctx context.Context, p mission.Party, st *stage) (mission.Measured, error) {
		search := r.Search(p)
		if st == nil {
			return search.Run(ctx)
		}
		warm := others(search.Test)
		warm.Rate = search.From
		if err := st.warm(ctx, warm); err != nil {
			return new(mission.Curve), err
		}
		search.Say = st.say
		if st.containers == nil {
			search.Behind = []int{st.cassandraPID()}
		}
		return search.Run(ctx)
	})
	for _, record := range records {
		err = errors.Join(err, report.Append(r.Points, record.Points()...))
	}
	return err
}

// lag is how long mail takes to the other data centre.
type lag struct {
	composed         `embed:""`
	mission.LagFlags `embed:""`
	Markdown         string `help:"Write the table to FILE too." placeholder:"FILE" type:"path"`
}

// steps are what is done, in words.
func (l *lag) steps(s settings) []string {
	return slices.Concat(s.warming(l.Rate), []string{
		fmt.Sprintf("mail at %v/s for %v into each data centre in turn, looked for in the other every %v", l.Rate, l.Duration, l.Every),
	}, l.proof())
}

func (l *lag) Run(ctx context.Context, s *settings, out io.Writer) error {
	return l.play(ctx, *s, out, l.steps(*s), func(ctx context.Context, st *stage) error {
		p := st.party(s.Users)
		first, last := p.Targets[0], p.Targets[len(p.Targets)-1]
		if st.Warm > 0 {
			st.say("warming up for %v", st.Warm)
			warm := l.Lag(p, first, last)
			warm.Duration = st.Warm
			if _, err := warm.Run(ctx); err != nil {
				return err
			}
		}
		var records []mission.Record
		for _, way := range []struct{ into, from int }{{0, len(p.Targets) - 1}, {len(p.Targets) - 1, 0}} {
			into, from := p.Targets[way.into], p.Targets[way.from]
			st.say("into %s, listed in %s", into.Name, from.Name)
			measured := l.Lag(p, into, from)
			if st.containers == nil {
				measured.Behind = []int{st.cassandraPID()}
			}
			o, err := measured.Run(ctx)
			q := p
			q.Name = into.Datacenter + " to " + from.Datacenter
			records = append(records, mission.NewRecord("lag", q, o, err))
		}
		return errors.Join(st.noPaxos(ctx), mission.Show(out, "lag", s.JSON, l.Markdown, records))
	})
}
