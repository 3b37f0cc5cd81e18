package sweep

import (
	"context"
	"fmt"
	"slices"

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
// what it takes on the disks.
func (s *Stage) Sizes(ctx context.Context, kib ...float64) ([]report.Point, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var all report.Rounds
	for range s.Rounds {
		for user, size := range kib {
			if err := s.size(ctx, &all, user, size); err != nil {
				return all.Points(), err
			}
		}
	}
	return all.Points(), nil
}

func (s *Stage) size(ctx context.Context, all *report.Rounds, user int, kib float64) error {
	p := s.point(Size, kib, "KiB", map[string]float64{Recipients: 1})
	octets := int(kib * 1024)
	before, err := s.stored(ctx)
	if err != nil {
		return err
	}
	l := s.load(s.SMTP, user, connections)
	l.Count = mails(octets)
	r, err := s.run(ctx, all, p, Delivery, scenario.Deliver{Load: l, Size: octets, From: s.Sender})
	if err != nil {
		return err
	}
	after, err := s.stored(ctx)
	if err != nil {
		return err
	}
	if s.Stored != nil {
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

func (s *Stage) stored(ctx context.Context) (int64, error) {
	if s.Stored == nil {
		return 0, nil
	}
	return s.Stored(ctx)
}

// remove empties a maildrop.
func (s *Stage) remove(ctx context.Context, user int) error {
	_, err := scenario.Delete{Load: s.load(s.POP3, user, 1), Expect: -1}.Run(ctx)
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

// Maildrops varies how many messages of 200 octets a maildrop has when its user logs in.
// It is one maildrop that grows, so all rounds at a number come before the next.
func (s *Stage) Maildrops(ctx context.Context, counts ...int) ([]report.Point, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	user := s.Users - 1
	var all report.Rounds
	there := 0
	for _, n := range slices.Sorted(slices.Values(counts)) {
		if err := s.fill(ctx, user, n-there); err != nil {
			return all.Points(), err
		}
		there = n
		if err := s.greet(ctx, user); err != nil {
			return all.Points(), err
		}
		for range s.Rounds {
			p := s.point(Messages, float64(n), "", nil)
			if _, err := s.run(ctx, &all, p, Login, scenario.Login{Load: s.load(s.POP3, user, connections), Expect: n}); err != nil {
				return all.Points(), err
			}
		}
	}
	return all.Points(), s.remove(ctx, user)
}

// fill delivers so many small mails to a user, however long that takes.
func (s *Stage) fill(ctx context.Context, user, count int) error {
	if count <= 0 {
		return nil
	}
	l := s.load(s.SMTP, user, 16)
	l.Count, l.Duration = count, 0
	t, err := scenario.Deliver{Load: l, Size: 200, From: s.Sender, Pipelined: true}.Run(ctx)
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
