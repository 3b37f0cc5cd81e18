package sweep

import (
	"context"
	"fmt"
	"slices"

	"restante/perf/report"
	"restante/perf/scenario"
)

// visitors is how many users of each number log in again and again: a server remembers
// of so many that their password was right.
const visitors = 80

// Population varies how many users mail goes to, all of them evenly: what the delivery of
// a mail of 4 KiB costs, a login to an empty maildrop, and the first login of all. They
// come behind those of the stage; provide makes those that are not there yet, up to a
// number of users in all.
func (s *Stage) Population(ctx context.Context, provide func(ctx context.Context, users int) error, counts ...int) ([]report.Point, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var all report.Rounds
	before := 0
	for _, n := range slices.Sorted(slices.Values(counts)) {
		if n-before < visitors {
			return all.Points(), fmt.Errorf("sweep: from %d to %d users there are fewer than %d", before, n, visitors)
		}
		s.Say("making %s users", report.Short(float64(n-before)))
		if err := provide(ctx, s.Users+n); err != nil {
			return all.Points(), err
		}
		if err := s.population(ctx, &all, before, n); err != nil {
			return all.Points(), err
		}
		before = n
	}
	return all.Points(), nil
}

func (s *Stage) population(ctx context.Context, all *report.Rounds, before, n int) error {
	const kib = 4
	mail := s.load(s.SMTP, s.Users, connections)
	mail.Users, mail.Step = n, stride(n)
	mail.Count = mails(kib << 10)
	sent := s.point(Users, float64(n), "", map[string]float64{Size: kib, Recipients: 1})

	// None of the visitors was one before, and they come from all over the new users.
	visit := s.load(s.POP3, s.Users+before, connections)
	visit.Step = (n - before) / visitors
	visit.Users = visitors * visit.Step
	seen := s.point(Users, float64(n), "", map[string]float64{Messages: 0})
	first := visit
	first.Count, first.Duration = visitors, 0
	if _, err := s.run(ctx, all, seen, FirstLogin, scenario.Login{Load: first, Expect: 0}); err != nil {
		return err
	}
	for range s.Rounds {
		if _, err := s.run(ctx, all, sent, Delivery, scenario.Deliver{Load: mail, Size: kib << 10, From: s.Sender}); err != nil {
			return err
		}
		for i := range visitors {
			if err := s.remove(ctx, visit.First+i*visit.Step); err != nil {
				return err
			}
		}
		if _, err := s.run(ctx, all, seen, Login, scenario.Login{Load: visit, Expect: 0}); err != nil {
			return err
		}
	}
	return nil
}

// stride is a step from one user to the next by which few mails are spread over all as
// evenly as many: the golden section, or a little less so that everybody has a turn.
func stride(users int) int {
	step := max(1, int(0.618*float64(users)))
	for gcd(step, users) > 1 {
		step--
	}
	return step
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
