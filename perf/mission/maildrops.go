package mission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"restante/perf/letter"
	"restante/perf/scenario"
	"restante/perf/wire"
)

const (
	// patience is how long mail may take to be seen that should be there at once.
	patience = 30 * time.Second
	// looks is how often it is looked for then.
	looks = 50 * time.Millisecond
)

// session is one of a user, with each command timed, up to QUIT, whose time has the
// name ended.
func (r *run) session(ctx context.Context, at scenario.Target, user int, ended string, work func(*wire.POP3) error) error {
	var p *wire.POP3
	err := r.times.take(connect, func() (err error) {
		p, err = wire.DialPOP3(ctx, at.POP3, r.Options)
		return err
	})
	if err != nil {
		return fmt.Errorf("connect to %s: %w", at.Name, err)
	}
	err = r.times.take(login, func() error { return p.Login(r.user(user), r.Password) })
	if err == nil {
		err = work(p)
	}
	if err != nil {
		return fmt.Errorf("user %d at %s: %w", user, at.Name, errors.Join(err, p.Close()))
	}
	if err := r.times.take(ended, p.Quit); err != nil {
		return fmt.Errorf("user %d at %s: %w", user, at.Name, err)
	}
	return nil
}

func (r *run) stat(p *wire.POP3) (messages int, octets int64, err error) {
	err = r.times.take(stat, func() (err error) {
		messages, octets, err = p.Stat()
		return err
	})
	return messages, octets, err
}

// each has every user do something, Readers at a time. An operation is one user; done
// tells how many messages it was about.
func (r *run) each(ctx context.Context, phase string, do func(ctx context.Context, user int) (done int, octets int64, err error)) error {
	var messages atomic.Int64
	load := scenario.Repeat{
		Load: scenario.Load{Connections: min(r.Readers, r.Users), Count: r.Users},
		Do: func(ctx context.Context, _, user int) (int64, error) {
			done, octets, err := do(ctx, user)
			messages.Add(int64(done))
			return octets, err
		},
	}
	_, err := r.measure(ctx, phase, runner(func(ctx context.Context) (*scenario.Tally, error) {
		t, err := load.Run(ctx)
		if t != nil && messages.Load() > 0 {
			t.Figures = map[string]float64{"messages/s": float64(messages.Load()) / t.Elapsed.Seconds()}
		}
		return t, err
	}))
	return err
}

// prepare empties all maildrops. A server may remember of a login that the password was
// right, which takes it long on purpose to find out: so everybody has been at each server
// once before it counts, and what that took is told by itself, a login an operation. It is
// the cost of a first login for users who have not been there for a while.
func (r *run) prepare(ctx context.Context) error {
	visits := r.visits()
	alone := make([]sync.Mutex, r.Accounts()) // a maildrop may be locked
	load := scenario.Repeat{
		Load: scenario.Load{Connections: min(r.Readers, len(visits)), Count: len(visits)},
		Do: func(ctx context.Context, _, i int) (int64, error) {
			v := visits[i]
			alone[v.user].Lock()
			defer alone[v.user].Unlock()
			return 0, r.clear(ctx, v.at, v.user, r.times)
		},
	}
	result, err := r.measure(ctx, firstLogin, load)
	if err == nil && result.Errors > 0 {
		err = fmt.Errorf("first login: %d of %d failed: %s", result.Errors, len(visits), result.Faults[0])
	}
	return err
}

// A visit is a login of a user to a server.
type visit struct {
	user int
	at   scenario.Target
}

// visits are one for each user and server where the test has the user log in. Those who
// look into two servers have the other users in between.
func (r *run) visits() []visit {
	var first, second []visit
	for _, p := range r.probes() {
		for i := range r.probers() {
			first = append(first, visit{p.first + i, p.from})
			if p.into.POP3 != "" && p.into.POP3 != p.from.POP3 {
				second = append(second, visit{p.first + i, p.into})
			}
		}
	}
	for user := range r.Users {
		first = append(first, visit{user, r.home(user)})
	}
	return append(first, second...)
}

