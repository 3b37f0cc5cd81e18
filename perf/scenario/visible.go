package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"restante/perf/latency"
	"restante/perf/letter"
	"restante/perf/wire"
)

// A Visible delivers one message after the other to a maildrop of its own on each
// connection, and looks for each by a login as soon as the server has acknowledged
// it. Now and then it removes all of them and looks whether they are gone. An
// operation is one message: delivered, looked for until it is listed, and retrieved.
type Visible struct {
	Load        // Address speaks SMTP
	POP3 string // where the messages are looked for and removed
	// Back speaks POP3 too, and must see that they are gone. It may be empty.
	Back string
	// Patience is how long it may take until a message is listed, or is gone.
	Patience time.Duration
	// Every is how long after a look that missed the next one comes, at least. A view
	// is as old as its login, so a message is seen at most so long after it could be.
	Every time.Duration
	Keep  int // how many messages are left in a maildrop before all are removed
	Size  int // octets of the body
	From  string
}

// Run delivers and looks until the load's end. It adds the figures "misses", of looks
// right behind an acknowledgement that did not list the message, "removed", of
// messages, "back", of removals that were not seen at once, and "listed p50 ms"
// and so on up to "listed max ms", from the acknowledgement to the answer of STAT.
func (v Visible) Run(ctx context.Context) (*Tally, error) {
	if v.POP3 == "" || v.Keep < 1 || v.Patience <= 0 {
		return nil, errors.New("scenario: visible needs a POP3 server, messages to keep and patience")
	}
	s := &sightings{}
	run := newRun()
	t, err := drive(ctx, v.Load, func(number int) worker {
		return &watcher{Visible: v, number: number, letter: letter.ID{Run: run + uint64(number)}, total: s, listed: -1}
	})
	if t != nil {
		t.Figures = map[string]float64{
			"misses": float64(s.misses), "removed": float64(s.removed), "back": float64(s.back),
			"listed p50 ms": ms(s.times.Quantile(0.50)), "listed p95 ms": ms(s.times.Quantile(0.95)), "listed p99 ms": ms(s.times.Quantile(0.99)),
			"listed p99.9 ms": ms(s.times.Quantile(0.999)), "listed max ms": ms(s.times.Max()),
		}
	}
	return t, err
}

// sightings are what all connections have seen.
type sightings struct {
	mu                    sync.Mutex
	times                 latency.Histogram
	misses, removed, back int
}

type watcher struct {
	Visible
	number  int
	letter  letter.ID
	total   *sightings
	listed  int // how many messages the maildrop has, negative if that is not known
	smtp    *wire.SMTP
	writer  letter.Writer
	checker letter.Checker
}

func (w *watcher) do(ctx context.Context, _ int) (octets int64, err error) {
	defer func() {
		if err != nil {
			w.listed = -1 // whatever happened to the message
		}
	}()
	if w.listed < 0 || w.listed >= w.Keep {
		if err := w.clear(ctx); err != nil {
			return 0, err
		}
	}
	m, err := w.deliver(ctx)
	if err != nil {
		return 0, err
	}
	w.listed++
	return int64(len(m.Wire)), w.look(ctx, m)
}

func (w *watcher) deliver(ctx context.Context) (letter.Letter, error) {
	var err error
	if w.smtp == nil {
		if w.smtp, err = wire.DialSMTP(ctx, w.Address, false, w.Options); err != nil {
			return letter.Letter{}, err
		}
	}
	w.letter.Seq++
	to := w.User(w.number)
	m := w.writer.Compose(w.letter, w.From, to, w.Size)
	if err = w.smtp.Send(wire.Mail{From: w.From, To: []string{to}, Data: m.Wire}, false); err != nil {
		var refused *wire.ReplyError
		if !errors.As(err, &refused) {
			_ = w.smtp.Close()
			w.smtp = nil
		}
		err = fmt.Errorf("deliver: %w", err)
	}
	return m, err
}

// look logs in until the last message is listed, and retrieves it.
func (w *watcher) look(ctx context.Context, m letter.Letter) error {
	acknowledged := time.Now()
	for try := 1; ; try++ {
		began := time.Now()
		var took time.Duration
		n := 0
		err := w.session(ctx, w.POP3, func(p *wire.POP3, listed int) error {
			took = time.Since(acknowledged)
			if n = listed; n != w.listed {
				return nil
			}
			if err := retrieve(p, n, &w.checker); err != nil {
				return err
			}
			if id, sum, err := w.checker.Check(); err != nil || id != m.ID || sum != m.Sum {
				return fmt.Errorf("%w: %v is last, not %v", letter.ErrDamaged, id, m.ID)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("look: %w", err)
		}
		w.total.look(try, took, n == w.listed)
		switch {
		case n == w.listed:
			return nil
		case n > w.listed:
			return fmt.Errorf("look: %d messages, of %d that were delivered", n, w.listed)
		case took > w.Patience:
			return fmt.Errorf("look: %d messages, %v after %d were acknowledged", n, w.Patience, w.listed)
		case !Pause(ctx, time.Until(began.Add(w.Every))):
			return ctx.Err()
		}
	}
}

func (s *sightings) look(try int, took time.Duration, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found {
		s.times.Record(took)
	} else if try == 1 {
		s.misses++
	}
}

// clear removes all messages, and looks whether they are gone.
func (w *watcher) clear(ctx context.Context) error {
	removed := 0
	err := w.session(ctx, w.POP3, func(p *wire.POP3, n int) error {
		removed = n
		return p.DeleAll(n)
	})
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	began := time.Now()
	late := 0
	for _, addr := range []string{w.POP3, w.Back} {
		for n := -1; addr != "" && n != 0; {
			if err := w.session(ctx, addr, func(_ *wire.POP3, listed int) error { n = listed; return nil }); err != nil {
				return fmt.Errorf("look for what was removed: %w", err)
			}
			if n > 0 {
				late = 1
			}
			if n > 0 && time.Since(began) > w.Patience {
				return fmt.Errorf("%d messages are listed %v after their removal was acknowledged", n, w.Patience)
			}
		}
	}
	w.listed = 0
	w.total.mu.Lock()
	defer w.total.mu.Unlock()
	w.total.removed += removed
	w.total.back += late
	return nil
}

// session is one POP3 session, up to QUIT.
func (w *watcher) session(ctx context.Context, addr string, work func(p *wire.POP3, listed int) error) error {
	l := w.Load
	l.Address = addr
	return withLogin(ctx, l, w.number, func(p *wire.POP3) error {
		n, _, err := p.Stat()
		if err != nil {
			return err
		}
		return work(p, n)
	})
}

func (w *watcher) close() {
	if w.smtp != nil {
		_ = w.smtp.Quit()
	}
}
