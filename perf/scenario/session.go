package scenario

import (
	"context"
	"errors"
	"fmt"

	"restante/perf/letter"
	"restante/perf/wire"
)

// A Session is what a mail reader does: connect, log in, STAT, UIDL, RETR, DELE
// if asked, QUIT. Every message is verified, so they must all be letters. An
// operation is one session.
type Session struct {
	Load
	Messages int  // retrieved in each session, zero for all there are
	Delete   bool // what was retrieved
}

// Run holds sessions until the load's end.
func (s Session) Run(ctx context.Context) (*Tally, error) {
	return drive(ctx, s.Load, func(int) worker { return &reader{Session: s} })
}

type reader struct {
	Session
	checker letter.Checker
}

func (r *reader) do(ctx context.Context, i int) (octets int64, err error) {
	err = withLogin(ctx, r.Load, i, func(p *wire.POP3) error {
		octets, err = r.read(p)
		return err
	})
	return octets, err
}

func (r *reader) read(p *wire.POP3) (int64, error) {
	n, _, err := p.Stat()
	if err != nil {
		return 0, err
	}
	if r.Messages > n {
		return 0, fmt.Errorf("session: the maildrop has %d messages, %d are needed", n, r.Messages)
	}
	listed := 0
	if err := p.UIDL(func(int, []byte) { listed++ }); err != nil {
		return 0, err
	}
	if listed != n {
		return 0, fmt.Errorf("session: STAT says %d messages, UIDL %d", n, listed)
	}
	if r.Messages > 0 {
		n = r.Messages
	}
	var octets int64
	for number := 1; number <= n; number++ {
		if err := retrieve(p, number, &r.checker); err != nil {
			return octets, err
		}
		octets += r.checker.Octets()
		if r.Delete {
			if err := p.Dele(number); err != nil {
				return octets, err
			}
		}
	}
	return octets, nil
}

func (r *reader) close() {}

// retrieve takes a message and verifies it.
func retrieve(p *wire.POP3, number int, c *letter.Checker) error {
	c.Reset()
	if err := p.Retr(number, c); err != nil {
		return err
	}
	_, _, err := c.Check()
	return err
}

// withLogin is a session of the user whose turn it is at operation i, with QUIT
// at its end.
func withLogin(ctx context.Context, l Load, i int, work func(*wire.POP3) error) error {
	p, err := login(ctx, l, i)
	if err != nil {
		return err
	}
	if err := work(p); err != nil {
		return errors.Join(err, p.Close())
	}
	return p.Quit()
}

func login(ctx context.Context, l Load, i int) (*wire.POP3, error) {
	p, err := wire.DialPOP3(ctx, l.Address, l.Options)
	if err != nil {
		return nil, err
	}
	if err := p.Login(l.User(i), l.Password); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}
