package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/scenario"
)

// Users, by what their maildrops are for.
const (
	readers   = 32 // from 0 on; each has letters
	hundred   = 32 // has a hundred
	large     = 33 // has --large letters
	deleter   = 34 // has --large letters, and has them removed
	empty     = 35 // never had any
	heavy     = 36 // from here on, for mail of 25 MiB
	churned   = 40 // from here on, had --churn letters, all deleted
	warmers   = 50 // from here on, for the mail before the first round
	spread    = 100
	receivers = warmers + spread // from here on, for mail that nobody fetches
	users     = receivers + spread
)

const (
	small   = 4 << 10
	tiny    = 200
	huge    = 25 << 20
	letters = 100 // of each reader
	writers = 32
	// bareDrops are maildrops that only the bare program writes to.
	bareDrops = "bare%d@" + peer.Domain
	bareWarm  = "warm%d@" + peer.Domain
)

// A run is one turn, and what it tells.
type run func(ctx context.Context, b *bench) ([]figure, error)

// A step is one scenario, for the server and for the bare program, either of which
// may be left out.
type step struct {
	name       string
	prepare    func(ctx context.Context, b *bench) error // once, unmeasured; may be nil
	ours, bare run
}

// A figure is what a turn tells.
type figure struct {
	name   string
	better report.Better
	value  float64
}

// Figures that verdicts look for.
const (
	mailRate     = "mails/s"
	readRate     = "messages/s"
	loginP50     = "login + STAT p50 ms"
	cassandraCPU = "Cassandra CPU ms"
	ownCPU       = "own CPU ms"
	quitSeconds  = "QUIT s"
	peakRSS      = "peak RSS MiB"
	timesEmpty   = "login + STAT p50, times that of an empty maildrop"
)

// plan is every scenario, in the order of the table.
func plan(m *measure) []step {
	steps := []step{
		deliver("delivery of 4 KiB, 32 at a time", false),
		deliver("delivery of 4 KiB at a fixed rate", true),
		login(hundred, letters),
		login(large, m.Large),
		retrieve(8, true),
		retrieve(32, true),
		retrieve(1, false),
		removal(m.Large),
	}
	for i, n := range m.Churn {
		if n > 0 {
			steps = append(steps, churn(churned+i, n))
		}
	}
	return append(steps, sessions(m.Sessions), uploads(m.Uploads))
}

// smtp and pop3 are loads on the server, with users from first on.
func (b *bench) smtp(connections, first, count int) scenario.Load {
	return scenario.Load{Address: b.server.SMTP, Connections: connections, Pattern: peer.Pattern, First: first, Users: count}
}

func (b *bench) pop3(connections, first, count int) scenario.Load {
	l := b.smtp(connections, first, count)
	l.Address, l.Password = b.server.POP3, peer.Password
	return l
}

func (b *bench) turnTime() time.Duration { return time.Duration(b.Seconds * float64(time.Second)) }

// told are the figures of a load on the server.
func told(rate string, r scenario.Result, c cost, more ...figure) []figure {
	figures := append([]figure{{rate, report.More, r.Rate}}, more...)
	return append(figures,
		figure{"p50 ms", report.Less, r.P50},
		figure{"p99 ms", report.Less, r.P99},
		figure{cassandraCPU, report.Less, c.cassandra},
		figure{ownCPU, report.Less, r.ServerCPU},
		figure{"tool CPU ms", report.Neither, r.ToolCPU},
		figure{"others' CPU share", report.Neither, c.others},
	)
}

// toldBare are the same figures of the bare program, which is its own load tool.
func toldBare(rate string, r scenario.Result, more ...figure) []figure {
	figures := append([]figure{{rate, report.More, r.Rate}}, more...)
	return append(figures,
		figure{"p50 ms", report.Less, r.P50},
		figure{"p99 ms", report.Less, r.P99},
		figure{cassandraCPU, report.Less, r.ServerCPU},
		figure{ownCPU, report.Less, r.ToolCPU},
		figure{"others' CPU share", report.Neither, r.Others},
	)
}

// timed are the arguments of the bare program for one turn.
func (b *bench) timed(connections int, pattern string, first, count int, more ...string) []string {
	return append([]string{
		"-n", fmt.Sprint(connections), "--pattern", pattern, "--first", fmt.Sprint(first), "--users", fmt.Sprint(count),
		"--duration", b.turnTime().String(),
	}, more...)
}

