package textman

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"restante/mailbox"
)

// Post keeps a text for a user until it is taken or the timeout is over, counted
// from now. When it returns an id, the text is durable and the next Take returns it.
// It fails with an [InvalidError], and otherwise as a delivery does, such as with
// mailbox.ErrUnavailable; the text may then arrive nevertheless.
func (s *Service) Post(ctx context.Context, user, text string, timeout time.Duration) (id int64, err error) {
	now := s.Now()
	address, err := s.check(user, text, timeout)
	if err != nil {
		return 0, err
	}
	if id, err = s.ids.mint(ctx); err != nil {
		return 0, fmt.Errorf("textman: %w", err)
	}
	to := mailbox.Recipient{Address: address, Maildrop: dropOf(address), Expires: now.Add(timeout)}
	if s.posted != nil {
		s.posted.add(to.Maildrop, to.Expires, now)
	}
	content := compose(address, Text{id, text}, now, to.Expires)
	if _, err := s.Deliveries.DeliverShort(ctx, to, content); err != nil {
		return 0, fmt.Errorf("textman: post: %w", err)
	}
	s.metrics.posted.Inc()
	return id, nil
}

// Check fails with an [InvalidError] where Post would, and says all that is wrong at
// once.
func (s *Service) Check(user, text string, timeout time.Duration) error {
	_, err := s.check(user, text, timeout)
	return err
}

func (s *Service) check(user, text string, timeout time.Duration) (mailbox.Address, error) {
	address, why := s.address(user)
	invalid := InvalidError{User: why}
	switch {
	case text == "":
		invalid.Text = "must not be empty"
	case len(text) > MaxText:
		invalid.Text = fmt.Sprintf("must not be longer than %d octets", MaxText)
	case !utf8.ValidString(text):
		invalid.Text = "must be UTF-8"
	}
	if timeout < MinTimeout || timeout > s.MaxTimeout {
		invalid.Timeout = fmt.Sprintf("must be from %v to %v seconds", MinTimeout.Seconds(), int64(s.MaxTimeout.Seconds()))
	}
	if invalid != (InvalidError{}) {
		return address, &invalid
	}
	return address, nil
}
