package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/scenario"
)

// Users, by what their maildrops are for. Every scenario finds its own as it
// left them.
const (
	readers   = 0 // 100 of them have twenty letters each
	receivers = 100
	spread    = 100 // how many readers and receivers there are
	large     = 200 // has --large letters
	heavy     = 201 // has one letter of 25 MiB
	empty     = 202 // never had any
	churned   = 203 // had --churn letters, all deleted
	users     = 204
)

const (
	small   = 4 << 10
	huge    = 25 << 20
	letters = 20 // of each reader
)

// plan is every scenario of the comparison, in the order of the table.
func plan(c *cli) []step {
	var steps []step
	for _, n := range []int{1, 32} {
		steps = append(steps, deliver("LMTP", n, false), deliver("SMTP", n, false))
	}
	steps = append(steps,
		deliver("SMTP", 32, true),
		sessions(8),
		sessions(32),
		firstLogins(),
		logins(1, large, c.Large),
		logins(8, large, c.Large),
		logins(1, empty, 0),
		loginsAfterChurn(c.Churn),
		retrieve(),
		removal(c.Large),
		memory(c.Sessions),
		startUp(c.Messages),
	)
	return steps
}

// counted names a number of connections.
func counted(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

func pop3(s *peer.Server) bool { return s.Name != "postfix" }

func ours(s *peer.Server) bool { return s.Name == report.Ours }

// load is for users from first on.
func (b *bench) load(addr string, connections, first, count int) scenario.Load {
	return scenario.Load{
		Address: addr, Connections: connections, Pattern: peer.Pattern, Password: peer.Password, First: first, Users: count,
	}
}

// timed ends a load after the time that every scenario has.
func (b *bench) timed(l scenario.Load) scenario.Load {
	l.Duration = time.Duration(b.Seconds * float64(time.Second))
	return l
}

// fill delivers letters, unmeasured.
func (b *bench) fill(ctx context.Context, s *peer.Server, d scenario.Deliver) error {
	d.LMTP, d.Address, d.From, d.Pipelined = true, s.LMTP, peer.Sender, true
	_, err := measureServer(ctx, s, d)
	return err
}

func deliver(protocol string, connections int, pipelined bool) step {
	lmtp := protocol == "LMTP"
	name := fmt.Sprintf("%s delivery, 4 KiB, %s", protocol, counted(connections))
	if pipelined {
		name += ", pipelined"
	}
	addr := func(s *peer.Server) string {
		if lmtp {
			return s.LMTP
		}
		return s.SMTP
	}
	run := func(ctx context.Context, b *bench, c *contender, l scenario.Load) (scenario.Result, error) {
		return measure(ctx, c, scenario.Deliver{Load: l, LMTP: lmtp, Pipelined: pipelined, Size: small, From: peer.Sender})
	}
	return step{
		name:  name,
		takes: func(s *peer.Server) bool { return addr(s) != "" },
		prepare: func(ctx context.Context, b *bench, c *contender) error {
			l := b.load(addr(c.server), connections, receivers, spread)
			l.Count = 2 * spread // every maildrop exists, every process runs
			_, err := run(ctx, b, c, l)
			return err
		},
		run: func(ctx context.Context, b *bench, c *contender) ([]figure, error) {
			r, err := run(ctx, b, c, b.timed(b.load(addr(c.server), connections, receivers, spread)))
			return speed("messages", r, err)
		},
		after: func(ctx context.Context, b *bench, c *contender) error {
			b.settle(ctx) // a queue may still be handing over
			for i := range spread {
				if _, err := measure(ctx, c, scenario.Delete{Load: b.load(c.server.POP3, 1, receivers+i, 1), Expect: -1}); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// sessions reads whole maildrops.
func sessions(connections int) step {
	return step{
		name:    fmt.Sprintf("POP3 session of %d × 4 KiB, %s", letters, counted(connections)),
		prepare: func(ctx context.Context, b *bench, c *contender) error { return once(ctx, &c.read, b, c, fillReaders) },
		run: func(ctx context.Context, b *bench, c *contender) ([]figure, error) {
			if err := b.greet(ctx, c, readers); err != nil {
				return nil, err
			}
			r, err := measure(ctx, c, scenario.Session{Load: b.timed(b.load(c.server.POP3, connections, readers, spread)), Messages: letters})
			return speed("sessions", r, err)
		},
	}
}

// once does what several steps need before they run.
func once(ctx context.Context, done *bool, b *bench, c *contender, prepare func(context.Context, *bench, *contender) error) error {
	if *done {
		return nil
	}
	*done = true
	return prepare(ctx, b, c)
}

// greet logs a hundred users in, so that every server has seen their passwords
// just now: verifying a password that it has not seen for a while is slow on
// purpose, and is measured by a scenario of its own.
func (b *bench) greet(ctx context.Context, c *contender, first int) error {
	l := b.load(c.server.POP3, 4, first, spread)
	l.Count = spread
	_, err := measure(ctx, c, scenario.Login{Load: l, Expect: -1})
	return err
}

// firstLogins are of users that a server has not seen since it was started.
func firstLogins() step {
	return step{
		name: "first login of a user since the server was started",
		run: func(ctx context.Context, b *bench, c *contender) (figures []figure, err error) {
			settings := b.settings(c.kind.Name + "-logins")
			s, err := c.kind.Start(ctx, settings)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, s.Stop(), os.RemoveAll(settings.Dir)) }()
			l := b.load(s.POP3, 2, readers, spread)
			l.Count = spread
			r, err := measureServer(ctx, s, scenario.Login{Load: l, Expect: -1})
			return speed("logins", r, err)
		},
	}
}

// fillReaders gives every reader its letters.
func fillReaders(ctx context.Context, b *bench, c *contender) error {
	l := b.load("", 8, readers, spread)
	l.Count = spread * letters
	return b.fill(ctx, c.server, scenario.Deliver{Load: l, Size: small})
}

func logins(connections, user, messages int) step {
	s := step{
		name: fmt.Sprintf("login + STAT, %d messages, %s", messages, counted(connections)),
		run: func(ctx context.Context, b *bench, c *contender) ([]figure, error) {
			r, err := b.login(ctx, c, connections, user, messages)
			return speed("logins", r, err)
		},
	}
	if user == large {
		s.prepare = func(ctx context.Context, b *bench, c *contender) error { return once(ctx, &c.large, b, c, fillLarge) }
	}
	return s
}

func (b *bench) login(ctx context.Context, c *contender, connections, user, expect int) (scenario.Result, error) {
	return measure(ctx, c, scenario.Login{Load: b.timed(b.load(c.server.POP3, connections, user, 1)), Expect: expect})
}

// loginsAfterChurn compares with an empty maildrop, measured right before.
func loginsAfterChurn(churn int) step {
	s := step{name: fmt.Sprintf("login + STAT after %d delivered and deleted, 1 connection", churn)}
	s.run = func(ctx context.Context, b *bench, c *contender) ([]figure, error) {
		fresh, err := b.login(ctx, c, 1, empty, 0)
		if err != nil {
			return nil, err
		}
		worn, err := b.login(ctx, c, 1, churned, 0)
		figures, err := speed("logins", worn, err)
		if err != nil {
			return nil, err
		}
		return append(figures,
			figure{name: "p50, times that of an empty maildrop", better: report.Less, value: worn.P50 / fresh.P50},
			figure{name: "server CPU, times that of an empty maildrop", better: report.Less, value: worn.ServerCPU / fresh.ServerCPU},
		), nil
	}
	s.takes = ours
	s.prepare = func(ctx context.Context, b *bench, c *contender) error {
		for left := churn; left > 0; left -= b.Large {
			n := min(left, b.Large)
			l := b.load("", 16, churned, 1)
			l.Count = n
			if err := b.fill(ctx, c.server, scenario.Deliver{Load: l, Size: 200}); err != nil {
				return err
			}
			if _, err := measure(ctx, c, scenario.Delete{Load: b.load(c.server.POP3, 1, churned, 1), Expect: n}); err != nil {
				return err
			}
		}
		return nil
	}
	return s
}

// retrieve compares a large RETR with a bare copy of as many octets, run right
// behind it. Neither client does more than receive; what one comes to that
// verifies as well is told beside.
func retrieve() step {
	return step{
		name: "RETR of 25 MiB, 1 connection",
		prepare: func(ctx context.Context, b *bench, c *contender) error {
			l := b.load("", 1, heavy, 1)
			l.Count = 1
			return b.fill(ctx, c.server, scenario.Deliver{Load: l, Size: huge})
		},
		run: func(ctx context.Context, b *bench, c *contender) ([]figure, error) {
			r, err := measure(ctx, c, scenario.Retr{Load: b.timed(b.load(c.server.POP3, 1, heavy, 1)), Discard: true})
			if err != nil {
				return nil, err
			}
			figures := []figure{
				{name: "MiB/s", better: report.More, value: r.Figures["MiB/s"]},
				{name: "server CPU ms", better: report.Less, value: r.ServerCPU},
				{name: "tool CPU ms", value: r.ToolCPU},
				{name: "others' CPU share", value: r.Others},
			}
			if r, err = measure(ctx, c, scenario.Retr{Load: b.timed(b.load(c.server.POP3, 1, heavy, 1))}); err != nil {
				return figures, err
			}
			figures = append(figures,
				figure{name: "MiB/s, all of it verified", better: report.More, value: r.Figures["MiB/s"]},
				figure{name: "tool CPU ms, all of it verified", value: r.ToolCPU},
			)
			if !ours(c.server) {
				return figures, nil
			}
			bare, err := scenario.Measure(ctx, "loopback", scenario.Loopback{Load: b.timed(scenario.Load{}), Size: huge})
			if err != nil {
				return figures, err
			}
			return append(figures, figure{name: "MiB/s", better: report.More, value: bare.Figures["MiB/s"], of: "loopback copy"}), nil
		},
	}
}

// fillLarge makes the large maildrop, with few connections because some servers
// lock it for each message.
func fillLarge(ctx context.Context, b *bench, c *contender) error {
	l := b.load("", 4, large, 1)
	l.Count = b.Large
	return b.fill(ctx, c.server, scenario.Deliver{Load: l, Size: small})
}

// removal empties the large maildrop and fills it again for the next round.
func removal(messages int) step {
	return step{
		name:    fmt.Sprintf("DELE of %d messages, QUIT", messages),
		prepare: func(ctx context.Context, b *bench, c *contender) error { return once(ctx, &c.large, b, c, fillLarge) },
		run: func(ctx context.Context, b *bench, c *contender) ([]figure, error) {
			r, err := measure(ctx, c, scenario.Delete{Load: b.load(c.server.POP3, 1, large, 1), Expect: messages})
			if err != nil {
				return nil, err
			}
			return []figure{
				{name: "QUIT s", better: report.Less, value: r.Figures["QUIT s"]},
				{name: "DELE s", better: report.Less, value: r.Figures["DELE s"]},
				{name: "server CPU ms in all", better: report.Less, value: r.ServerCPU},
			}, nil
		},
		after: fillLarge,
	}
}