// rate is a number of mails a second that a server on the cluster can well take. What
// an operation costs Cassandra depends on how many there are, as threads that wait for
// work use processors too: only at the same rate do two programs compare in that.
func (b *bench) rate() float64 {
	switch nodes := len(b.Nodes); {
	case b.Rate > 0:
		return b.Rate
	case nodes == 1:
		return 400
	case nodes <= 3:
		return 120
	}
	return 50
}

// deliver has mail written to a hundred maildrops, as fast as answers come or at a
// fixed rate. Clients that forward much mail have their commands on the way together
// (RFC 2920).
func deliver(name string, fixed bool) step {
	rate := func(b *bench) float64 {
		if fixed {
			return b.rate()
		}
		return 0
	}
	return step{
		name: name,
		ours: func(ctx context.Context, b *bench) ([]figure, error) {
			l := b.smtp(writers, receivers, spread)
			l.Duration, l.Rate = b.turnTime(), rate(b)
			r, c, err := b.load(ctx, b.server, scenario.Deliver{Load: l, Pipelined: true, Size: small, From: peer.Sender})
			if err != nil {
				return nil, err
			}
			return told(mailRate, r, c), nil
		},
		bare: func(ctx context.Context, b *bench) ([]figure, error) {
			r, err := b.Bare(ctx, "write", b.timed(writers, bareDrops, 0, spread, "--size", fmt.Sprint(small), "--rate", fmt.Sprint(rate(b)))...)
			if err != nil {
				return nil, err
			}
			return toldBare(mailRate, r), nil
		},
	}
}

// once prepares what several steps need.
func (b *bench) once(what string, prepare func() error) error {
	if b.drops[what] {
		return nil
	}
	b.drops[what] = true
	return prepare()
}

// fill delivers letters, unmeasured.
func (b *bench) fill(ctx context.Context, first, count, each, size int) error {
	l := b.smtp(writers, first, count)
	l.Count = count * each
	_, _, err := b.load(ctx, b.server, scenario.Deliver{Load: l, Pipelined: true, Size: size, From: peer.Sender})
	return err
}

func fillReaders(ctx context.Context, b *bench) error {
	return b.once("readers", func() error { return b.fill(ctx, 0, readers, letters, small) })
}

// login compares a login and STAT with the one query that it cannot do without.
func login(user, messages int) step {
	return step{
		name: fmt.Sprintf("login + STAT of %d messages", messages),
		prepare: func(ctx context.Context, b *bench) error {
			return b.once(fmt.Sprint("user ", user), func() error { return b.fill(ctx, user, 1, messages, small) })
		},
		ours: func(ctx context.Context, b *bench) ([]figure, error) {
			l := b.pop3(1, user, 1)
			l.Duration = b.turnTime()
			r, c, err := b.load(ctx, b.server, scenario.Visit{Load: l, Expect: messages})
			if err != nil {
				return nil, err
			}
			return told("sessions/s", r, c,
				figure{loginP50, report.Less, r.Figures[loginP50]},
				figure{"login + STAT p99 ms", report.Less, r.Figures["login + STAT p99 ms"]}), nil
		},
		bare: func(ctx context.Context, b *bench) ([]figure, error) {
			r, err := b.Bare(ctx, "list", b.timed(1, peer.Pattern, user, 1, "--expect", fmt.Sprint(messages))...)
			if err != nil {
				return nil, err
			}
			return toldBare("sessions/s", r, // of nothing but the query
				figure{loginP50, report.Less, r.P50},
				figure{"login + STAT p99 ms", report.Less, r.P99}), nil
		},
	}
}

// retrieve compares RETR with reads of the same contents: in any order, or in that of
// the maildrop.
func retrieve(sessions int, shuffle bool) step {
	name := fmt.Sprintf("RETR of 4 KiB in any order, %d sessions", sessions)
	var order []string
	if shuffle {
		order = []string{"--shuffle"}
	} else {
		name = fmt.Sprintf("RETR of 4 KiB one after the other, %d session", sessions)
	}
	return step{
		name:    name,
		prepare: func(ctx context.Context, b *bench) error { return fillReaders(ctx, b) },
		ours: func(ctx context.Context, b *bench) ([]figure, error) {
			l := b.pop3(sessions, 0, readers)
			l.Duration = b.turnTime()
			r, c, err := b.load(ctx, b.server, scenario.Walk{Load: l, Shuffle: shuffle})
			if err != nil {
				return nil, err
			}
			return told(readRate, r, c), nil
		},
		bare: func(ctx context.Context, b *bench) ([]figure, error) {
			r, err := b.Bare(ctx, "read", b.timed(sessions, peer.Pattern, 0, readers, order...)...)
			if err != nil {
				return nil, err
			}
			return toldBare(readRate, r), nil
		},
	}
}

