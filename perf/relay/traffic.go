package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"restante/perf/letter"
	"restante/perf/peer"
	"restante/perf/scenario"
	"restante/perf/wire"
)

// Mail of the trials.
const (
	users     = 8 // who submit
	elsewhere = "recipient%d@elsewhere.example"
)

// A traffic is mail that users submit, at a rate, whatever becomes of it: its time counts
// from when it is due.
type traffic struct {
	nodes  []*node // in turn
	ledger *ledger
	rate   float64 // mails a second
	octets int     // of a body
	to     string  // empty: one after another

	submitters int // connections to all nodes; 0: defaultSubmitters
}

const defaultSubmitters = 32

// run submits for so long, or so many where the count is not zero.
func (t traffic) run(ctx context.Context, length time.Duration, count int) error {
	if count == 0 {
		count = int(length.Seconds() * t.rate)
	}
	submitters := cmp.Or(t.submitters, defaultSubmitters)
	var (
		began = time.Now()
		next  atomic.Int64
		all   sync.WaitGroup
		errs  = make([]error, submitters)
	)
	for i := range submitters {
		all.Go(func() {
			s := &submitter{traffic: t, node: t.nodes[i%len(t.nodes)], user: fmt.Sprintf(peer.Pattern, i%users)}
			defer s.close()
			for n := int(next.Add(1) - 1); n < count; n = int(next.Add(1) - 1) {
				due := began.Add(time.Duration(float64(n) / t.rate * float64(time.Second)))
				if !scenario.Pause(ctx, time.Until(due)) {
					return
				}
				if err := s.submit(ctx, due); err != nil && errs[i] == nil {
					errs[i] = err
				}
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errs...)
}

// A running traffic.
type running struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done is closed
}

// start submits for so long, in the background. End must be called.
func (t traffic) start(ctx context.Context, length time.Duration) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = t.run(ctx, length, 0)
	}()
	return r
}

// wait returns when all is submitted, with why some mail was not taken.
func (r *running) wait() error {
	<-r.done
	return r.err
}

// end gives up what is not submitted yet.
func (r *running) end() {
	r.cancel()
	<-r.done
}

// A submitter is one connection.
type submitter struct {
	traffic
	node   *node
	user   string
	smtp   *wire.SMTP
	writer letter.Writer
}

// submit is one mail. What came of it is in the ledger; an error tells why it was not
// taken.
func (s *submitter) submit(ctx context.Context, due time.Time) error {
	id := s.ledger.next()
	to := s.to
	if to == "" {
		to = fmt.Sprintf(elsewhere, id.Seq)
	}
	m := s.writer.Compose(id, s.user, to, s.octets)
	s.ledger.submit(id, to, due, s.octets)
	if err := s.connect(ctx); err != nil {
		return fmt.Errorf("connect to node %s: %w", s.node.name, err)
	}
	err := s.smtp.Send(wire.Mail{From: s.user, To: []string{to}, Data: m.Wire}, true)
	var said *wire.ReplyError
	switch {
	case err == nil:
		s.ledger.answered(id, taken)
	case errors.As(err, &said):
		s.ledger.answered(id, refused)
	default:
		s.close()
	}
	if err != nil {
		return fmt.Errorf("submit to node %s: %w", s.node.name, err)
	}
	return nil
}

func (s *submitter) connect(ctx context.Context) error {
	if s.smtp != nil {
		return nil
	}
	c, err := wire.DialSMTP(ctx, s.node.Submission, false, wire.Options{})
	if err != nil {
		return err
	}
	if err := c.Login(s.user, peer.Password); err != nil {
		return errors.Join(err, c.Close())
	}
	s.smtp = c
	return nil
}

func (s *submitter) close() {
	if s.smtp != nil {
		_ = s.smtp.Close()
		s.smtp = nil
	}
}
