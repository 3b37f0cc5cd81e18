package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"restante/perf/report"
	"restante/perf/scenario"
)

const (
	// connections is how many clients there are at a time: enough that a server
	// always has something to do, and few enough that latency is no queue.
	connections = 4

	mostRecipients = 100
	fewest         = 8 // mails of a load, however large they are
	volume         = 96 << 20
)

// mails is how many mails of a size a load has at most, so that large ones do not fill
// the disk.
func mails(octets int) int { return max(fewest, volume/max(octets, 1)) }

// Sizes varies how large a mail is, in KiB: its delivery to one recipient, its RETR, and
// what it takes on the disks. A size that fails is left out from then on: a mail that is
// too large for a server says nothing of the others.
func (s *Stage) Sizes(ctx context.Context, kib ...float64) ([]report.Point, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var all report.Rounds
	failed := map[float64]error{}
	for round := range s.Rounds {
		for _, size := range turned(kib, round) {
			if failed[size] == nil {
				failed[size] = s.size(ctx, &all, size, round == 0)
			}
			if ctx.Err() != nil {
				return all.Points(), ctx.Err()
			}
		}
	}
	var errs []error
	for _, size := range kib {
		errs = append(errs, failed[size])
	}
	return all.Points(), errors.Join(errs...)
}

// size measures one. What is stored is looked at once: it takes nodes long to tell, and
// is the same in each round.
func (s *Stage) size(ctx context.Context, all *report.Rounds, kib float64, look bool) error {
	const user = 0
	p := s.point(Size, kib, "KiB", map[string]float64{Recipients: 1})
	octets := int(kib * 1024)
	if err := s.remove(ctx, user); err != nil {
		return err
	}
	look = look && s.Stored != nil
	before, err := s.stored(ctx, look)
	if err != nil {
		return err
	}
	l := s.load(s.SMTP, user, connections)
	l.Count = mails(octets)
	r, err := s.run(ctx, all, p, Delivery, scenario.Deliver{Load: l, Size: octets, From: s.Sender})
	if err != nil {
		return err
	}
	after, err := s.stored(ctx, look)
	if err != nil {
		return err
	}
	if look {
		p := p
		p.Series, p.Metric, p.UnitY = Delivery, Stored, "octets"
		all.Add(p, float64(after-before)/float64(r.Operations))
	}
	if err := s.greet(ctx, user); err != nil {
		return err
	}
	if _, err := s.run(ctx, all, p, Retrieve, scenario.Retr{Load: s.load(s.POP3, user, connections), Discard: true}); err != nil {
		return err
	}
	return s.remove(ctx, user)
}

func (s *Stage) stored(ctx context.Context, look bool) (int64, error) {
	if !look {
		return 0, nil
	}
	if err := s.settle(ctx); err != nil {
		return 0, err
	}
	return s.Stored(ctx)
}

// removalTimeout is how long one QUIT may take that removes all that there is.
const removalTimeout = 10 * time.Minute

// remove empties a maildrop.
func (s *Stage) remove(ctx context.Context, user int) error {
	l := s.load(s.POP3, user, 1)
	l.Options.Timeout = removalTimeout
	_, err := scenario.Delete{Load: l, Expect: -1}.Run(ctx)
	return err
}

// Recipients varies how many a mail of 4 KiB has.
func (s *Stage) Recipients(ctx context.Context, counts ...int) ([]report.Point, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	const kib = 4
	var all report.Rounds
	for range s.Rounds {
		for _, n := range counts {
			p := s.point(Recipients, float64(n), "", map[string]float64{Size: kib})
			l := s.load(s.SMTP, 0, connections)
			l.Users = mostRecipients
			l.Count = mails(kib << 10 * n)
			if _, err := s.run(ctx, &all, p, Delivery, scenario.Deliver{Load: l, Size: kib << 10, From: s.Sender, Recipients: n}); err != nil {
				return all.Points(), err
			}
		}
		for user := range mostRecipients {
			if err := s.remove(ctx, user); err != nil {
				return all.Points(), err
			}
		}
	}
	return all.Points(), nil
}

// tiny is a mail whose size is none of the matter.
const tiny = 200