// clear empties a maildrop; the time of the login counts as that of a first one.
func (c Clients) clear(ctx context.Context, at scenario.Target, user int, t *times) error {
	p, err := wire.DialPOP3(ctx, at.POP3, c.Options)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }() // after an error; QUIT closes too
	if err := t.take(firstLogin, func() error { return p.Login(c.user(user), c.Password) }); err != nil {
		return fmt.Errorf("%s at %s: %w", c.user(user), at.Name, err)
	}
	n, _, err := p.Stat()
	if err == nil {
		err = p.DeleAll(n)
	}
	if err != nil {
		return err
	}
	return p.Quit()
}

// count holds STAT to what was acknowledged. Where there is less, it looks again until
// patience ends: that is late, or wrong.
func (r *run) count(ctx context.Context) error {
	deadline := time.Now().Add(r.Patience)
	return r.each(ctx, "STAT", func(ctx context.Context, user int) (int, int64, error) {
		for try := 1; ; try++ {
			var messages int
			var less bool
			var wrong error
			err := r.session(ctx, r.home(user), user, quit, func(p *wire.POP3) error {
				n, octets, err := r.stat(p)
				messages = n
				if err == nil {
					less, wrong = r.ledger.counted(user, n, octets)
				}
				return err
			})
			if try == 1 && less {
				r.ledger.note(func(v *Verdict) { v.Late++ })
			}
			switch {
			case err != nil:
				return 0, 0, err
			case wrong == nil:
				return messages, 0, nil
			case !less || time.Now().After(deadline):
				r.ledger.note(func(v *Verdict) { v.Miscounted++ })
				return messages, 0, wrong
			case !scenario.Pause(ctx, looks):
				return messages, 0, ctx.Err()
			}
		}
	})
}

// retrieve verifies every message of every user.
func (r *run) retrieve(ctx context.Context) error {
	if r.Unread {
		return nil
	}
	return r.each(ctx, "RETR", func(ctx context.Context, user int) (done int, octets int64, err error) {
		var wrong error // the first that is
		var checker letter.Checker
		err = r.session(ctx, r.home(user), user, quit, func(p *wire.POP3) error {
			n, told, err := r.stat(p)
			if err != nil {
				return err
			}
			for done < n {
				if err := r.fetch(p, done+1, &checker); err != nil {
					return err
				}
				wrong = cmp.Or(wrong, r.ledger.retrieved(user, &checker))
				octets += checker.Octets()
				done++
			}
			if octets != told {
				r.ledger.note(func(v *Verdict) { v.Missized++ })
				wrong = cmp.Or(wrong, fmt.Errorf("user %d: STAT tells %d octets, RETR %d", user, told, octets))
			}
			return nil
		})
		if err != nil {
			return done, octets, err
		}
		return done, octets, cmp.Or(r.ledger.complete(user), wrong)
	})
}

// fetch retrieves one message.
func (r *run) fetch(p *wire.POP3, number int, c *letter.Checker) error {
	c.Reset()
	return r.times.take(retr, func() error { return p.Retr(number, c) })
}

// remove deletes every message of every user, with one DELE at a time.
func (r *run) remove(ctx context.Context) error {
	return r.each(ctx, PhaseRemove, func(ctx context.Context, user int) (done int, _ int64, err error) {
		err = r.session(ctx, r.home(user), user, quitRemoving, func(p *wire.POP3) error {
			n, _, err := r.stat(p)
			if err != nil {
				return err
			}
			for done < n {
				if err := r.times.take(dele, func() error { return p.Dele(done + 1) }); err != nil {
					return err
				}
				done++
			}
			return nil
		})
		return done, 0, err
	})
}

// countNothing holds the server to what it removed.
func (r *run) countNothing(ctx context.Context) error {
	return r.each(ctx, "STAT of nothing", func(ctx context.Context, user int) (left int, _ int64, err error) {
		err = r.session(ctx, r.home(user), user, quit, func(p *wire.POP3) (err error) {
			left, _, err = r.stat(p)
			return err
		})
		if left > 0 {
			r.ledger.note(func(v *Verdict) { v.Left += left })
			err = errors.Join(err, fmt.Errorf("user %d: %d messages are there after their removal", user, left))
		}
		return 0, 0, err
	})
}
