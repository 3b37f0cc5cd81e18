package scenario

import (
	"context"
	"fmt"

	"restante/perf/wire"
)

// A Login is what a mail reader does most of the time: connect, log in, STAT,
// QUIT. An operation is one such visit.
type Login struct {
	Load
	// Expect is the number of messages that STAT must tell; negative for any.
	Expect int
}

// Run visits until the load's end.
func (v Login) Run(ctx context.Context) (*Tally, error) {
	return drive(ctx, v.Load, func(int) worker { return visitor{v} })
}

type visitor struct{ Login }

func (v visitor) do(ctx context.Context, i int) (int64, error) {
	return 0, withLogin(ctx, v.Load, i, func(p *wire.POP3) error {
		n, _, err := p.Stat()
		if err == nil && v.Expect >= 0 && n != v.Expect {
			err = fmt.Errorf("login: STAT tells %d messages, not %d", n, v.Expect)
		}
		return err
	})
}

func (v visitor) close() {}
