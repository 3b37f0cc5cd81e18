package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"restante/perf/peer"
	"restante/perf/proc"
	"restante/perf/report"
	"restante/perf/scenario"
)

const (
	fillMessages = 10_000
	fillMaildrop = 100
	// slow is what each session of the memory scenario reads: 25 MiB take long
	// enough for all of them to be in the middle.
	slow     = 128 << 10
	holdTime = 5 * time.Second
)

// memory starts a server of its own for each round, so that nothing from before
// is in it, and follows its memory through a short life.
func memory(sessions int) step {
	return step{
		name: "memory and start-up of a fresh server",
		run: func(ctx context.Context, b *bench, c *contender) (figures []figure, err error) {
			settings := b.settings(c.kind.Name + "-fresh")
			defer func() { err = errors.Join(err, os.RemoveAll(settings.Dir)) }()
			s, err := c.kind.Start(ctx, settings) // makes keys and accounts
			if err != nil {
				return nil, err
			}
			first := s.Ready
			if err := s.Stop(); err != nil {
				return nil, err
			}
			if s, err = c.kind.Start(ctx, settings); err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(s.Stop(), err) }()
			figures, err = b.life(ctx, s, sessions)
			return append([]figure{
				{name: "very first start to open ports, s", better: report.Less, value: first.Seconds()},
				{name: "start to open ports, empty store, s", better: report.Less, value: s.Ready.Seconds()},
			}, figures...), err
		},
	}
}

func (b *bench) life(ctx context.Context, s *peer.Server, sessions int) ([]figure, error) {
	b.settle(ctx, s)
	idle, err := proc.System{}.TreePSS(s.PIDs()...)
	if err != nil {
		return nil, err
	}
	figures := resident("idle", idle)

	l := b.load("", 8, readers, fillMaildrop)
	l.Count = fillMessages
	if err := b.fill(ctx, s, scenario.Deliver{Load: l, Size: small}); err != nil {
		return figures, err
	}
	b.settle(ctx, s)
	filled, err := proc.System{}.TreePSS(s.PIDs()...)
	if err != nil {
		return figures, err
	}
	figures = append(figures, resident(fmt.Sprintf("after %d messages in %d maildrops", fillMessages, fillMaildrop), filled)...)

	l = b.load("", 1, heavy, 1)
	l.Count = 1
	if err := b.fill(ctx, s, scenario.Deliver{Load: l, Size: huge}); err != nil {
		return figures, err
	}
	l = b.load(s.POP3, sessions, heavy, 1)
	l.Duration = holdTime
	l.Options.Timeout = 2 * time.Minute // as many processes take their time to start
	r, err := measureServer(ctx, s, scenario.Hold{Load: l, Speed: slow})
	if err != nil {
		return figures, err
	}
	return append(figures, figure{
		name: fmt.Sprintf("peak RSS MiB, %d sessions retrieving 25 MiB", sessions), better: report.Less, value: r.PeakRSS,
	}), nil
}

func resident(when string, u proc.Usage) []figure {
	const mib = 1 << 20
	return []figure{
		{name: "RSS MiB " + when, better: report.Less, value: float64(u.RSS) / mib},
		{name: "PSS MiB " + when, better: report.Less, value: float64(u.PSS) / mib},
	}
}

// recipients of each mail that fills a store quickly.
const recipients = 100

// startUp measures how long a server takes that finds many messages. They are
// delivered once; a server that does not look at its mail when it starts has
// nothing to show here, so only ours takes part.
func startUp(messages int) step {
	return step{
		name:  fmt.Sprintf("start-up with %d messages in %d maildrops", messages, fillMaildrop),
		takes: ours,
		run: func(ctx context.Context, b *bench, c *contender) ([]figure, error) {
			settings := b.settings(c.kind.Name + "-full")
			s, err := c.kind.Start(ctx, settings)
			if err != nil {
				return nil, err
			}
			if !c.filled {
				l := b.load("", 8, readers, fillMaildrop)
				l.Count = messages / recipients
				if err := b.fill(ctx, s, scenario.Deliver{Load: l, Size: 200, Recipients: recipients}); err != nil {
					return nil, errors.Join(err, s.Stop())
				}
				c.filled = true
				if err := s.Stop(); err != nil {
					return nil, err
				}
				if s, err = c.kind.Start(ctx, settings); err != nil {
					return nil, err
				}
			}
			if err := s.Kill(); err != nil { // the second figure: with a log to replay
				return nil, err
			}
			again, err := c.kind.Start(ctx, settings)
			if err != nil {
				return nil, err
			}
			return []figure{
				{name: "start to open ports, s", better: report.Less, value: s.Ready.Seconds()},
				{name: "start to open ports after kill -9, s", better: report.Less, value: again.Ready.Seconds()},
			}, again.Stop()
		},
	}
}
