package textman

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"restante/mailbox"
)

// Flush removes all texts that were posted with this Service, for tests that want to
// begin with none. It fails with [ErrFlush] unless the options allow it. What is
// posted at the same time may stay.
func (s *Service) Flush(ctx context.Context) error {
	if s.posted == nil {
		return ErrFlush
	}
	var errs []error
	for drop, expires := range s.posted.all() {
		if err := s.flush(ctx, drop); err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		s.posted.forget(drop, expires)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("textman: flush: %w", err)
	}
	return nil
}

func (s *Service) flush(ctx context.Context, drop mailbox.MaildropID) error {
	done, err := s.turns.take(ctx, drop)
	if err != nil {
		return err
	}
	defer done()
	messages, err := s.Maildrops.List(ctx, drop)
	if err != nil {
		return err
	}
	return s.Deliveries.Expunge(ctx, drop, messages...)
}

// posted are the maildrops that may hold texts, and until when.
type posted struct {
	mu    sync.Mutex
	until map[mailbox.MaildropID]time.Time
	prune int // at which number those whose time is over are forgotten
}

const prunePosted = 10_000

func newPosted() *posted {
	return &posted{until: make(map[mailbox.MaildropID]time.Time), prune: prunePosted}
}

func (p *posted) add(drop mailbox.MaildropID, expires, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if expires.After(p.until[drop]) {
		p.until[drop] = expires
	}
	if len(p.until) < p.prune {
		return
	}
	for drop, expires := range p.until {
		if !now.Before(expires) {
			delete(p.until, drop)
		}
	}
	p.prune = max(prunePosted, 2*len(p.until))
}

// all is a copy.
func (p *posted) all() map[mailbox.MaildropID]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[mailbox.MaildropID]time.Time, len(p.until))
	for drop, expires := range p.until {
		all[drop] = expires
	}
	return all
}

// forget is called when a maildrop was empty, unless something has come that expires
// later than what was known then.
func (p *posted) forget(drop mailbox.MaildropID, expires time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until[drop].Equal(expires) {
		delete(p.until, drop)
	}
}