// Maildrops varies how many messages of 200 octets a maildrop has when its user logs in.
func (s *Stage) Maildrops(ctx context.Context, counts ...int) ([]report.Point, error) {
	return s.visits(ctx, Messages, counts, func(user, n int) (int, error) {
		return n, s.fill(ctx, user, n)
	})
}

const (
	// atOnce is how many messages are delivered before they are removed, as by a client
	// that looks now and then.
	atOnce = 1000
	// sample is how many of the last of them are enough to tell what one costs.
	sample = 500
)

// Ever varies how many messages of 200 octets a maildrop has had, all removed, when its
// user logs in; and what the last of them cost, where they are enough to tell.
func (s *Stage) Ever(ctx context.Context, counts ...int) ([]report.Point, error) {
	var last report.Rounds
	points, err := s.visits(ctx, Ever, counts, func(user, n int) (int, error) {
		for left := n; left > 0; left -= atOnce {
			count := min(left, atOnce)
			if left <= atOnce && count >= sample {
				p := s.point(Ever, float64(n), "", map[string]float64{Size: tiny / 1024.0, Recipients: 1})
				l := s.load(s.SMTP, user, connections)
				l.Count, l.Duration = sample, 0
				if _, err := s.run(ctx, &last, p, Delivery, scenario.Deliver{Load: l, Size: tiny, From: s.Sender}); err != nil {
					return 0, err
				}
				count -= sample
			}
			if err := s.fill(ctx, user, count); err != nil {
				return 0, err
			}
			if err := s.remove(ctx, user); err != nil {
				return 0, err
			}
		}
		return 0, nil
	})
	return append(last.Points(), points...), err
}

// visits has maildrops prepared, one for each number, and then all of them visited in
// turn. Prepare tells how many messages it has left.
func (s *Stage) visits(ctx context.Context, sweep string, counts []int, prepare func(user, n int) (int, error)) ([]report.Point, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	type drop struct{ user, n, messages int }
	var drops []drop
	for i, n := range slices.Sorted(slices.Values(counts)) {
		d := drop{user: s.Users - 1 - i, n: n}
		if err := s.remove(ctx, d.user); err != nil {
			return nil, err
		}
		s.Say("%s %s: preparing a maildrop", sweep, report.Short(float64(n)))
		var err error
		if d.messages, err = prepare(d.user, n); err != nil {
			return nil, err
		}
		drops = append(drops, d)
	}
	var all report.Rounds
	for round := range s.Rounds {
		for _, d := range turned(drops, round) {
			if err := s.greet(ctx, d.user); err != nil {
				return all.Points(), err
			}
			p := s.point(sweep, float64(d.n), "", map[string]float64{Messages: float64(d.messages)})
			if _, err := s.run(ctx, &all, p, Login, scenario.Login{Load: s.load(s.POP3, d.user, connections), Expect: d.messages}); err != nil {
				return all.Points(), err
			}
		}
	}
	for _, d := range drops {
		if err := s.remove(ctx, d.user); err != nil {
			return all.Points(), err
		}
	}
	return all.Points(), nil
}

// fill delivers so many small mails to a user, however long that takes.
func (s *Stage) fill(ctx context.Context, user, count int) error {
	if count <= 0 {
		return nil
	}
	l := s.load(s.SMTP, user, 16)
	l.Count, l.Duration = count, 0
	t, err := scenario.Deliver{Load: l, Size: tiny, From: s.Sender, Pipelined: true}.Run(ctx)
	if err == nil && t.Errors > 0 {
		err = fmt.Errorf("sweep: fill a maildrop: %d of %d mails failed: %q", t.Errors, count, t.Faults)
	}
	return err
}

// greet logs a user in, as a password that a server has not seen for a while takes it a
// time that is none of the load.
func (s *Stage) greet(ctx context.Context, user int) error {
	l := s.load(s.POP3, user, 1)
	l.Count = 1
	t, err := scenario.Login{Load: l, Expect: -1}.Run(ctx)
	if err == nil && t.Errors > 0 {
		err = fmt.Errorf("sweep: log in: %q", t.Faults)
	}
	return err
}
