package mission

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"restante/perf/letter"
	"restante/perf/scenario"
	"restante/perf/wire"
)

// deliver has the mail come in, and beside it that which is looked for at once.
func (r *run) deliver(ctx context.Context) error {
	probing, stop := context.WithCancel(ctx)
	defer stop()
	var probes sync.WaitGroup
	probes.Go(func() { r.probe(probing) })
	err := r.send(ctx)
	probes.Wait() // each probe has an end of its own, about that of the mail
	return err
}

// send is all mail of the test.
func (r *run) send(ctx context.Context) error {
	s := &sending{run: r, life: ctx, connections: make([]sender, r.Connections)}
	to := senders(r.Targets)
	for i := range s.connections {
		s.connections[i].target = to[i%len(to)]
	}
	defer s.close()
	s.open(ctx)
	load := scenario.Repeat{
		Load: scenario.Load{Connections: r.Connections, Count: r.mails(), Rate: r.Rate, Poisson: r.Poisson},
		Do:   s.do,
	}
	result, err := r.measure(ctx, PhaseDeliver, runner(func(ctx context.Context) (*scenario.Tally, error) {
		if r.Overtime > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, r.Duration+r.Overtime)
			defer cancel()
		}
		t, err := load.Run(ctx)
		if t != nil {
			r.times.merge(fromDue, &t.Latency)
			r.out.Waited, r.out.Queue = t.Waited, t.Queue
		}
		return t, err
	}))
	r.out.Accepted, r.out.Deferred, r.out.Refused = s.accepted.Load(), s.deferred.Load(), s.refused.Load()
	r.out.Lost, r.out.TimedOut = s.lost.Load(), s.timedOut.Load()
	r.out.Unsent = int64(r.mails()) - r.out.Accepted - r.out.Deferred - r.out.Refused - r.out.Lost - r.out.TimedOut
	r.out.Sustained = result.Rate
	return err
}

type runner func(ctx context.Context) (*scenario.Tally, error)

func (f runner) Run(ctx context.Context) (*scenario.Tally, error) { return f(ctx) }

// sending is the mail that is sent, over all connections.
type sending struct {
	*run
	// life ends when the whole test is given up. The end of the time for mail that waits
	// leaves alone what is under way.
	life        context.Context
	connections []sender

	accepted, deferred, refused, lost, timedOut atomic.Int64
}

// A sender is one connection, kept from one mail to the next.
type sender struct {
	target   scenario.Target
	smtp     *wire.SMTP
	writer   letter.Writer
	failures int // to connect, in a row
}

// openers is how many connections are made at the same time.
const openers = 8

// open makes all connections before the first mail is due: what that takes is no latency
// of mail over connections that are kept. One that cannot be made is tried again with its
// first mail.
func (s *sending) open(ctx context.Context) {
	var all sync.WaitGroup
	free := make(chan struct{}, openers)
	for i := range s.connections {
		free <- struct{}{}
		all.Go(func() {
			_ = s.connect(ctx, &s.connections[i])
			<-free
		})
	}
	all.Wait()
}

// do sends one mail, on the connection of that number.
func (s *sending) do(ctx context.Context, connection, seq int) (int64, error) {
	c := &s.connections[connection]
	to := make([]string, s.ledger.recipients)
	for k := range to {
		to[k] = s.user(s.ledger.recipient(seq, k))
	}
	m := c.writer.Compose(s.ledger.id(seq), s.Sender, to[0], s.Size)
	if err := s.connect(ctx, c); err != nil {
		s.ledger.sent(m, refused)
		return 0, fmt.Errorf("connect to %s: %w", c.target.Name, s.failed(err))
	}
	began := time.Now()
	reached, last := -1, began
	err := c.smtp.Send(wire.Mail{From: s.Sender, To: to, Data: m.Wire, Answered: func(step wire.Step) {
		now := time.Now()
		s.times.record([...]string{envelope, data, content}[step], now.Sub(last))
		reached, last = int(step), now
	}}, s.Pipelined)
	if err == nil {
		s.times.record(fromMail, time.Since(began))
		s.accepted.Add(1)
		s.ledger.sent(m, acknowledged)
		return int64(len(m.Wire)), nil
	}
	s.ledger.sent(m, fate(err, reached))
	if ended(err) {
		_ = c.smtp.Close()
		c.smtp = nil
	}
	return 0, fmt.Errorf("deliver to %s: %w", c.target.Name, s.failed(err))
}

// fate is that of a mail that failed after it had come so far.
func fate(err error, reached int) state {
	var said *wire.ReplyError
	switch {
	case reached < int(wire.Data):
		return refused // the server has seen no content
	case errors.As(err, &said) && said.Reply[0] == '5':
		return refused
	}
	return unknown
}

// ended says whether the connection is of no use any more. A server that says 421 closes
// it (RFC 5321, section 3.8).
func ended(err error) bool {
	var said *wire.ReplyError
	return !errors.As(err, &said) || strings.HasPrefix(said.Reply, "421")
}

// failed counts why a mail was not taken.
func (s *sending) failed(err error) error {
	var said *wire.ReplyError
	var waited net.Error
	switch {
	case errors.As(err, &said) && said.Reply[0] == '4':
		s.deferred.Add(1)
	case errors.As(err, &said):
		s.refused.Add(1)
	case errors.As(err, &waited) && waited.Timeout():
		s.timedOut.Add(1)
	default:
		s.lost.Add(1)
	}
	return err
}

// backoff is how much longer a connection waits after each time that it could not be
// made, so that a server that is gone does not have all the mail fail in a moment.
const backoff = 100 * time.Millisecond

func (s *sending) connect(ctx context.Context, c *sender) error {
	if c.smtp != nil {
		return nil
	}
	var err error
	if c.smtp, err = wire.DialSMTP(s.life, c.target.SMTP, false, s.Options); err != nil {
		c.smtp = nil
		c.failures++
		scenario.Pause(ctx, time.Duration(min(c.failures, 10))*backoff)
		return err
	}
	c.failures = 0
	return nil
}

func (s *sending) close() {
	for i := range s.connections {
		if c := s.connections[i].smtp; c != nil {
			_ = c.Quit()
		}
	}
}
