package scenario

import (
	"context"
	"errors"
	"fmt"

	"restante/perf/letter"
	"restante/perf/wire"
)

// A Deliver sends letters; an operation is one mail, from MAIL to the answer to
// its last octet. Connections are kept.
type Deliver struct {
	Load
	LMTP      bool
	Pipelined bool
	Size      int // octets of the body
	// Recipients of each mail: users one after another. Zero counts as one.
	Recipients int
	From       string
	// Login says that the mail is submitted: a connection begins with the login of From.
	Login bool
}

// Run delivers until the load's end.
func (d Deliver) Run(ctx context.Context) (*Tally, error) {
	run := newRun()
	return drive(ctx, d.Load, func(int) worker { return &deliverer{Deliver: d, run: run} })
}

type deliverer struct {
	Deliver
	run    uint64
	smtp   *wire.SMTP
	writer letter.Writer
	to     []string
}

func (d *deliverer) do(ctx context.Context, i int) (int64, error) {
	if d.smtp == nil {
		var err error
		if d.smtp, err = wire.DialSMTP(ctx, d.Address, d.LMTP, d.Options); err != nil {
			return 0, err
		}
		if err := d.login(); err != nil {
			return 0, err
		}
	}
	n := max(d.Recipients, 1)
	d.to = d.to[:0]
	for k := range n {
		d.to = append(d.to, d.User(i*n+k))
	}
	m := d.writer.Compose(letter.ID{Run: d.run, Seq: uint64(i)}, d.From, d.to[0], d.Size)
	err := d.smtp.Send(wire.Mail{From: d.From, To: d.to, Data: m.Wire}, d.Pipelined)
	var refused *wire.ReplyError
	if err != nil && !errors.As(err, &refused) {
		_ = d.smtp.Close()
		d.smtp = nil
	}
	if err != nil {
		return 0, fmt.Errorf("deliver: %w", err)
	}
	return int64(len(m.Wire)), nil
}

// login says who submits, where mail is submitted.
func (d *deliverer) login() error {
	if !d.Login {
		return nil
	}
	if err := d.smtp.Login(d.From, d.Password); err != nil {
		_ = d.smtp.Close()
		d.smtp = nil
		return fmt.Errorf("log in: %w", err)
	}
	return nil
}

func (d *deliverer) close() {
	if d.smtp != nil {
		_ = d.smtp.Quit()
	}
}