// removal fills a maildrop and has it emptied by one QUIT.
func removal(messages int) step {
	return step{
		name: fmt.Sprintf("DELE of %d messages, QUIT", messages),
		ours: func(ctx context.Context, b *bench) ([]figure, error) {
			if err := b.fill(ctx, deleter, 1, messages, small); err != nil {
				return nil, err
			}
			b.settle(ctx)
			r, c, err := b.load(ctx, b.server, scenario.Delete{Load: b.pop3(1, deleter, 1), Expect: messages})
			if err != nil {
				return nil, err
			}
			return []figure{
				{quitSeconds, report.Less, r.Figures["QUIT s"]},
				{"DELE s", report.Less, r.Figures["DELE s"]},
				{"Cassandra CPU ms in all", report.Less, c.cassandra},
				{"own CPU ms in all", report.Less, r.ServerCPU},
			}, nil
		},
	}
}

// atOnce is how many messages are delivered before they are deleted: as many as a
// client has that looks now and then.
const atOnce = 10_000

// churn has messages delivered and deleted, and compares the login with that to an
// empty maildrop, measured right before.
func churn(user, messages int) step {
	return step{
		name: fmt.Sprintf("login + STAT after %d delivered and deleted", messages),
		prepare: func(ctx context.Context, b *bench) error {
			for left := messages; left > 0; left -= atOnce {
				n := min(left, atOnce)
				if err := b.fill(ctx, user, 1, n, tiny); err != nil {
					return err
				}
				if _, _, err := b.load(ctx, b.server, scenario.Delete{Load: b.pop3(1, user, 1), Expect: n}); err != nil {
					return err
				}
			}
			return nil
		},
		ours: func(ctx context.Context, b *bench) ([]figure, error) {
			visit := func(user int) (scenario.Result, cost, error) {
				l := b.pop3(1, user, 1)
				l.Duration = b.turnTime()
				return b.load(ctx, b.server, scenario.Visit{Load: l})
			}
			fresh, freshCost, err := visit(empty)
			if err != nil {
				return nil, err
			}
			worn, wornCost, err := visit(user)
			if err != nil {
				return nil, err
			}
			return []figure{
				{timesEmpty, report.Less, worn.Figures[loginP50] / fresh.Figures[loginP50]},
				{loginP50, report.Less, worn.Figures[loginP50]},
				{loginP50 + ", empty maildrop", report.Less, fresh.Figures[loginP50]},
				{cassandraCPU, report.Less, wornCost.cassandra},
				{cassandraCPU + ", empty maildrop", report.Less, freshCost.cassandra},
				{"others' CPU share", report.Neither, wornCost.others},
			}, nil
		},
	}
}

// fresh measures a server that was just started, so that nothing from before is in
// its memory.
func fresh(name string, work func(ctx context.Context, b *bench, s *peer.Server) (scenario.Result, error)) step {
	return step{
		name: name,
		ours: func(ctx context.Context, b *bench) (_ []figure, err error) {
			kind, err := peer.Find(report.Ours)
			if err != nil {
				return nil, err
			}
			s, err := kind.Start(ctx, b.Settings("fresh", b.Datacenters()[0], 0))
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, s.Stop()) }()
			r, err := work(ctx, b, s)
			if err != nil {
				return nil, err
			}
			return []figure{{peakRSS, report.Less, r.PeakRSS}, {"seconds", report.Neither, r.Seconds}}, nil
		},
	}
}

// hold is how long sessions are open together.
const hold = 5 * time.Second

func sessions(n int) step {
	s := fresh(fmt.Sprintf("%d open sessions with %d messages each", n, letters), func(ctx context.Context, b *bench, s *peer.Server) (scenario.Result, error) {
		l := b.pop3(n, 0, readers)
		l.Address, l.Duration = s.POP3, hold
		r, _, err := b.load(ctx, s, scenario.Open{Load: l, Logins: 8})
		return r, err
	})
	s.prepare = func(ctx context.Context, b *bench) error { return fillReaders(ctx, b) }
	return s
}

func uploads(n int) step {
	return fresh(fmt.Sprintf("%d deliveries of 25 MiB at once", n), func(ctx context.Context, b *bench, s *peer.Server) (scenario.Result, error) {
		l := b.smtp(n, heavy, 1)
		l.Address, l.Count = s.SMTP, n
		l.Options.Timeout = 5 * time.Minute // all of them share one disk
		r, _, err := b.load(ctx, s, scenario.Deliver{Load: l, Size: huge, From: peer.Sender})
		return r, err
	})
}
